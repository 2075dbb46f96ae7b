package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRun makes the bill of this test's own program: twice the same, every part with a licence.
func TestRun(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var first []byte
	for range 2 {
		out := filepath.Join(dir, "a.json")
		if err := run("1.0", out, filepath.Join(dir, "a.txt"), []string{self}); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if first != nil && !bytes.Equal(first, data) {
			t.Error("the same program gives two bills")
		}
		first = data
	}
	var b bom
	if err := json.Unmarshal(first, &b); err != nil {
		t.Fatal(err)
	}
	if b.Format != "CycloneDX" || len(b.Components) < 2 {
		t.Fatalf("got %d components of format %q", len(b.Components), b.Format)
	}
	for _, c := range b.Components {
		if len(c.Licences) == 0 || c.Version == "" {
			t.Errorf("%s: licence %v, version %q", c.Name, c.Licences, c.Version)
		}
	}
}

func TestPackages(t *testing.T) {
	got, err := packages(strings.NewReader("Package: zlib1g\nVersion: 1:1.2.13-1\nArchitecture: arm64\nDescription: one\n Package: not this\n\nPackage: lineside\nVersion: 1.0\nArchitecture: arm64\n"))
	want := []component{
		{Type: "library", Ref: "lineside", Name: "lineside", Version: "1.0"},
		{Type: "library", Ref: "zlib1g", Name: "zlib1g", Version: "1:1.2.13-1", Purl: "pkg:deb/debian/zlib1g@1%3A1.2.13-1?arch=arm64&distro=bookworm"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(component{})); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
}

func TestRecognise(t *testing.T) {
	for text, want := range map[string]string{
		"Apache License\n   Version 2.0, January 2004":                                 "Apache-2.0",
		"Permission is hereby granted, free of charge, to any person obtaining a copy": "MIT",
		"All rights reserved": "",
	} {
		if got := recognise(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
