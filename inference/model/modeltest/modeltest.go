// Package modeltest gives tests their model files: tiny ones made on the spot,
// and the published vocabularies and licences where those lie at hand.
//
// It never holds any of them itself.
package modeltest

import (
	"os"
	"path/filepath"
	"testing"

	"lineside/inference/model/shape"
	"lineside/inference/model/synth"
)

// Tiny makes a synthetic model in a folder of the test and returns its path.
// Names are those of synth.Names.
func Tiny(t testing.TB, name string, m shape.Mixture) string {
	t.Helper()
	model, err := synth.New(name, m, nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name+"-"+string(m)+".gguf")
	if err := model.Create(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	return path
}

// Shared is a path below the folder of published data: $LINESIDE_SHARED, or
// ../shared beside the repository. Where that is absent, the test is skipped.
func Shared(t testing.TB, path ...string) string {
	t.Helper()
	dir := os.Getenv("LINESIDE_SHARED")
	if dir == "" {
		dir = filepath.Join(root(t), "..", "shared")
	}
	full := filepath.Join(append([]string{dir}, path...)...)
	if _, err := os.Stat(full); err != nil {
		t.Skipf("no published data (set LINESIDE_SHARED): %v", err)
	}
	return full
}

// root is the folder of go.mod above the test.
func root(t testing.TB) string {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
}
