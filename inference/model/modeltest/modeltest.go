// Package modeltest gives tests their model files: tiny ones made on the spot,
// and the published vocabularies and licences where those lie at hand.
//
// It never holds any of them itself.
package modeltest

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"lineside/inference/model/catalogue"
	"lineside/inference/model/gguf"
	"lineside/inference/model/quant"
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

// Write writes a file of zeros in a shape, with every tensor in one type, changed by
// the test. It loads nowhere, but its header is sound.
func Write(t testing.TB, s shape.Shape, typ gguf.Type, change func(*gguf.Layout)) string {
	t.Helper()
	var l gguf.Layout
	l.Set("general.architecture", s.Arch)
	u := func(key string, n int) { l.Set(s.Arch+"."+key, uint32(n)) }
	u("block_count", s.Layers)
	u("embedding_length", s.Hidden)
	u("attention.head_count", s.Heads)
	u("attention.head_count_kv", s.KVHeads)
	u("attention.key_length", s.HeadDim)
	u("context_length", s.Context)
	u("feed_forward_length", s.FFN)
	for _, x := range s.Tensors(shape.F16) {
		if x.Type == gguf.F16 {
			x.Type = typ
		}
		l.Add(x.Name, x.Type, x.Dims...)
	}
	if change != nil {
		change(&l)
	}
	path := filepath.Join(t.TempDir(), "model.gguf")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = l.WriteTo(f, func(x gguf.Tensor, w io.Writer) error {
		if x.Name != "rope_freqs.weight" {
			return Zeros(x, w)
		}
		b, err := quant.Append(nil, gguf.F32, s.RopeFreqs())
		if err == nil {
			_, err = w.Write(b)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Zeros fills a tensor with nothing, for gguf.Layout.WriteTo.
func Zeros(x gguf.Tensor, w io.Writer) error {
	zeros := make([]byte, 1<<20)
	for left := x.Bytes(); left > 0; left -= min(left, uint64(len(zeros))) {
		if _, err := w.Write(zeros[:min(left, uint64(len(zeros)))]); err != nil {
			return err
		}
	}
	return nil
}

// Small is a file of a few kilobytes in a form that no catalogue knows.
func Small(t testing.TB, change func(*gguf.Layout)) string {
	t.Helper()
	return Write(t, shape.Shape{Arch: "llama", Layers: 1, Hidden: 32, Heads: 2, KVHeads: 1, HeadDim: 16, FFN: 64,
		Vocab: 100, Context: 64, Tied: true}, gguf.F16, change)
}

// Real is a file in the exact form of a published model, in the smallest type there is:
// 240 MB for a 1B.
func Real(t testing.TB, id string, change func(*gguf.Layout)) string {
	t.Helper()
	m, err := catalogue.Find(id)
	if err != nil {
		t.Fatal(err)
	}
	return Write(t, m.Shape, gguf.IQ1_S, change)
}

// Apache is a folder with this project's own licence, as texts of a model.
func Apache(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	Copy(t, filepath.Join(root(t), "LICENSE"), filepath.Join(dir, "LICENSE"))
	return dir
}

// Texts is a folder with the published texts of a Llama licence, which a test may
// change: "llama3_2".
func Texts(t testing.TB, generation string) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range []string{"LICENSE", "USE_POLICY.md"} {
		Copy(t, Shared(t, "data", "llama-licences", generation, f), filepath.Join(dir, f))
	}
	return dir
}

// Copy copies a file.
func Copy(t testing.TB, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o644); err != nil {
		t.Fatal(err)
	}
}
