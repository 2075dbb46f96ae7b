package shape_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lineside/inference/model/gguf"
	"lineside/inference/model/modeltest"
	"lineside/inference/model/shape"
	"lineside/inference/model/synth"
)

// TestShapeOfWhatWasWritten reads the shape of each tiny file back.
func TestShapeOfWhatWasWritten(t *testing.T) {
	for _, name := range synth.Names()[:4] {
		for _, m := range []shape.Mixture{shape.Q4_0, shape.Q5_K_M, shape.F16} {
			model, err := synth.New(name, m, nil)
			if err != nil {
				t.Fatal(err)
			}
			f, err := gguf.Open(modeltest.Tiny(t, name, m))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			got, err := shape.Of(f.Header)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(model.Shape, got, cmpopts.EquateApprox(0, 1)); d != "" {
				t.Errorf("%s: %s", name, d)
			}
			if mix := got.MixtureOf(f.Header); mix != m {
				t.Errorf("%s: mixture %q, want %q", name, mix, m)
			}
		}
	}
}

// small is a sound file of one layer, changed by the case.
func small(t testing.TB, change func(*gguf.Layout)) []byte {
	t.Helper()
	s := shape.Shape{Arch: "llama", Layers: 1, Hidden: 32, Heads: 2, KVHeads: 1, HeadDim: 16, FFN: 64, Vocab: 10}
	var l gguf.Layout
	l.Set("general.architecture", "llama")
	for key, n := range map[string]int{"block_count": 1, "embedding_length": 32, "attention.head_count": 2,
		"attention.head_count_kv": 1, "context_length": 64, "feed_forward_length": 64} {
		l.Set("llama."+key, uint32(n))
	}
	for _, x := range s.Tensors(shape.F16) {
		l.Add(x.Name, x.Type, x.Dims...)
	}
	change(&l)
	var b bytes.Buffer
	if _, err := l.WriteTo(&b, func(x gguf.Tensor, w io.Writer) error {
		_, err := w.Write(make([]byte, x.Bytes()))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func of(b []byte) (shape.Shape, error) {
	h, err := gguf.Read(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return shape.Shape{}, err
	}
	return shape.Of(h)
}

func TestContradictions(t *testing.T) {
	set := func(key string, v any) func(*gguf.Layout) { return func(l *gguf.Layout) { l.Set(key, v) } }
	tests := []struct {
		name   string
		change func(*gguf.Layout)
		says   string // empty: fine
	}{
		{"sound", func(*gguf.Layout) {}, ""},
		{"one number for all layers", set("llama.attention.head_count", []uint32{2}), ""},
		{"another architecture", set("general.architecture", "gpt2"), `"gpt2"`},
		{"no architecture", set("general.architecture", uint32(1)), `""`},
		{"no layers", set("llama.block_count", uint32(0)), "block_count is 0"},
		{"2^32-1 layers", set("llama.block_count", uint32(math.MaxUint32)), "block_count"},
		{"more layers than tensors", set("llama.block_count", uint32(2)), "blk.1.attn_norm.weight is missing"},
		{"wider than its tensors", set("llama.embedding_length", uint32(64)), "want [64 10]"},
		{"heads as text", set("llama.attention.head_count", "two"), "head_count"},
		{"heads that differ", set("llama.attention.head_count", []uint32{2, 4}), "differs"},
		{"a tensor too many", func(l *gguf.Layout) { l.Add("blk.0.extra.weight", gguf.F32, 1) }, "tensors, want"},
		{"factors of nothing", func(l *gguf.Layout) { l.Add("rope_freqs.weight", gguf.F32, 8) }, "rope_freqs"},
	}
	for _, tt := range tests {
		_, err := of(small(t, tt.change))
		switch {
		case tt.says == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.says != "" && (!errors.Is(err, shape.ErrShape) || !strings.Contains(err.Error(), tt.says)):
			t.Errorf("%s: %v, want %q", tt.name, err, tt.says)
		}
	}
}

func TestVocabularyAloneIsNoModel(t *testing.T) {
	f, err := gguf.Open(modeltest.Shared(t, "data", "llama3-bpe-vocab.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := shape.Of(f.Header); !errors.Is(err, shape.ErrShape) {
		t.Errorf("%v", err)
	}
}

// TestRopeFreqs holds the factors to the published rule at its three stretches.
func TestRopeFreqs(t *testing.T) {
	s := shape.Shape{HeadDim: 64, RopeBase: 5e5, RopeFactor: 32}
	f := s.RopeFreqs()
	if len(f) != 32 || f[0] != 1 || f[31] != 32 {
		t.Fatalf("%v", f)
	}
	for i := 1; i < len(f); i++ {
		if f[i] < f[i-1] {
			t.Errorf("factor %d falls: %v", i, f)
		}
	}
	if (shape.Shape{HeadDim: 64}).RopeFreqs() != nil {
		t.Error("a shape without stretching has factors")
	}
}

// FuzzOf reads shapes from files of any bytes. What passes can be planned with.
func FuzzOf(f *testing.F) {
	f.Add(small(f, func(*gguf.Layout) {}))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := of(b)
		if err != nil {
			return
		}
		if s.Layers < 1 || s.Vocab < 1 || s.Hidden < 1 || s.KVBytesPerToken() > 1<<50 || s.TensorBytes(shape.Q8_0) == 0 {
			t.Fatalf("an impossible shape passed: %+v", s)
		}
	})
}
