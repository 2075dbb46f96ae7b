package synth_test

import (
	"bytes"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lineside/inference/model/gguf"
	"lineside/inference/model/modeltest"
	"lineside/inference/model/quant"
	"lineside/inference/model/shape"
	"lineside/inference/model/synth"
)

func describe(t *testing.T, name string, m shape.Mixture) synth.Model {
	t.Helper()
	model, err := synth.New(name, m, nil)
	if err != nil {
		t.Fatal(err)
	}
	return model
}

// TestSizes holds the exact shapes to the sizes of published files.
func TestSizes(t *testing.T) {
	tests := []struct {
		name string
		m    shape.Mixture
		want float64 // bytes
	}{
		{"llama-3.2-1b", shape.Q4_0, 771e6},
		{"llama-3.2-1b", shape.Q4_K_M, 807694464},
		{"llama-3.2-1b", shape.Q8_0, 1321083008},
		{"llama-3.2-3b", shape.Q4_K_M, 2019377696},
		{"llama-3.2-3b", shape.Q8_0, 3421899296},
		{"llama-3.2-3b", shape.F16, 6433687840},
	}
	vocab, err := synth.NewVocabulary(synth.Llama3, 128256)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		model, err := synth.New(tt.name, tt.m, vocab)
		if err != nil {
			t.Fatal(err)
		}
		n, err := model.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if off := float64(n)/tt.want - 1; math.Abs(off) > 0.01 {
			t.Errorf("%s %s has %d bytes, %.2f%% off", tt.name, tt.m, n, off*100)
		}
	}
}

// TestTinies makes every tiny shape in every quantization and reads it back.
func TestTinies(t *testing.T) {
	for _, name := range synth.Names()[:4] {
		for _, m := range shape.Mixtures() {
			start := time.Now()
			f, err := gguf.Open(modeltest.Tiny(t, name, m))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("%s %s took %s", name, m, d)
			}
			if f.Size > 16<<20 {
				t.Errorf("%s %s has %d bytes: that is not tiny", name, m, f.Size)
			}
			for _, x := range f.Tensors {
				b, err := io.ReadAll(f.Data(x))
				if err != nil {
					t.Fatal(err)
				}
				values, err := quant.Floats(x.Type, b)
				if err != nil {
					t.Fatal(err)
				}
				if i := slices.IndexFunc(values, func(v float32) bool { return v != v || v > 64 || v < -64 }); i >= 0 {
					t.Errorf("%s %s: %s[%d] is %g", name, m, x.Name, i, values[i])
				}
			}
		}
	}
}

func TestSameSeedSameBytes(t *testing.T) {
	write := func(seed uint64) []byte {
		m := describe(t, "tiny", shape.Q4_0)
		m.Seed = seed
		var b bytes.Buffer
		if err := m.Write(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	if !bytes.Equal(write(1), write(1)) {
		t.Error("the same seed makes different files")
	}
	if bytes.Equal(write(1), write(2)) {
		t.Error("different seeds make the same file")
	}
}

// TestVocabularyIsSound checks the made-up 128,256 tokens as llama.cpp would.
func TestVocabularyIsSound(t *testing.T) {
	var l gguf.Layout
	v, err := synth.NewVocabulary(synth.Llama3, 128256)
	if err != nil {
		t.Fatal(err)
	}
	synth.Store(v, &l)
	var b bytes.Buffer
	if _, err := l.WriteTo(&b, nil); err != nil {
		t.Fatal(err)
	}
	h, err := gguf.Read(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := h.Strings("tokenizer.ggml.tokens")
	if err != nil {
		t.Fatal(err)
	}
	merges, err := h.Strings("tokenizer.ggml.merges")
	if err != nil {
		t.Fatal(err)
	}
	id := map[string]int{}
	for i, s := range tokens {
		if _, twice := id[s]; twice {
			t.Fatalf("token %q twice", s)
		}
		id[s] = i
	}
	for _, m := range merges {
		a, b, ok := strings.Cut(m, " ")
		if _, ja := id[a]; !ok || !ja {
			t.Fatalf("merge %q joins what is no token", m)
		}
		if _, jb := id[b]; !jb {
			t.Fatalf("merge %q joins what is no token", m)
		}
		if _, jc := id[a+b]; !jc {
			t.Fatalf("merge %q makes what is no token", m)
		}
	}
	for token, want := range map[string]int{"<|begin_of_text|>": 128000, "<|end_of_text|>": 128001, "<|finetune_right_pad_id|>": 128004,
		"<|start_header_id|>": 128006, "<|end_header_id|>": 128007, "<|eom_id|>": 128008, "<|eot_id|>": 128009, "<|python_tag|>": 128010} {
		if id[token] != want {
			t.Errorf("%s is %d, want %d", token, id[token], want)
		}
	}
	for _, word := range []string{"Ġpressure", "Ġtemperature", "Machine", "042", "ĠStÃ¶rung"} {
		if _, ok := id[word]; !ok {
			t.Errorf("%q is no token", word)
		}
	}
}

// TestVocabularyOfAFile takes the published vocabularies and finds them whole in
// the file that is made.
func TestVocabularyOfAFile(t *testing.T) {
	for _, file := range []string{"llama3-bpe-vocab.gguf", "llama2-spm-vocab.gguf"} {
		src, err := gguf.Open(modeltest.Shared(t, "data", file))
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		v, err := synth.VocabularyOf(src.Header)
		if err != nil {
			t.Fatal(err)
		}
		m, err := synth.New("tiny", shape.Q4_0, v)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), file)
		if err := m.Create(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		made, err := gguf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer made.Close()
		for _, key := range []string{"tokenizer.ggml.tokens", "tokenizer.ggml.merges"} {
			want, _ := src.Strings(key)
			got, _ := made.Strings(key)
			if !slices.Equal(want, got) {
				t.Errorf("%s: %s differs: %d and %d", file, key, len(want), len(got))
			}
		}
		wrong, err := synth.New("llama-3.2-1b", shape.Q4_0, v)
		if file == "llama2-spm-vocab.gguf" && err == nil {
			t.Errorf("1B took a vocabulary of %d tokens", wrong.Vocabulary.Size())
		}
	}
}

func TestUnknownShape(t *testing.T) {
	for _, name := range []string{"", "huge", "llama-3.2-11b-vision"} {
		if _, err := synth.New(name, shape.Q4_0, nil); err == nil || !strings.Contains(err.Error(), "want one of tiny") {
			t.Errorf("%q: %v", name, err)
		}
	}
}
