package engine_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"lineside/inference"
	"lineside/inference/engine"
	"lineside/inference/llama"
	"lineside/inference/model/gguf"
	"lineside/inference/model/lora"
	"lineside/inference/model/modeltest"
	"lineside/inference/model/shape"
	"lineside/inference/model/synth"
)

// adapter writes a LoRA for a model.
func adapter(t *testing.T, base string, seed uint64) string {
	t.Helper()
	f, err := gguf.Open(base)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	path := filepath.Join(t.TempDir(), fmt.Sprintf("lora%d.gguf", seed))
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := synth.WriteAdapter(f.Header, "a test", 8, seed, out); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestAdapter: each adapter has answers of its own, the model alone has its own back, and
// asks for all of them at once change nothing.
func TestAdapter(t *testing.T) {
	path := modeltest.Tiny(t, "tiny", shape.Q4_0)
	e := openFile(t, path, llama.Options{Adapters: map[string]string{"one": adapter(t, path, 1), "two": adapter(t, path, 2)}},
		engine.Options{Adapters: []string{"one", "two"}})
	names := []string{"", "one", "two"}
	ask := func(i int) string {
		r := request(manual, fmt.Sprint("exact ", i/3))
		r.Adapter, r.Deterministic, r.MaxTokens = names[i%3], true, 12
		res, err := e.Generate(t.Context(), r, nil)
		if err != nil {
			t.Error(err)
			return ""
		}
		return res.Text
	}
	var want []string
	for i := range 6 {
		want = append(want, ask(i))
	}
	t.Logf("%q", want[:3])
	if want[0] == want[1] || want[1] == want[2] || want[0] == want[2] {
		t.Errorf("adapters change nothing: %q", want[:3])
	}
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			if got := ask(i % 6); got != want[i%6] {
				t.Errorf("under %q among others %q, at first %q", names[i%3], got, want[i%6])
			}
		})
		wg.Go(func() {
			r := request(manual, fmt.Sprint("noise ", i))
			r.Adapter, r.MaxTokens = names[i%3], 12
			if _, err := e.Generate(t.Context(), r, nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	r := request(manual, "hello")
	r.Adapter = "three"
	if _, err := e.Generate(t.Context(), r, nil); !errors.Is(err, inference.ErrBadRequest) {
		t.Errorf("an adapter that is not there: %v", err)
	}
}

// TestForeignAdapter refuses another model's adapter by name.
func TestForeignAdapter(t *testing.T) {
	path := modeltest.Tiny(t, "tiny", shape.Q4_0)
	foreign := adapter(t, modeltest.Tiny(t, "tiny-llama2", shape.Q4_0), 1)
	_, err := llama.Open(t.Context(), path, llama.Options{Adapters: map[string]string{"foreign": foreign}})
	if !errors.Is(err, lora.ErrAdapter) {
		t.Errorf("%v", err)
	}
}
