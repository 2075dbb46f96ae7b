package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
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
