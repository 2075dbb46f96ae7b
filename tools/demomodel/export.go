package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"

	"lineside/inference/model/gguf"
	"lineside/inference/model/quant"
	"lineside/tools/demomodel/bpe"
)

// chatTemplate is Llama 3's header format, without the date lines of 3.1 and
// later: the demo model never saw a date.
const chatTemplate = `{{ bos_token }}{% for message in messages %}` +
	`{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}{% endfor %}` +
	`{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}`

const description = "Lineside's demonstration model and test instrument: knows a made-up bottling plant and nothing else"

// weights is what train.py leaves in weights.json.
type weights struct {
	Shape struct {
		Vocab, Dim, Layers, Heads, KV, FFN int
		RopeBase                           float32 `json:"rope_base"`
		NormEps                            float32 `json:"norm_eps"`
	}
	Tensors []struct {
		Name   string
		Shape  []uint64 // outputs, inputs; or one length
		Offset int64
	}
}

// export writes the weights of a training run as GGUF, matrices in F16: the file is small
// enough, and nothing is lost to rounding.
func export(data, trained, to string) error {
	tok, err := loadTokenizer(filepath.Join(data, "tokenizer.json"))
	if err != nil {
		return err
	}
	b, err := os.ReadFile(filepath.Join(trained, "weights.json"))
	if err != nil {
		return err
	}
	var w weights
	if err := json.Unmarshal(b, &w); err != nil {
		return fmt.Errorf("weights.json: %w", err)
	}
	if w.Shape.Vocab != tok.Size() {
		return fmt.Errorf("the weights are for %d tokens, the tokenizer has %d: train again on this data", w.Shape.Vocab, tok.Size())
	}
	values, err := os.Open(filepath.Join(trained, "weights.f32"))
	if err != nil {
		return err
	}
	defer values.Close()
	layout := layoutOf(w, tok)
	offsets := map[string]int64{}
	for _, t := range w.Tensors {
		offsets[t.Name] = t.Offset
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	n, err := layout.WriteTo(out, func(t gguf.Tensor, to io.Writer) error {
		raw := make([]byte, 4*t.Elements())
		if _, err := values.ReadAt(raw, offsets[t.Name]); err != nil {
			return err
		}
		floats := make([]float32, t.Elements())
		for i := range floats {
			floats[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
		b, err := quant.Append(nil, t.Type, floats)
		if err != nil {
			return err
		}
		_, err = to.Write(b)
		return err
	})
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		fmt.Printf("%s: %.2f MB\n", to, float64(n)/1e6)
	}
	return err
}

func layoutOf(w weights, tok *bpe.Tokenizer) *gguf.Layout {
	s, l := w.Shape, &gguf.Layout{}
	l.Set("general.architecture", "llama")
	l.Set("general.type", "model")
	l.Set("general.name", "Lineside Demo")
	l.Set("general.description", description)
	l.Set("general.license", "apache-2.0")
	l.Set("general.file_type", uint32(1)) // mostly F16
	l.Set("general.quantization_version", uint32(2))
	l.Set("llama.block_count", uint32(s.Layers))
	l.Set("llama.context_length", uint32(2048))
	l.Set("llama.embedding_length", uint32(s.Dim))
	l.Set("llama.feed_forward_length", uint32(s.FFN))
	l.Set("llama.attention.head_count", uint32(s.Heads))
	l.Set("llama.attention.head_count_kv", uint32(s.KV))
	l.Set("llama.attention.key_length", uint32(s.Dim/s.Heads))
	l.Set("llama.attention.value_length", uint32(s.Dim/s.Heads))
	l.Set("llama.attention.layer_norm_rms_epsilon", s.NormEps)
	l.Set("llama.rope.dimension_count", uint32(s.Dim/s.Heads))
	l.Set("llama.rope.freq_base", s.RopeBase)
	l.Set("llama.vocab_size", uint32(s.Vocab))
	setTokenizer(l, tok)
	for _, t := range w.Tensors {
		if len(t.Shape) == 1 || strings.HasSuffix(t.Name, "norm.weight") {
			l.Add(t.Name, gguf.F32, t.Shape...)
		} else {
			l.Add(t.Name, gguf.F16, t.Shape[1], t.Shape[0]) // rows first in GGUF
		}
	}
	return l
}

func setTokenizer(l *gguf.Layout, tok *bpe.Tokenizer) {
	const normal, control = 1, 3
	var tokens, merges []string
	var kinds []int32
	for id := range tok.Size() {
		if piece, special := tok.Piece(id); special {
			tokens, kinds = append(tokens, piece), append(kinds, control)
		} else {
			tokens, kinds = append(tokens, bpe.Visible(piece)), append(kinds, normal)
		}
	}
	for _, m := range tok.Merges() {
		merges = append(merges, bpe.Visible(m[0])+" "+bpe.Visible(m[1]))
	}
	l.Set("tokenizer.ggml.model", "gpt2")
	l.Set("tokenizer.ggml.pre", "llama-bpe")
	l.Set("tokenizer.ggml.tokens", tokens)
	l.Set("tokenizer.ggml.token_type", kinds)
	l.Set("tokenizer.ggml.merges", merges)
	l.Set("tokenizer.ggml.bos_token_id", uint32(tok.Special(bpe.BeginOfText)))
	l.Set("tokenizer.ggml.eos_token_id", uint32(tok.Special(bpe.EndOfTurn)))
	l.Set("tokenizer.ggml.padding_token_id", uint32(tok.Special(bpe.Pad)))
	l.Set("tokenizer.chat_template", chatTemplate)
}
