package llama_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lineside/inference/llama"
	"lineside/inference/model/gguf"
	"lineside/inference/model/modeltest"
	"lineside/inference/model/shape"
)

// refuse opens what is no usable model and asks for one line that says why.
func refuse(t *testing.T, path string, why string) {
	t.Helper()
	r, err := llama.Open(t.Context(), path, small)
	skipWithoutCgo(t, err)
	if err == nil {
		r.Close()
		t.Fatal("opened")
	}
	if !strings.Contains(err.Error(), why) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q: want one line with %q", err, why)
	}
	if _, exists := os.Stat(path); exists == nil && !errors.Is(err, llama.ErrModel) {
		t.Errorf("%v does not wrap ErrModel", err)
	}
}

func write(t *testing.T, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.gguf")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// layout is a GGUF of these keys without tensors.
func layout(t *testing.T, keys ...any) string {
	t.Helper()
	var l gguf.Layout
	for i := 0; i < len(keys); i += 2 {
		l.Set(keys[i].(string), keys[i+1])
	}
	var b bytes.Buffer
	if _, err := l.WriteTo(&b, func(gguf.Tensor, io.Writer) error { return nil }); err != nil {
		t.Fatal(err)
	}
	return write(t, b.Bytes())
}

func TestFilesThatAreNoModels(t *testing.T) {
	noise := make([]byte, 1<<16)
	rng := rand.NewChaCha8([32]byte{1})
	rng.Read(noise)
	good, err := os.ReadFile(modeltest.Tiny(t, "tiny", shape.Q4_0))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ path, why string }{
		"absent":         {filepath.Join(t.TempDir(), "none.gguf"), "no such file"},
		"directory":      {t.TempDir(), "a directory"},
		"empty":          {write(t, nil), "empty"},
		"zero bytes":     {write(t, make([]byte, 1<<16)), "not a GGUF"},
		"random bytes":   {write(t, noise), "not a GGUF"},
		"text":           {write(t, []byte("version https://git-lfs.github.com/spec/v1\n")), "not a GGUF"},
		"magic alone":    {write(t, []byte("GGUF")), "truncated"},
		"noise in GGUF":  {write(t, append([]byte("GGUF\x03\x00\x00\x00"), noise...)), "malformed"},
		"half a header":  {write(t, good[:4096]), "truncated"},
		"half the data":  {write(t, good[:len(good)-len(good)/3]), "truncated"},
		"one byte short": {write(t, good[:len(good)-64]), "truncated"},
	} {
		t.Run(name, func(t *testing.T) { refuse(t, c.path, c.why) })
	}
}

func TestOtherArchitectures(t *testing.T) {
	for arch, why := range map[string]string{
		"mllama": "Llama 3.2 Vision", "bert": `"bert"`, "mamba": `"mamba"`, "clip": "vision", "": `""`,
	} {
		t.Run(arch, func(t *testing.T) { refuse(t, layout(t, "general.architecture", arch), why) })
	}
	t.Run("none named", func(t *testing.T) { refuse(t, layout(t, "general.name", "x"), "names none") })
	t.Run("split", func(t *testing.T) {
		refuse(t, layout(t, "general.architecture", "llama", "split.count", uint16(3)), "3 parts")
	})
}

func TestVocabulariesThatLie(t *testing.T) {
	base := []any{"general.architecture", "llama", "tokenizer.ggml.model", "llama"}
	for name, c := range map[string]struct {
		keys []any
		why  string
	}{
		"no tokenizer":  {base[:2], "tokenizer.ggml.model"},
		"other model":   {[]any{"tokenizer.ggml.model", "bert"}, "bert"},
		"no tokens":     {nil, "tokenizer.ggml.tokens"},
		"no list":       {[]any{"tokenizer.ggml.tokens", "abc"}, "tokenizer.ggml.tokens"},
		"empty list":    {[]any{"tokenizer.ggml.tokens", []string{}}, "empty"},
		"empty token":   {[]any{"tokenizer.ggml.tokens", []string{"a", ""}}, "token 1"},
		"twice":         {[]any{"tokenizer.ggml.tokens", []string{"a", "b", "a"}}, "twice"},
		"few scores":    {[]any{"tokenizer.ggml.tokens", []string{"a", "b"}, "tokenizer.ggml.scores", []float32{1}}, "scores"},
		"odd scores":    {[]any{"tokenizer.ggml.tokens", []string{"a", "b"}, "tokenizer.ggml.scores", []int32{1, 2}}, "scores"},
		"few types":     {[]any{"tokenizer.ggml.tokens", []string{"a", "b"}, "tokenizer.ggml.token_type", []int32{1}}, "token_type"},
		"no merges":     {[]any{"tokenizer.ggml.model", "gpt2", "tokenizer.ggml.tokens", []string{"a"}}, "merges"},
		"number merges": {[]any{"tokenizer.ggml.model", "gpt2", "tokenizer.ggml.tokens", []string{"a"}, "tokenizer.ggml.merges", []int32{1}}, "merges"},
	} {
		t.Run(name, func(t *testing.T) {
			keys := append(append([]any{}, base...), c.keys...)
			if name == "no tokenizer" {
				keys = c.keys
			}
			path := layout(t, keys...)
			refuse(t, path, c.why)
			v, err := llama.LoadVocabulary(path)
			if err == nil {
				v.Close()
				t.Error("loaded as vocabulary")
			}
		})
	}
	t.Run("vocabulary alone", func(t *testing.T) {
		refuse(t, modeltest.Shared(t, "data", "llama3-bpe-vocab.gguf"), "vocabulary alone")
	})
}

// TestKeysThatLie names keys that llama.cpp asserts on while it reads them.
func TestKeysThatLie(t *testing.T) {
	base := []any{"general.architecture", "llama", "tokenizer.ggml.model", "llama", "tokenizer.ggml.tokens", []string{"a", "b"},
		"llama.block_count", uint32(1), "llama.embedding_length", uint32(64), "llama.attention.head_count", uint32(4), "llama.context_length", uint32(64)}
	for name, c := range map[string]struct {
		keys []any
		why  string
	}{
		"good but empty":      {nil, "no tensors"},
		"experts without use": {[]any{"llama.expert_count", uint32(8)}, "expert_used_count"},
		"use without experts": {[]any{"llama.expert_used_count", uint32(2)}, "expert_used_count"},
		"too many experts":    {[]any{"llama.expert_count", uint32(513), "llama.expert_used_count", uint32(1)}, "expert_count"},
		"expert groups":       {[]any{"llama.expert_count", uint32(8), "llama.expert_used_count", uint32(2), "llama.expert_group_count", uint32(3)}, "expert_group_count"},
		"widths as text":      {[]any{"llama.feed_forward_length", []string{"x"}}, "feed_forward_length"},
		"heads as numbers":    {[]any{"llama.attention.head_count", []float32{4}}, "head_count"},
		"labels as numbers":   {[]any{"llama.classifier.output_labels", []int32{4}}, "output_labels"},
		"unknown scaling":     {[]any{"llama.rope.scaling.type", "magic"}, "magic"},
		"key size":            {[]any{"llama.attention.key_length", uint32(32)}, "head sizes"},
	} {
		t.Run(name, func(t *testing.T) { refuse(t, layout(t, append(append([]any{}, base...), c.keys...)...), c.why) })
	}
}

// TestShapesThatLie changes single hyperparameters of a good file: each of these
// would abort or crash llama.cpp.
func TestShapesThatLie(t *testing.T) {
	good, err := os.ReadFile(modeltest.Tiny(t, "tiny", shape.Q4_0))
	if err != nil {
		t.Fatal(err)
	}
	for key, values := range map[string][]uint32{
		"llama.block_count":             {0, 1, 3, 5, 400, 513, 1 << 31},
		"llama.embedding_length":        {0, 1, 255, 1 << 31},
		"llama.attention.head_count":    {0, 3, 5, 257, 1 << 31},
		"llama.attention.head_count_kv": {0, 3, 8, 1 << 31},
		"llama.context_length":          {0, 1 << 31},
		"llama.feed_forward_length":     {0, 1, 1 << 31},
		"llama.rope.dimension_count":    {0, 1, 63, 1 << 31},
		"llama.vocab_size":              {0, 1, 1 << 31},
	} {
		at := bytes.Index(good, append(binary.LittleEndian.AppendUint64(nil, uint64(len(key))), key...))
		if at < 0 {
			t.Fatalf("the tiny model has no %s", key)
		}
		at += 8 + len(key)
		if typ := binary.LittleEndian.Uint32(good[at:]); gguf.Kind(typ) != gguf.Uint32 {
			t.Fatalf("%s has type %v", key, gguf.Kind(typ))
		}
		for _, v := range values {
			bad := bytes.Clone(good)
			binary.LittleEndian.PutUint32(bad[at+4:], v)
			path := write(t, bad)
			r, err := llama.Open(t.Context(), path, small)
			skipWithoutCgo(t, err)
			if err == nil { // some numbers contradict nothing: then it must answer
				answer(t, r, 0, "ready", 2)
				r.Close()
			} else if !errors.Is(err, llama.ErrModel) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s = %d: %q", key, v, err)
			}
		}
	}
}

// FuzzOpen changes bytes of a good file's header: whatever comes of it, the process lives.
func FuzzOpen(f *testing.F) {
	tiny := modeltest.Tiny(f, "tiny", shape.Q4_0)
	good, err := os.ReadFile(tiny)
	if err != nil {
		f.Fatal(err)
	}
	h, err := gguf.Open(tiny)
	if err != nil {
		f.Fatal(err)
	}
	h.Close()
	for _, key := range []string{"general.architecture", "llama.block_count", "tokenizer.ggml.tokens", "blk.0.attn_q.weight", "token_embd.weight"} {
		at := uint32(bytes.Index(good, []byte(key)))
		f.Add(at, uint64(0xff), byte(8))
		f.Add(at+uint32(len(key)), uint64(1), byte(4))
	}
	f.Fuzz(func(t *testing.T, at uint32, value uint64, n byte) {
		bad := bytes.Clone(good)
		from := int(at) % int(h.DataOffset)
		var v [8]byte
		binary.LittleEndian.PutUint64(v[:], value)
		copy(bad[from:], v[:n%9])
		path := filepath.Join(t.TempDir(), "fuzz.gguf")
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := llama.Open(t.Context(), path, llama.Options{Cells: 256, Batch: 8, Threads: 1})
		skipWithoutCgo(t, err)
		if err == nil {
			r.Close()
		}
	})
}
