// Package engine answers many asks at once from one loaded model: it schedules
// prefill and decode in shared batches, shares common prefixes, holds answers
// to their format and drafts what can be guessed.
//
// It never touches the network, files other than its saved prefixes, or C: the
// model is a Runtime, which inference/llama is for real and a fake is in tests.
package engine

import "errors"

// ErrAborted is what Runtime.Decode returns after its abort function said stop.
// Which places of the batch were computed is then unknown: before their
// sequences are used again, take the batch's positions out of them
// (RemoveSeq). Earlier cells of the same sequences stand.
var ErrAborted = errors.New("decode aborted")

// ErrNoCells is what Runtime.Decode returns when the KV cache cannot hold the
// batch. Nothing was computed and nothing has changed.
var ErrNoCells = errors.New("no free cells in the KV cache")

// Token is one place of a batch.
type Token struct {
	ID     int32   // vocabulary id
	Pos    int32   // position in its sequences, from 0
	Seqs   []int32 // sequences that the cell belongs to, at least one
	Logits bool    // compute logits at this place
}

// Limits are what a Runtime was opened with.
type Limits struct {
	Cells     int // KV cells shared by all sequences
	Sequences int // sequence ids are 0 to Sequences-1
	Batch     int // most tokens of one Decode
	Vocab     int // tokens in the vocabulary
	CellBytes int // memory of one cell
}

// Runtime is one model with one context over one unified KV cache: a cell may
// belong to several sequences at once. Only one goroutine uses it at a time,
// except SetThreads and Abort functions, which any may call.
type Runtime interface {
	Limits() Limits
	// Decode computes one pass. Positions of a sequence follow each other
	// without a gap, from 0. It returns ErrAborted, ErrNoCells or a fault; a
	// batch that is wrong in itself is a fault that changes nothing.
	Decode(batch []Token) error
	// Logits of the batch place i, which must have asked for them. The slice
	// is the Runtime's own and holds until the next Decode.
	Logits(i int) ([]float32, error)
	// CopySeq lets dst share src's cells in positions [from, to) without
	// copying them; to < 0 means the end. dst must hold none of these positions.
	CopySeq(src, dst, from, to int32) error
	// RemoveSeq takes seq out of its cells in positions [from, to); to < 0
	// means the end. Cells without a sequence are free. seq < 0 empties the
	// cache: the next Decode places its tokens, and so rounds its sums, as in
	// a context just opened.
	RemoveSeq(seq, from, to int32) error
	// Release empties the cache and gives its memory back to the system, as far
	// as it can, until cells are computed again.
	Release() error
	// SaveSeq returns the state of one sequence; LoadSeq puts it back into an
	// empty sequence of the same model and build, and returns the number of
	// tokens it holds. A state that does not fit is an error and leaves dst empty.
	SaveSeq(seq int32) ([]byte, error)
	LoadSeq(dst int32, state []byte) (int, error)
	// SetAbort installs a function that is asked often during Decode, from
	// the compute threads; true ends the pass with ErrAborted. nil removes it.
	SetAbort(stop func() bool)
	// SetThreads changes thread counts from the next pass on: decode for passes of
	// few tokens, prefill for many.
	SetThreads(decode, prefill int)
}

// Wearer is a Runtime that can lay one of its LoRA adapters over the model.
type Wearer interface {
	// Wear lays the named adapter over the model, or with "" takes it away. It empties
	// the cache: what one adapter computed is of no use under another. After an error the
	// runtime is of no use.
	Wear(adapter string) error
}

// Vocabulary turns text into tokens and back. It is safe for concurrent use.
type Vocabulary interface {
	// Tokenize splits text. With special, the names of special tokens in
	// text become those tokens; without, they are ordinary text. It adds no BOS.
	Tokenize(text string, special bool) ([]int32, error)
	// Piece is the bytes that a token stands for; special tokens give none.
	Piece(id int32) []byte
	// EndOfGeneration reports whether the token ends an answer.
	EndOfGeneration(id int32) bool
	// Size is the number of tokens.
	Size() int
}
