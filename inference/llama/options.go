package llama

import (
	"errors"
	"fmt"
	"runtime"
)

// MaxSequences is the most sequences one context can tell apart (LLAMA_MAX_SEQ).
const MaxSequences = 256

// maxThreads is ggml's own limit (GGML_MAX_N_THREADS).
const maxThreads = 512

// ErrModel marks a file that is not a model this program can run. The text says why.
var ErrModel = errors.New("not a usable model")

// ErrGPU: this program was built for an NVIDIA GPU, and computes nowhere else.
var ErrGPU = errors.New(noGPU + ", for which this engine was built: is the driver loaded, and may the service open its devices " +
	"(/dev/nvidia*, /dev/nvhost-*, /dev/nvmap)? The plain lineside-engine runs on the processor")

// ErrState marks a saved state that this model and build did not write, or that
// is damaged.
var ErrState = errors.New("saved state does not fit")

// ErrNoCgo says that this program was built without a model runtime.
var ErrNoCgo = errors.New("built without cgo: `make build` builds the engine with its runtime")

// Options of Open. The zero value of a field means its default.
type Options struct {
	Cells     int // KV cells shared by all sequences; 4096, rounded up to 256
	Sequences int // sequence ids are 0 to Sequences-1; 8, at most MaxSequences
	Batch     int // most tokens of one Decode; 512
	// Chunk is the number of tokens that pass through the model at once
	// (llama.cpp's n_ubatch): Batch is cut into such pieces. It sets the size of
	// the compute buffer (about half a MB a token with a vocabulary of 128k) and
	// hardly the speed: from 16 to 512 a prompt takes the same time within 4%.
	// Where memory is short (see Available), Open halves it down to 16.
	Chunk int // 64

	Threads        int // for passes of few tokens; all CPUs
	PrefillThreads int // for passes of many; Threads

	// Mapped keeps the weights in the file's pages instead of a repacked copy in
	// memory: starts faster and can be evicted, decodes slower. Without it there
	// is one copy, repacked, and nothing stays mapped.
	Mapped bool
	// Lock keeps the weights from being swapped out; needs the right to lock memory.
	Lock bool

	// Available is how much memory there is for the model, in bytes, and Bound
	// what sets it: Open refuses what would not fit before it loads anything.
	// 0 asks nobody.
	Available uint64
	Bound     string

	// Adapters are paths of LoRA adapters of the model, by name. They are read at once, and
	// do nothing until Wear.
	Adapters map[string]string

	// Progress is called while weights load, with the part done from 0 to 1.
	Progress func(part float64)
}

func (o Options) withDefaults() Options {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&o.Cells, 4096)
	def(&o.Sequences, 8)
	def(&o.Batch, 512)
	def(&o.Chunk, 64)
	def(&o.Threads, runtime.NumCPU())
	def(&o.PrefillThreads, o.Threads)
	o.Cells = (o.Cells + 255) / 256 * 256
	o.Batch = min(o.Batch, o.Cells)
	o.Chunk = min(o.Chunk, o.Batch)
	return o
}

func (o Options) check() error {
	for _, f := range []struct {
		name        string
		v, min, max int
	}{
		{"cells", o.Cells, 256, 1 << 24},
		{"sequences", o.Sequences, 1, MaxSequences},
		{"batch", o.Batch, 1, 1 << 20},
		{"chunk", o.Chunk, 1, 1 << 16},
		{"threads", o.Threads, 1, maxThreads},
		{"prefill threads", o.PrefillThreads, 1, maxThreads},
	} {
		if f.v < f.min || f.v > f.max {
			return fmt.Errorf("%s %d: want %d to %d", f.name, f.v, f.min, f.max)
		}
	}
	return nil
}
