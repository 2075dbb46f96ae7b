// Package shape describes the form of a Llama-family model: how many layers, how
// wide, which tensors, and how many bytes those take in each quantization.
//
// It never reads a tensor's data. The rules are llama.cpp's, so a shape here
// and a file made by llama-quantize agree to the byte.
package shape

import (
	"fmt"

	"lineside/inference/model/gguf"
)

// Shape is the form of one model.
type Shape struct {
	Arch     string // general.architecture of its GGUF: llama, llama4 or mistral3
	Layers   int
	Hidden   int // width of the residual stream
	Heads    int // query heads
	KVHeads  int // key and value heads
	HeadDim  int // width of one head
	FFN      int // width of a dense feed-forward layer
	Vocab    int // tokens
	Context  int // tokens the model was trained for
	Tied     bool
	RopeBase float64
	// RopeFactor stretches the longest wavelengths, as Llama 3.1 and later do; 0
	// for models without. Files carry it as HeadDim/2 factors in rope_freqs.weight.
	RopeFactor float64

	Experts     int // of each mixture layer; 0 for a dense model
	ExpertsUsed int // per token
	ExpertFFN   int // width of one expert
	MoEStep     int // llama4: every MoEStep-th layer is a mixture
}

// mixture reports whether a layer routes to experts.
func (s Shape) mixture(layer int) bool {
	switch {
	case s.Experts == 0:
		return false
	case s.Arch == "llama4":
		return s.MoEStep > 0 && (layer+1)%s.MoEStep == 0
	}
	return true
}

// Tensors lists every tensor of the model in a file's order, with the types
// that llama.cpp's quantizer would give it.
func (s Shape) Tensors(m Mixture) []gguf.Tensor {
	var list []gguf.Tensor
	add := func(name string, dims ...int) {
		t := gguf.Tensor{Name: name + ".weight"}
		for _, d := range dims {
			t.Dims = append(t.Dims, uint64(d))
		}
		t.Type = s.tensorType(t, m)
		list = append(list, t)
	}
	q, kv := s.Heads*s.HeadDim, s.KVHeads*s.HeadDim
	add("token_embd", s.Hidden, s.Vocab)
	if s.RopeFactor != 0 {
		add("rope_freqs", s.HeadDim/2)
	}
	for i := range s.Layers {
		blk := func(name string, dims ...int) { add(fmt.Sprintf("blk.%d.%s", i, name), dims...) }
		blk("attn_norm", s.Hidden)
		blk("attn_q", s.Hidden, q)
		blk("attn_k", s.Hidden, kv)
		blk("attn_v", s.Hidden, kv)
		blk("attn_output", q, s.Hidden)
		blk("ffn_norm", s.Hidden)
		if !s.mixture(i) {
			blk("ffn_gate", s.Hidden, s.FFN)
			blk("ffn_up", s.Hidden, s.FFN)
			blk("ffn_down", s.FFN, s.Hidden)
			continue
		}
		blk("ffn_gate_inp", s.Hidden, s.Experts)
		blk("ffn_gate_exps", s.Hidden, s.ExpertFFN, s.Experts)
		blk("ffn_up_exps", s.Hidden, s.ExpertFFN, s.Experts)
		blk("ffn_down_exps", s.ExpertFFN, s.Hidden, s.Experts)
		if s.Arch == "llama4" { // one expert that every token passes
			blk("ffn_gate_shexp", s.Hidden, s.ExpertFFN)
			blk("ffn_up_shexp", s.Hidden, s.ExpertFFN)
			blk("ffn_down_shexp", s.ExpertFFN, s.Hidden)
		}
	}
	add("output_norm", s.Hidden)
	if !s.Tied {
		add("output", s.Hidden, s.Vocab)
	}
	return list
}

// Params counts the model's parameters. The frequency factors are none.
func (s Shape) Params() uint64 {
	s.RopeFactor = 0
	var n uint64
	for _, t := range s.Tensors(F16) {
		n += t.Elements()
	}
	return n
}

// TensorBytes is the size of all tensors' data in a quantization.
func (s Shape) TensorBytes(m Mixture) uint64 {
	var n uint64
	for _, t := range s.Tensors(m) {
		n += t.Bytes()
	}
	return n
}

// KVBytesPerToken is what one token occupies in a cache of 16-bit floats.
func (s Shape) KVBytesPerToken() uint64 {
	return uint64(s.Layers) * uint64(s.KVHeads) * uint64(s.HeadDim) * 2 * 2
}

// ComputeBytes estimates the scratch memory of a pass over ubatch tokens:
// logits and embeddings in 32-bit floats.
func (s Shape) ComputeBytes(ubatch int) uint64 {
	return uint64(ubatch) * uint64(s.Vocab+s.Hidden) * 4
}
