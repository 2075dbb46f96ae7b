package shape

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"lineside/inference/model/gguf"
)

// ErrShape marks a file whose header is sound but whose model is not one that
// this package knows, or contradicts itself.
var ErrShape = errors.New("not a model of the Llama family")

// Architectures are the values of general.architecture with this family's form.
func Architectures() []string { return []string{"llama", "llama4", "mistral3"} }

// Of reads the shape of a file, and holds every tensor to it: name and dimensions
// must be what the metadata says.
func Of(h *gguf.Header) (Shape, error) {
	s := Shape{Arch: h.Architecture()}
	if !slices.Contains(Architectures(), s.Arch) {
		return s, fmt.Errorf("%w: architecture %q, want one of %q", ErrShape, s.Arch, Architectures())
	}
	if len(h.Tensors) == 0 {
		return s, fmt.Errorf("%w: a vocabulary without weights", ErrShape)
	}
	r := reader{h: h, arch: s.Arch}
	s.Layers = r.must("block_count", 1024)
	s.Hidden = r.must("embedding_length", 1<<17)
	s.Heads = r.must("attention.head_count", 1<<12)
	s.KVHeads = r.may("attention.head_count_kv", s.Heads)
	s.Context = r.must("context_length", 1<<30)
	s.FFN = r.may("feed_forward_length", 0)
	s.HeadDim = r.may("attention.key_length", s.Hidden/max(s.Heads, 1))
	s.Experts = r.may("expert_count", 0)
	s.ExpertsUsed = r.may("expert_used_count", 0)
	s.ExpertFFN = r.may("expert_feed_forward_length", 0)
	s.MoEStep = r.may("interleave_moe_layer_step", 1)
	if r.err != nil {
		return s, r.err
	}
	if s.Experts == 0 {
		s.MoEStep = 0
	} else if s.Arch != "llama4" {
		s.ExpertFFN = s.FFN
	}
	s.RopeBase = 1e4
	if f, err := h.Float(s.Arch + ".rope.freq_base"); err == nil {
		s.RopeBase = f
	}
	if err := s.fromTensors(h); err != nil {
		return s, err
	}
	return s, s.match(h)
}

// fromTensors takes what only tensors tell: vocabulary, tying, frequency factors.
func (s *Shape) fromTensors(h *gguf.Header) error {
	embd, ok := h.Tensor("token_embd.weight")
	if !ok || len(embd.Dims) != 2 || embd.Dims[1] > 1<<22 {
		return fmt.Errorf("%w: token_embd.weight is missing or no table", ErrShape)
	}
	s.Vocab = int(embd.Dims[1])
	_, untied := h.Tensor("output.weight")
	s.Tied = !untied
	freqs, ok := h.Tensor("rope_freqs.weight")
	if !ok {
		return nil
	}
	// The longest wavelength is stretched in full.
	var last [4]byte
	if _, err := h.Data(freqs).ReadAt(last[:], max(0, int64(freqs.Bytes())-4)); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	s.RopeFactor = float64(math.Float32frombits(binary.LittleEndian.Uint32(last[:])))
	if freqs.Type != gguf.F32 || !(s.RopeFactor >= 1 && s.RopeFactor <= 1024) {
		return fmt.Errorf("%w: rope_freqs.weight ends with %g, want 1 to 1024", ErrShape, s.RopeFactor)
	}
	return nil
}

// match holds the file's tensors to the shape's.
func (s Shape) match(h *gguf.Header) error {
	want := s.Tensors(F16)
	for _, w := range want {
		got, ok := h.Tensor(w.Name)
		if !ok {
			return fmt.Errorf("%w: tensor %s is missing", ErrShape, w.Name)
		}
		if !slices.Equal(got.Dims, w.Dims) {
			return fmt.Errorf("%w: tensor %s is %v, want %v", ErrShape, w.Name, got.Dims, w.Dims)
		}
	}
	if len(h.Tensors) != len(want) {
		return fmt.Errorf("%w: %d tensors, want %d", ErrShape, len(h.Tensors), len(want))
	}
	return nil
}

// MixtureOf guesses a file's quantization by its tensors' bytes, empty where it
// is none of the appliance's.
func (s Shape) MixtureOf(h *gguf.Header) Mixture {
	bytes := h.TensorBytes()
	for _, m := range append(Mixtures(), Q4_0Imx) {
		if s.TensorBytes(m) == bytes {
			return m
		}
	}
	return ""
}

// reader reads whole numbers and keeps the first error.
type reader struct {
	h    *gguf.Header
	arch string
	err  error
}

// must is a key that has to be there, from 1 to limit; in arrays, one number for all layers.
func (r *reader) must(key string, limit int) int {
	if r.err != nil {
		return 0
	}
	list, err := r.h.Uints(r.arch + "." + key)
	switch {
	case err != nil:
		r.err = fmt.Errorf("%w: %w", ErrShape, err)
	case len(list) == 0 || slices.ContainsFunc(list, func(n uint64) bool { return n != list[0] }):
		r.err = fmt.Errorf("%w: %s.%s differs between layers", ErrShape, r.arch, key)
	case list[0] < 1 || list[0] > uint64(limit):
		r.err = fmt.Errorf("%w: %s.%s is %d, want 1 to %d", ErrShape, r.arch, key, list[0], limit)
	}
	if r.err != nil {
		return 0
	}
	return int(list[0])
}

// may is a key with a default. What is there is held to a sane limit.
func (r *reader) may(key string, def int) int {
	if _, ok := r.h.Value(r.arch + "." + key); !ok {
		return def
	}
	if n, err := r.h.Uint(r.arch + "." + key); err == nil && n == 0 {
		return 0
	}
	return r.must(key, 1<<20)
}
