// Package lora reads the headers of LoRA adapters and holds them to their base
// model: whatever passes can be laid over the base.
//
// It never reads weights and never decides who may use an adapter.
package lora

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"lineside/inference/model/gguf"
)

// ErrAdapter marks adapter files that are none, or not the base's.
var ErrAdapter = errors.New("not a LoRA adapter")

// Suffixes of an adapter's tensors: the base's name, and which half of the product.
const (
	suffixA = ".lora_a" // [width of the matrix, rank]
	suffixB = ".lora_b" // [rank, height of the matrix]
)

// types are those that the engine multiplies with.
var types = []gguf.Type{gguf.F32, gguf.F16, gguf.BF16, gguf.Q8_0}

// Check wants a LoRA: pairs of matrices that fit each other.
func Check(h *gguf.Header) error {
	general, _ := h.Text("general.type")
	kind, _ := h.Text("adapter.type")
	if general != "adapter" || kind != "lora" {
		return fmt.Errorf("%w: general.type %q, adapter.type %q", ErrAdapter, general, kind)
	}
	for _, key := range h.Keys {
		if strings.HasPrefix(key, "adapter.alora.") {
			return fmt.Errorf("%w: it is an activated LoRA, which the engine does not have", ErrAdapter)
		}
	}
	const alpha = "adapter.lora.alpha" // llama.cpp reads it without looking at its type
	if v, ok := h.Value(alpha); ok && v.Kind != gguf.Float32 {
		return fmt.Errorf("%w: %s is %v, want a 32-bit number", ErrAdapter, alpha, v)
	}
	if len(h.Tensors) == 0 {
		return fmt.Errorf("%w: no tensors", ErrAdapter)
	}
	for _, t := range h.Tensors {
		base, ok := strings.CutSuffix(t.Name, suffixA)
		other := base + suffixB
		if !ok {
			base, ok = strings.CutSuffix(t.Name, suffixB)
			other = base + suffixA
		}
		pair, both := h.Tensor(other)
		switch {
		case !ok || !both || len(t.Dims) != 2 || len(pair.Dims) != 2:
			return fmt.Errorf("%w: tensor %s has no partner", ErrAdapter, t.Name)
		case !slices.Contains(types, t.Type):
			return fmt.Errorf("%w: tensor %s is of type %s, want F32, F16, BF16 or Q8_0", ErrAdapter, t.Name, t.Type)
		case strings.HasSuffix(t.Name, suffixA) && t.Dims[1] != pair.Dims[0]:
			return fmt.Errorf("%w: ranks of %s differ: %d and %d", ErrAdapter, base, t.Dims[1], pair.Dims[0])
		}
	}
	return nil
}

// Fits holds an adapter's tensors to those of its base model.
func Fits(adapter, base *gguf.Header) error {
	if err := Check(adapter); err != nil {
		return err
	}
	if a, b := adapter.Architecture(), base.Architecture(); a != b {
		return fmt.Errorf("%w: it is for %q, the base is %q", ErrAdapter, a, b)
	}
	for _, t := range adapter.Tensors {
		name := strings.TrimSuffix(strings.TrimSuffix(t.Name, suffixA), suffixB)
		w, ok := base.Tensor(name)
		if !ok || len(w.Dims) != 2 {
			return fmt.Errorf("%w: the base has no matrix %s", ErrAdapter, name)
		}
		if strings.HasSuffix(t.Name, suffixA) && t.Dims[0] != w.Dims[0] || strings.HasSuffix(t.Name, suffixB) && t.Dims[1] != w.Dims[1] {
			return fmt.Errorf("%w: %s is %v, the base's matrix is %v", ErrAdapter, t.Name, t.Dims, w.Dims)
		}
	}
	return nil
}
