// Package fit plans memory: whether a model, a context and so many slots fit a
// board, how much context would, and which quantization would.
//
// It computes from shapes and sizes alone. It never measures the board and never
// loads a model. All sizes are bytes.
package fit

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"lineside/inference/model/catalogue"
	"lineside/inference/model/shape"
)

// Defaults of a plan.
const (
	DefaultContext = 4096
	DefaultSlots   = 8
	DefaultUBatch  = 64 // tokens of one pass, as lineside-engine cuts them

	// Daemon is what linesided, the engine's tables of its vocabulary and the
	// rest of the system are given.
	Daemon = 200_000_000
	// Program is what lineside-engine itself takes: its code, its own tables, the
	// answers it works on.
	Program = 64_000_000
	// Share of the memory that may be used, in percent. The rest is the kernel's,
	// the page cache's and the margin.
	Share = 80
)

// Request is what has to fit. Zero fields but Shape, File and RAM have defaults.
type Request struct {
	Shape   shape.Shape
	File    uint64 // size of the model file
	RAM     uint64 // of the board
	Context int    // tokens that all slots share
	Slots   int
	UBatch  int // tokens of one pass
	// Flash plans for attention that keeps no scores. lineside-engine keeps them,
	// because it prefills faster on a processor, so its scratch grows with the context.
	Flash bool
}

// Plan is how the memory would be used.
type Plan struct {
	Fits       bool   `json:"fits"`
	Why        string `json:"why"` // one sentence, for people
	RAM        uint64 `json:"ram"`
	Budget     uint64 `json:"budget"` // the usable share of RAM
	Weights    uint64 `json:"weights"`
	KV         uint64 `json:"kv"`
	Compute    uint64 `json:"compute"`    // scratch of one pass, when the context is full
	Vocabulary uint64 `json:"vocabulary"` // tables of the tokenizer; counted in Daemon
	Program    uint64 `json:"program"`    // of the engine itself; counted in Daemon
	Daemon     uint64 `json:"daemon"`
	Total      uint64 `json:"total"`
	Context    int    `json:"context"`
	Slots      int    `json:"slots"`
	MaxContext int    `json:"max_context"` // the largest that fits, 0 for none; a multiple of 256
}

// Engine is the memory of the engine process with its context full.
func (p Plan) Engine() uint64 { return p.Weights + p.KV + p.Compute + p.Vocabulary + p.Program }

// ErrMemory marks a model that does not fit the memory that is available now.
var ErrMemory = errors.New("not enough memory")

// Now holds the engine to the memory that is available on this machine now, in
// bytes; bound says what sets that bound. The error wraps ErrMemory and has the numbers.
func Now(r Request, available uint64, bound string) error {
	p := Memory(r)
	if p.Engine() <= available {
		return nil
	}
	mend := "take a smaller quantization or model"
	for c := (p.Context - 1) / cells * cells; c > 0; c -= cells {
		r.Context = c
		if Memory(r).Engine() <= available {
			mend = fmt.Sprintf("--ctx %d fits", c)
			break
		}
	}
	return fmt.Errorf("%w: needs %s (weights %s, cache of %d tokens %s, scratch %s, vocabulary and program %s), available are %s on account of %s: %s",
		ErrMemory, Size(p.Engine()), Size(p.Weights), p.Context, Size(p.KV), Size(p.Compute), Size(p.Vocabulary+p.Program), Size(available), bound, mend)
}

// tokenBytes is what llama.cpp's maps and lists hold for a token and its merges,
// measured with the vocabularies of Llama 2 and 3.
const tokenBytes = 440

// Memory plans one request.
func Memory(r Request) Plan {
	if r.Context == 0 {
		r.Context = DefaultContext
	}
	if r.Slots == 0 {
		r.Slots = DefaultSlots
	}
	if r.UBatch == 0 {
		r.UBatch = DefaultUBatch
	}
	p := Plan{RAM: r.RAM, Budget: r.RAM / 100 * Share, Weights: r.File, Daemon: Daemon, Program: Program, Context: r.Context, Slots: r.Slots,
		KV: uint64(r.Context) * r.Shape.KVBytesPerToken(), Compute: scratch(r), Vocabulary: tokenBytes * uint64(r.Shape.Vocab)}
	p.Total = p.Weights + p.KV + p.Compute + p.Daemon
	p.MaxContext = maxContext(r, p.Budget)
	p.Fits = p.Total <= p.Budget && r.Context <= r.Shape.Context
	p.Why = p.explain(r)
	return p
}

// scratch is the memory of one pass. llama.cpp lays the logits over what attention
// needs before them, so the larger counts; the product of scores and values
// takes a copy of the scores in 16-bit floats besides.
func scratch(r Request) uint64 {
	logits := r.Shape.ComputeBytes(r.UBatch)
	if r.Flash {
		return logits
	}
	n := func(i int) uint64 { return uint64(i) }
	s := r.Shape
	scores := n(r.Context) * n(s.Heads)
	attention := 4 * n(r.UBatch) * (scores + n(r.Context) + 2*n(s.Hidden) + 2*n(s.Heads+s.KVHeads)*n(s.HeadDim))
	return max(logits, attention) + 2*n(r.UBatch)*scores
}

// cells is how many tokens the cache grows by.
const cells = 256

// maxContext is the largest context in whole cells of the cache that fits memory and training.
func maxContext(r Request, budget uint64) int {
	lowest := sort.Search(r.Shape.Context/cells, func(i int) bool { // the first that does not fit
		r.Context = (i + 1) * cells
		return r.File+uint64(r.Context)*r.Shape.KVBytesPerToken()+scratch(r)+Daemon > budget
	})
	return lowest * cells
}

func (p Plan) explain(r Request) string {
	switch {
	case p.Fits:
		return fmt.Sprintf("fits: %s of the usable %s", Size(p.Total), Size(p.Budget))
	case r.Context > r.Shape.Context:
		return fmt.Sprintf("does not fit: the model was trained for %d tokens, not %d", r.Shape.Context, r.Context)
	case p.MaxContext > 0:
		return fmt.Sprintf("does not fit: needs %s, usable are %s: a context of %d fits", Size(p.Total), Size(p.Budget), p.MaxContext)
	}
	return fmt.Sprintf("does not fit: needs %s, usable are %s, at no context: take a smaller quantization or model",
		Size(p.Total), Size(p.Budget))
}

// Option is another quantization of the same model, and whether it fits.
type Option struct {
	Quantization shape.Mixture `json:"quantization"`
	File         uint64        `json:"file"`
	Fits         bool          `json:"fits"`
	MaxContext   int           `json:"max_context"`
}

// Options plans the request for every quantization. header is what a file has besides its
// tensors.
func Options(r Request, header uint64) []Option {
	var list []Option
	for _, m := range shape.Mixtures() {
		r.File = r.Shape.TensorBytes(m) + header
		p := Memory(r)
		list = append(list, Option{Quantization: m, File: r.File, Fits: p.Fits, MaxContext: p.MaxContext})
	}
	return list
}

// boards are the memory sizes that boards come with, in GiB.
var boards = []uint64{2, 4, 8, 16, 32, 64}

// SmallestBoard is the least memory in GiB that runs a model of the catalogue, 0 for none.
// It assumes 8,192 tokens or the model's own smaller context, passes of 512, and
// attention without scores, as published tables do.
func SmallestBoard(m catalogue.Model, q shape.Mixture) int {
	if m.Arch() == "" {
		return 0
	}
	for _, gib := range boards {
		r := Request{Shape: m.Shape, File: m.Shape.TensorBytes(q) + m.Header, RAM: gib << 30,
			Context: min(8192, m.Context()), UBatch: 512, Flash: true}
		if Memory(r).Fits {
			return int(gib)
		}
	}
	return 0
}

// Size writes bytes as people read them, in units of 1000.
func Size(n uint64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.0f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%d bytes", n)
}

// ParseSize reads sizes like 4GiB, 512 MB, 7.6G or 1073741824. G and GB are
// 1000³, GiB is 1024³.
func ParseSize(text string) (uint64, error) {
	digits := strings.TrimRight(text, "KMGTiBkb ")
	unit := strings.ToUpper(strings.TrimSpace(text[len(digits):]))
	factor, ok := map[string]float64{"": 1, "B": 1, "K": 1e3, "KB": 1e3, "KIB": 1 << 10, "M": 1e6, "MB": 1e6, "MIB": 1 << 20,
		"G": 1e9, "GB": 1e9, "GIB": 1 << 30, "T": 1e12, "TB": 1e12, "TIB": 1 << 40}[unit]
	var n float64
	var rest string
	if c, _ := fmt.Sscanf(digits, "%g%s", &n, &rest); !ok || c != 1 || !(n > 0 && n*factor < 1<<50) {
		return 0, fmt.Errorf("%q is no size: write it like 4GiB or 512MB", text)
	}
	return uint64(n * factor), nil
}
