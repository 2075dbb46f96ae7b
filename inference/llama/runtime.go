//go:build cgo

package llama

// #include "shim.h"
import "C"

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"unsafe"

	"lineside/inference/engine"
)

// fewTokens is the longest pass that runs with the decode threads: more tokens
// than this are bound by arithmetic, not by memory.
const fewTokens = 16

// Runtime is a loaded model with one context. It implements engine.Runtime;
// Close it when the last Decode has returned.
type Runtime struct {
	s      *session
	vocab  *vocabulary
	limits engine.Limits
	origin fingerprint

	adapters []string // names, in the order of loading

	abort           atomic.Pointer[func() bool]
	decode, prefill atomic.Int32 // threads

	passes chan func() // run on the thread that owns the compute threads
	done   chan struct{}

	batch batch
	next  []int32 // scratch: the position that each sequence of a batch expects
	asked []bool  // places of the last batch that have logits
}

var _ engine.Runtime = (*Runtime)(nil)

// batch is the last batch in C's layout.
type batch struct {
	token, pos, nSeqs, seqs []int32
	logits                  []int8
}

// Open loads the model at path. Every failure is one line; those that no other
// attempt can mend wrap ErrModel, want of memory fit.ErrMemory. Cancelling ctx ends the load.
func Open(ctx context.Context, path string, o Options) (*Runtime, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	header, err := check(path, false)
	if err != nil {
		return nil, err
	}
	if err := o.room(path, header); err != nil {
		return nil, err
	}
	origin, err := fingerprintOf(path)
	if err != nil {
		return nil, err
	}
	r := &Runtime{
		origin: origin,
		next:   make([]int32, o.Sequences),
		passes: make(chan func()),
		done:   make(chan struct{}),
		asked:  make([]bool, 0, o.Batch),
	}
	r.SetThreads(o.Threads, o.PrefillThreads)
	r.s, err = open(ctx, path, C.ls_options{
		cells:     C.uint32_t(o.Cells),
		batch:     C.uint32_t(o.Batch),
		chunk:     C.uint32_t(o.Chunk),
		sequences: C.uint32_t(o.Sequences),
		mapped:    C.bool(o.Mapped),
		lock:      C.bool(o.Lock),
	}, &hooks{abort: r.stop}, o.Progress)
	if err != nil {
		return nil, err
	}
	if err := r.load(o.Adapters, header); err != nil {
		r.s.close()
		return nil, err
	}
	if r.vocab, err = newVocabulary(r.s); err != nil {
		r.s.close()
		return nil, err
	}
	go r.compute()
	r.limits = engine.Limits{Cells: o.Cells, Sequences: o.Sequences, Batch: o.Batch, Vocab: r.vocab.Size(),
		CellBytes: int(dimensions(header).KVBytesPerToken())}
	return r, nil
}

// Close frees the model, its cells and its threads. The vocabulary answers no
// more questions after it. Closing again does nothing.
func (r *Runtime) Close() {
	if r.s.c == nil {
		return
	}
	close(r.passes)
	<-r.done
	r.vocab.close()
}

// compute runs passes on one thread of the system: OpenMP keeps its compute
// threads for the thread that started them, and ends them with it.
func (r *Runtime) compute() {
	runtime.LockOSThread() // and never unlocked: the thread ends here
	defer close(r.done)
	for pass := range r.passes {
		pass()
	}
}

// pass runs f on the compute thread.
func (r *Runtime) pass(f func()) {
	done := make(chan struct{})
	r.passes <- func() {
		defer close(done)
		f()
	}
	<-done
}

// Vocabulary is the model's own.
func (r *Runtime) Vocabulary() engine.Vocabulary { return r.vocab }

// Limits implements engine.Runtime.
func (r *Runtime) Limits() engine.Limits { return r.limits }

// SetThreads implements engine.Runtime.
func (r *Runtime) SetThreads(decode, prefill int) {
	r.decode.Store(int32(min(max(decode, 1), maxThreads)))
	r.prefill.Store(int32(min(max(prefill, 1), maxThreads)))
}

// SetAbort implements engine.Runtime.
func (r *Runtime) SetAbort(stop func() bool) {
	if stop == nil {
		r.abort.Store(nil)
		return
	}
	r.abort.Store(&stop)
}

func (r *Runtime) stop() bool {
	f := r.abort.Load()
	return f != nil && (*f)()
}

// Decode implements engine.Runtime. After any error the cache holds what it held before.
func (r *Runtime) Decode(tokens []engine.Token) error {
	r.asked = r.asked[:0]
	if err := r.fill(tokens); err != nil {
		return err
	}
	if r.stop() {
		return engine.ErrAborted
	}
	threads := r.prefill.Load()
	if len(tokens) <= fewTokens {
		threads = r.decode.Load()
	}
	var rc C.int
	var e reason
	r.pass(func() {
		b := &r.batch
		rc = C.ls_decode(r.s.c, C.int(len(tokens)), C.int(threads),
			ptr(b.token), ptr(b.pos), ptr(b.nSeqs), ptr(b.seqs), (*C.int8_t)(unsafe.Pointer(unsafe.SliceData(b.logits))),
			e.ptr(), e.cap())
	})
	switch rc {
	case 0:
		for _, t := range tokens {
			r.asked = append(r.asked, t.Logits)
		}
		return nil
	case 1:
		return engine.ErrNoCells
	}
	r.undo(tokens)
	if rc == 2 {
		return engine.ErrAborted
	}
	slog.Debug("llama.cpp failed a pass", "code", int(rc), "reason", e.String())
	if rc == -1 {
		return fmt.Errorf("batch of %d tokens refused: sequences that share a place must be equal before it", len(tokens))
	}
	return fmt.Errorf("pass of %d tokens: %w", len(tokens), errThrown)
}

// fill checks a batch and lays it out for C. llama.cpp asserts some of these rules.
func (r *Runtime) fill(tokens []engine.Token) error {
	if r.s.c == nil {
		return errClosed
	}
	if len(tokens) == 0 || len(tokens) > r.limits.Batch {
		return fmt.Errorf("batch of %d tokens: want 1 to %d", len(tokens), r.limits.Batch)
	}
	for i := range r.next {
		r.next[i] = -1
	}
	b := &r.batch
	b.token, b.pos, b.nSeqs, b.seqs, b.logits = b.token[:0], b.pos[:0], b.nSeqs[:0], b.seqs[:0], b.logits[:0]
	for i, t := range tokens {
		if t.ID < 0 || int(t.ID) >= r.limits.Vocab {
			return fmt.Errorf("batch place %d: token %d is not in the vocabulary of %d", i, t.ID, r.limits.Vocab)
		}
		if len(t.Seqs) == 0 {
			return fmt.Errorf("batch place %d: no sequence", i)
		}
		for _, seq := range t.Seqs {
			if err := r.sequence(seq); err != nil {
				return fmt.Errorf("batch place %d: %w", i, err)
			}
			want := &r.next[seq]
			if *want < 0 {
				*want = int32(C.ls_last(r.s.c, C.int32_t(seq))) + 1
			}
			if t.Pos != *want {
				return fmt.Errorf("batch place %d: position %d of sequence %d, want %d", i, t.Pos, seq, *want)
			}
			*want++
		}
		logits := int8(0)
		if t.Logits {
			logits = 1
		}
		b.token = append(b.token, t.ID)
		b.pos = append(b.pos, t.Pos)
		b.nSeqs = append(b.nSeqs, int32(len(t.Seqs)))
		b.seqs = append(b.seqs, t.Seqs...)
		b.logits = append(b.logits, logits)
	}
	return nil
}

// undo takes a failed batch out of its sequences, whatever of it was computed.
func (r *Runtime) undo(tokens []engine.Token) {
	for _, t := range tokens {
		for _, seq := range t.Seqs {
			C.ls_remove(r.s.c, C.int32_t(seq), C.int32_t(t.Pos), -1)
		}
	}
}

func (r *Runtime) sequence(seq int32) error {
	if r.s.c == nil {
		return errClosed
	}
	if seq < 0 || int(seq) >= r.limits.Sequences {
		return fmt.Errorf("sequence %d: want 0 to %d", seq, r.limits.Sequences-1)
	}
	return nil
}

// Logits implements engine.Runtime. Logits that are no numbers are an error: the
// weights or the memory are damaged.
func (r *Runtime) Logits(i int) ([]float32, error) {
	if r.s.c == nil {
		return nil, errClosed
	}
	if i < 0 || i >= len(r.asked) || !r.asked[i] {
		return nil, fmt.Errorf("batch place %d did not ask for logits", i)
	}
	var finite C.bool
	p := C.ls_logits(r.s.c, C.int(i), &finite)
	if p == nil {
		return nil, fmt.Errorf("logits of batch place %d: %w", i, errThrown)
	}
	if !finite {
		return nil, fmt.Errorf("logits of batch place %d are not numbers: the model file or the memory is damaged", i)
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(p)), r.limits.Vocab), nil
}

// CopySeq implements engine.Runtime.
func (r *Runtime) CopySeq(src, dst, from, to int32) error {
	if err := r.sequence(src); err != nil {
		return err
	}
	if err := r.sequence(dst); err != nil {
		return err
	}
	if src == dst {
		return nil
	}
	if last := int32(C.ls_last(r.s.c, C.int32_t(dst))); last >= max(from, 0) {
		return fmt.Errorf("copy to sequence %d from position %d on: it holds positions up to %d", dst, from, last)
	}
	C.ls_copy(r.s.c, C.int32_t(src), C.int32_t(dst), C.int32_t(from), C.int32_t(to))
	return nil
}

// RemoveSeq implements engine.Runtime.
func (r *Runtime) RemoveSeq(seq, from, to int32) error {
	if err := r.sequence(max(seq, 0)); err != nil {
		return err
	}
	if seq < 0 {
		C.ls_clear(r.s.c)
		return nil
	}
	if !C.ls_remove(r.s.c, C.int32_t(seq), C.int32_t(from), C.int32_t(to)) {
		return fmt.Errorf("positions %d to %d of sequence %d cannot be removed", from, to, seq)
	}
	return nil
}

// Release implements engine.Runtime.
func (r *Runtime) Release() error {
	if r.s.c == nil {
		return errClosed
	}
	C.ls_clear(r.s.c)
	slog.Debug("memory of the cache given back", "bytes", int64(C.ls_release(r.s.c)))
	return nil
}

func ptr(s []int32) *C.int32_t { return (*C.int32_t)(unsafe.Pointer(unsafe.SliceData(s))) }
