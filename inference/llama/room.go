//go:build cgo

package llama

import (
	"fmt"
	"os"

	"lineside/inference/model/fit"
	"lineside/inference/model/gguf"
	"lineside/inference/model/shape"
)

// dimensions are what a model's memory follows from. The header has passed checkShape.
func dimensions(h *gguf.Header) shape.Shape {
	r := reader{h: h, arch: h.Architecture()}
	d := shape.Shape{Arch: r.arch, Layers: int(r.want("block_count", 1, maxLayers)),
		Hidden: int(r.want("embedding_length", 1, maxWidth)), Context: int(r.want("context_length", 1, 1<<31-1))}
	heads := r.want("attention.head_count", 1, maxWidth)
	d.Heads, d.KVHeads = int(heads), int(r.may("attention.head_count_kv", heads, 1, heads))
	d.HeadDim = int(r.may("attention.key_length", uint64(d.Hidden/d.Heads), 2, maxWidth))
	if v, ok := h.Value("tokenizer.ggml.tokens"); ok {
		d.Vocab = int(v.Len)
	}
	return d
}

// leastChunk is how small Open makes passes to save memory.
const leastChunk = 16

// room refuses a model that would not fit the memory there is, and makes passes
// smaller where that helps. Weights that stay in the file's pages need no memory.
func (o *Options) room(path string, h *gguf.Header) error {
	if o.Available == 0 {
		return nil
	}
	r := fit.Request{Shape: dimensions(h), File: h.TensorBytes(), Context: o.Cells, UBatch: o.Chunk}
	if o.Mapped {
		r.File = 0
	}
	for _, adapter := range o.Adapters {
		if st, err := os.Stat(adapter); err == nil { // one that is not there is refused when it is read
			r.File += uint64(st.Size())
		}
	}
	err := fit.Now(r, o.Available, o.Bound)
	for err != nil && r.UBatch > leastChunk {
		r.UBatch = max(r.UBatch/2, leastChunk)
		err = fit.Now(r, o.Available, o.Bound)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	o.Chunk = r.UBatch
	return nil
}
