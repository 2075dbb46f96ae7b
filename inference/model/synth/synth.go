// Package synth makes models of a given form with random weights. They talk
// nonsense, load like the real ones, and take the same time and memory: tests and
// benchmarks run on them.
//
// The same name, quantization and seed give the same bytes. It never
// downloads anything.
package synth

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"os"
	"strings"

	"lineside/inference/model/catalogue"
	"lineside/inference/model/gguf"
	"lineside/inference/model/quant"
	"lineside/inference/model/shape"
)

// Model is one to be made.
type Model struct {
	Name       string
	Shape      shape.Shape
	Mixture    shape.Mixture
	Vocabulary *Vocabulary
	Seed       uint64
}

// tinyShape is a model that is made and loaded in no time.
var tinyShape = shape.Shape{Arch: "llama", Layers: 4, Hidden: 256, Heads: 4, KVHeads: 2, HeadDim: 64, FFN: 768,
	Vocab: 2048, Context: 8192, Tied: true, RopeBase: 5e5, RopeFactor: 32}

// tinies are the shapes of our own: one per family that the engine has to load.
func tinies() map[string]struct {
	shape shape.Shape
	style Style
} {
	llama2, llama4, mistral := tinyShape, tinyShape, tinyShape
	llama2.RopeFactor, llama2.Tied, llama2.KVHeads, llama2.RopeBase, llama2.Context = 0, false, 4, 1e4, 4096
	mistral.RopeFactor, mistral.Tied, mistral.RopeBase = 0, false, 1e6
	llama4.Arch, llama4.Tied, llama4.RopeFactor = "llama4", false, 16
	llama4.Experts, llama4.ExpertsUsed, llama4.ExpertFFN, llama4.MoEStep = 4, 1, 512, 2
	return map[string]struct {
		shape shape.Shape
		style Style
	}{
		"tiny": {tinyShape, Llama3}, "tiny-llama2": {llama2, Llama2},
		"tiny-llama4": {llama4, Llama4}, "tiny-mistral": {mistral, Mistral},
	}
}

// Names lists what New makes: the tiny shapes, and every shape of the catalogue.
func Names() []string {
	list := []string{"tiny", "tiny-llama2", "tiny-llama4", "tiny-mistral"}
	for _, m := range catalogue.Models() {
		if m.Arch() != "" {
			list = append(list, m.ID)
		}
	}
	return list
}

// New describes a model by its name and quantization, with a made-up vocabulary.
// With vocab not nil, that is used; it must have the shape's number of tokens,
// except for tiny shapes, which take any.
func New(name string, m shape.Mixture, vocab *Vocabulary) (Model, error) {
	model := Model{Name: "synthetic " + name, Mixture: m, Vocabulary: vocab, Seed: 1}
	style := Llama3
	tiny, isTiny := tinies()[name]
	if isTiny {
		model.Shape, style = tiny.shape, tiny.style
	} else {
		entry, err := catalogue.Find(name)
		if err != nil || entry.Arch() == "" {
			return Model{}, fmt.Errorf("unknown shape %q: want one of %s", name, strings.Join(Names(), ", "))
		}
		model.Shape = entry.Shape
		switch {
		case entry.Tokenizer == catalogue.SentencePiece:
			style = Llama2
		case entry.Arch() == "llama4":
			style = Llama4
		}
	}
	switch {
	case vocab == nil:
		var err error
		model.Vocabulary, err = NewVocabulary(style, model.Shape.Vocab)
		return model, err
	case isTiny:
		model.Shape.Vocab = vocab.Size()
	case vocab.Size() != model.Shape.Vocab:
		return Model{}, fmt.Errorf("the vocabulary has %d tokens, but %s has %d", vocab.Size(), name, model.Shape.Vocab)
	}
	return model, nil
}

// Bytes is the size of the file.
func (m Model) Bytes() (int64, error) { return m.layout().Bytes() }

// Write writes the file, until ctx ends.
func (m Model) Write(ctx context.Context, w io.Writer) error {
	buf := make([]byte, 0, 1<<20)
	_, err := m.layout().WriteTo(w, func(t gguf.Tensor, w io.Writer) error {
		return m.fill(ctx, t, w, buf)
	})
	return err
}

// Create writes the file to path. A file that could not be finished is removed.
func (m Model) Create(ctx context.Context, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	err = m.Write(ctx, f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(path)
		return fmt.Errorf("making %s: %w", path, err)
	}
	return nil
}

func (m Model) layout() *gguf.Layout {
	s, l := m.Shape, &gguf.Layout{}
	l.Set("general.architecture", s.Arch)
	l.Set("general.type", "model")
	l.Set("general.name", m.Name)
	l.Set("general.description", "random weights: for measuring, says nothing of sense")
	l.Set("general.file_type", m.Mixture.FileType())
	l.Set("general.quantization_version", uint32(2))
	set := func(key string, value any) { l.Set(s.Arch+"."+key, value) }
	u := func(key string, n int) { set(key, uint32(n)) }
	u("block_count", s.Layers)
	u("context_length", s.Context)
	u("embedding_length", s.Hidden)
	u("feed_forward_length", max(s.FFN, s.ExpertFFN))
	u("attention.head_count", s.Heads)
	u("attention.head_count_kv", s.KVHeads)
	u("attention.key_length", s.HeadDim)
	u("attention.value_length", s.HeadDim)
	u("rope.dimension_count", s.HeadDim)
	u("vocab_size", s.Vocab)
	set("rope.freq_base", float32(s.RopeBase))
	set("attention.layer_norm_rms_epsilon", float32(1e-5))
	if s.Experts > 0 {
		u("expert_count", s.Experts)
		u("expert_used_count", s.ExpertsUsed)
	}
	if s.Arch == "llama4" {
		u("expert_feed_forward_length", s.ExpertFFN)
		u("interleave_moe_layer_step", s.MoEStep)
	}
	m.Vocabulary.store(l)
	for _, t := range s.Tensors(m.Mixture) {
		l.Add(t.Name, t.Type, t.Dims...)
	}
	return l
}

// fill writes the data of one tensor through buf.
func (m Model) fill(ctx context.Context, t gguf.Tensor, w io.Writer, buf []byte) error {
	constant := m.Shape.RopeFreqs()
	if strings.HasSuffix(t.Name, "norm.weight") {
		constant = make([]float32, t.Elements())
		for i := range constant {
			constant[i] = 1
		}
	} else if t.Name != "rope_freqs.weight" {
		constant = nil
	}
	if constant != nil {
		b, err := quant.Append(buf, t.Type, constant)
		if err == nil {
			_, err = w.Write(b)
		}
		return err
	}
	h := fnv.New64a()
	io.WriteString(h, t.Name)
	r, err := quant.NewRandom(t.Type, m.sigma(t), m.Seed, h.Sum64())
	if err != nil {
		return err
	}
	chunk := t.Type.Bytes(1 << 18) // whole blocks of every type
	for left := t.Bytes(); left > 0; left -= min(left, chunk) {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := buf[:min(left, chunk)]
		r.Read(b)
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// sigma is the deviation of a tensor's weights. Sums over a row come out near 1, and
// logits spread by 3, so that some tokens are likelier than others. What the layers
// add to the stream together outweighs the token's own embedding: tied models would
// otherwise say their last token again and again.
func (m Model) sigma(t gguf.Tensor) float32 {
	s := 1 / math.Sqrt(float64(t.Dims[0]))
	switch {
	case strings.HasPrefix(t.Name, "token_embd"), strings.HasPrefix(t.Name, "output."):
		s = 3 / math.Sqrt(float64(m.Shape.Hidden))
	case strings.Contains(t.Name, "attn_output"), strings.Contains(t.Name, "ffn_down"):
		s *= 10 / math.Sqrt(float64(2*m.Shape.Layers))
	}
	return float32(s)
}
