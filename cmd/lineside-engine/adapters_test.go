package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestAdapters finds the adapters of exactly these weights, and nothing that only looks so.
func TestAdapters(t *testing.T) {
	objects := t.TempDir()
	put := func(dir, manifest string) string {
		t.Helper()
		dir = filepath.Join(objects, dir)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "manifest.json"), []byte(manifest), 0o644); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	bundle := func(name, kind, base, file, sum string) string {
		return fmt.Sprintf(`{"name":%q,"kind":%q,"base":{"sha256":%q},"files":[{"name":"LICENSE","role":"licence","sha256":"l"},{"name":%q,"role":"weights","sha256":%q}]}`,
			name, kind, base, file, sum)
	}
	model := filepath.Join(put("m", bundle("m", "model", "", "m.gguf", "aa")), "m.gguf")
	words := filepath.Join(put("a", bundle("words", "adapter", "aa", "w.gguf", "b1")), "w.gguf")
	put("b", bundle("foreign", "adapter", "bb", "w.gguf", "b2"))
	put("c", bundle("out", "adapter", "aa", "../m/m.gguf", "b3"))
	put("d", bundle("model", "model", "aa", "w.gguf", "b4"))
	put("e", "no manifest at all")
	got, err := adapters(model)
	if err != nil || !maps.Equal(got, map[string]string{"words": words}) {
		t.Errorf("%v, %v", got, err)
	}
	alone := filepath.Join(t.TempDir(), "m.gguf")
	if got, err := adapters(alone); err != nil || len(got) > 0 {
		t.Errorf("of a file of its own: %v, %v", slices.Collect(maps.Keys(got)), err)
	}
	if got, err := adapters(filepath.Join(objects, "m", "another.gguf")); err != nil || len(got) > 0 {
		t.Errorf("of a file beside a bundle's: %v, %v", slices.Collect(maps.Keys(got)), err)
	}
}
