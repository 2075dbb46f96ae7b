package main

import (
	"slices"
	"strings"
	"testing"
)

func TestPackages(t *testing.T) {
	got, err := packages(strings.NewReader("Package: zlib1g\nVersion: 1:1.2.13-1\nArchitecture: arm64\nDescription: one\n Package: not this\n\nPackage: lineside\nVersion: 1.0\nArchitecture: arm64\n"))
	want := []component{
		{"library", "lineside", "1.0", ""},
		{"library", "zlib1g", "1:1.2.13-1", "pkg:deb/debian/zlib1g@1%3A1.2.13-1?arch=arm64&distro=bookworm"},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
}
