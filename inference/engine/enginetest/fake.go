// Package enginetest holds what tests of the engine stand on: a fake Runtime
// and Vocabulary that keep the rules of a unified KV cache to the letter, and
// the suite that the fake and the real Runtime both pass.
//
// The fake computes no language: its logits are drawn from a hash of the tokens
// before them. It refuses what a real cache would silently get wrong.
package enginetest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"lineside/inference/engine"
)

// CellBytes is what a cell of the fake counts for.
const CellBytes = 1 << 10

// Config shapes a Fake. The zero value is a roomy one.
type Config struct {
	Cells, Sequences, Batch int // as in engine.Limits; 0 takes 4096, 32, 256

	// Order is how many tokens back the logits depend on; 0 is all of them.
	// A small order makes texts that repeat themselves.
	Order int
	// EndOneIn is how often, on average, the end of the answer is the best
	// token; 0 takes 24, less than 0 is never.
	EndOneIn int
	// Jitter moves logits by where the cells lie and what else is in the pass,
	// as rounding does on real hardware, only more.
	Jitter float32
	// PassTime is how long a pass takes (time.Sleep: use it under synctest).
	PassTime func(batch []engine.Token) time.Duration
	// Fault, when it returns an error, is what Decode returns instead of computing.
	Fault func(batch []engine.Token) error
	// OnPass sees every batch that was computed.
	OnPass func(batch []engine.Token)
}

// ubatch is how many tokens the fake computes between two looks at its abort function.
const ubatch = 16

type cell struct {
	token int32
	past  uint64 // hash of the tokens before it when it was computed
	seqs  int    // sequences it belongs to
}

// place is where logits were asked for.
type place struct {
	cell int
	seed uint64 // what the logits are drawn from
}

// Fake is an engine.Runtime over nothing.
type Fake struct {
	cfg   Config
	voc   *Vocabulary
	cells []cell
	used  int
	seq   []map[int32]int // position to cell, for each sequence
	out   map[int]place   // by batch place, of the last pass
	size  int             // of the last pass

	worn string // adapter

	stop     atomic.Pointer[func() bool]
	threads  atomic.Int64
	released atomic.Int64
	in       atomic.Bool // a call is running: only one may
}

// New makes a fake over the fake vocabulary.
func New(voc *Vocabulary, cfg Config) *Fake {
	def := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	def(&cfg.Cells, 4096)
	def(&cfg.Sequences, 32)
	def(&cfg.Batch, 256)
	def(&cfg.EndOneIn, 24)
	f := &Fake{cfg: cfg, voc: voc, cells: make([]cell, cfg.Cells), seq: make([]map[int32]int, cfg.Sequences)}
	for i := range f.seq {
		f.seq[i] = map[int32]int{}
	}
	return f
}

// enter catches two goroutines in the runtime at once.
func (f *Fake) enter() func() {
	if f.in.Swap(true) {
		panic("enginetest: two calls of the runtime at the same time")
	}
	return func() { f.in.Store(false) }
}

// Used is how many cells are taken.
func (f *Fake) Used() int { return f.used }

// Held is how many positions a sequence holds.
func (f *Fake) Held(seq int32) int { return len(f.seq[seq]) }

// Threads are what SetThreads was last told.
func (f *Fake) Threads() (decode, prefill int) {
	t := f.threads.Load()
	return int(t >> 32), int(t & 0xffffffff)
}

// Release implements engine.Runtime.
func (f *Fake) Release() error {
	f.released.Add(1)
	return f.RemoveSeq(-1, 0, -1)
}

// Released is how often Release was called.
func (f *Fake) Released() int { return int(f.released.Load()) }

// Limits implements engine.Runtime.
func (f *Fake) Limits() engine.Limits {
	return engine.Limits{Cells: f.cfg.Cells, Sequences: f.cfg.Sequences, Batch: f.cfg.Batch, Vocab: f.voc.Size(), CellBytes: CellBytes}
}

// Wear implements engine.Wearer, for adapters of any name.
func (f *Fake) Wear(adapter string) error {
	f.worn = adapter
	return f.RemoveSeq(-1, 0, -1)
}

// SetAbort implements engine.Runtime.
func (f *Fake) SetAbort(stop func() bool) {
	if stop == nil {
		f.stop.Store(nil)
		return
	}
	f.stop.Store(&stop)
}

// SetThreads implements engine.Runtime.
func (f *Fake) SetThreads(decode, prefill int) { f.threads.Store(int64(decode)<<32 | int64(prefill)) }

// check finds what is wrong with a batch before anything is changed.
func (f *Fake) check(batch []engine.Token) error {
	if len(batch) == 0 || len(batch) > f.cfg.Batch {
		return fmt.Errorf("batch of %d tokens: want 1 to %d", len(batch), f.cfg.Batch)
	}
	next := map[int32]int32{}
	for i, t := range batch {
		if t.ID < 0 || int(t.ID) >= f.voc.Size() {
			return fmt.Errorf("batch place %d: no token %d in the vocabulary", i, t.ID)
		}
		if len(t.Seqs) == 0 {
			return fmt.Errorf("batch place %d: no sequence", i)
		}
		for _, s := range t.Seqs {
			if s < 0 || int(s) >= f.cfg.Sequences {
				return fmt.Errorf("batch place %d: no sequence %d", i, s)
			}
			if _, ok := next[s]; !ok {
				next[s] = int32(len(f.seq[s]))
			}
			if t.Pos != next[s] {
				return fmt.Errorf("batch place %d: position %d of sequence %d, whose next is %d", i, t.Pos, s, next[s])
			}
			next[s]++
		}
	}
	return nil
}

// Decode implements engine.Runtime.
func (f *Fake) Decode(batch []engine.Token) error {
	defer f.enter()()
	f.out = map[int]place{}
	if err := f.check(batch); err != nil {
		return err
	}
	if f.cfg.Fault != nil {
		if err := f.cfg.Fault(batch); err != nil {
			return err
		}
	}
	if f.used+len(batch) > len(f.cells) {
		return engine.ErrNoCells
	}
	var pass time.Duration
	if f.cfg.PassTime != nil {
		pass = f.cfg.PassTime(batch)
	}
	f.size = len(batch)
	for i, t := range batch {
		if i%ubatch == 0 {
			if stop := f.stop.Load(); stop != nil && (*stop)() {
				return engine.ErrAborted
			}
			if pass > 0 {
				time.Sleep(pass * time.Duration(min(ubatch, len(batch)-i)) / time.Duration(len(batch)))
			}
		}
		if err := f.compute(i, t); err != nil {
			return err
		}
	}
	if stop := f.stop.Load(); stop != nil && (*stop)() {
		return engine.ErrAborted
	}
	if f.cfg.OnPass != nil {
		f.cfg.OnPass(batch)
	}
	return nil
}

// compute puts one token into the first free cell.
func (f *Fake) compute(i int, t engine.Token) error {
	past, err := f.past(t.Seqs[0], t.Pos)
	if err != nil {
		return err
	}
	for _, s := range t.Seqs[1:] {
		if p, err := f.past(s, t.Pos); err != nil || p != past {
			return errors.Join(err, fmt.Errorf("batch place %d: sequences %d and %d have another past", i, t.Seqs[0], s))
		}
	}
	at := slices.IndexFunc(f.cells, func(c cell) bool { return c.seqs == 0 })
	f.cells[at] = cell{token: t.ID, past: past, seqs: len(t.Seqs)}
	f.used++
	for _, s := range t.Seqs {
		f.seq[s][t.Pos] = at
	}
	if t.Logits {
		f.out[i] = place{cell: at, seed: f.seed(t.Seqs[0], t.Pos)}
	}
	return nil
}

// past hashes what a sequence holds before a position. Sequences are always
// whole up to their first gap, so the last cell speaks for all before it.
func (f *Fake) past(seq, pos int32) (uint64, error) {
	if pos == 0 {
		return f.bare(), nil
	}
	at, ok := f.seq[seq][pos-1]
	if !ok {
		return 0, fmt.Errorf("sequence %d has no cell at position %d", seq, pos-1)
	}
	return chain(f.cells[at].past, f.cells[at].token), nil
}

// bare is the past of a first token: what a cell holds depends on the adapter.
func (f *Fake) bare() uint64 {
	var h uint64
	for _, b := range []byte(f.worn) {
		h = mix(h<<8 + uint64(b))
	}
	return h
}

// seed hashes the tokens that the logits at a position depend on.
func (f *Fake) seed(seq, pos int32) uint64 {
	if f.cfg.Order <= 0 {
		c := f.cells[f.seq[seq][pos]]
		return chain(c.past, c.token)
	}
	var h uint64
	for p := max(0, pos-int32(f.cfg.Order)+1); p <= pos; p++ {
		h = chain(h, f.cells[f.seq[seq][p]].token)
	}
	return h
}

func chain(past uint64, token int32) uint64 { return mix(past*31 + uint64(token) + 1) }

func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// Logits implements engine.Runtime.
func (f *Fake) Logits(i int) ([]float32, error) {
	defer f.enter()()
	p, ok := f.out[i]
	if !ok {
		return nil, fmt.Errorf("batch place %d has no logits", i)
	}
	out := make([]float32, f.voc.Size())
	for id := range out {
		out[id] = 8 * float32(mix(p.seed^uint64(id)*0x9e3779b97f4a7c15)>>40) / (1 << 24)
		if f.cfg.Jitter > 0 {
			out[id] += f.cfg.Jitter * float32(mix(p.seed^uint64(id*7919+p.cell*131+f.size))>>40) / (1 << 24)
		}
	}
	for id := f.voc.first; int(id) < f.voc.Size(); id++ {
		out[id] = -8
	}
	if n := f.cfg.EndOneIn; n > 0 && mix(p.seed+1)%uint64(n) == 0 {
		out[f.voc.Special(EOT)] = 9 + f.cfg.Jitter
	}
	return out, nil
}

// CopySeq implements engine.Runtime.
func (f *Fake) CopySeq(src, dst, from, to int32) error {
	defer f.enter()()
	if src == dst {
		return nil
	}
	if err := f.known(src, dst); err != nil {
		return err
	}
	for pos, at := range f.seq[src] {
		if pos < from || to >= 0 && pos >= to {
			continue
		}
		if _, taken := f.seq[dst][pos]; taken {
			return fmt.Errorf("sequence %d already holds position %d", dst, pos)
		}
		f.seq[dst][pos] = at
		f.cells[at].seqs++
	}
	return f.whole(dst)
}

func (f *Fake) known(seqs ...int32) error {
	for _, s := range seqs {
		if s < 0 || int(s) >= f.cfg.Sequences {
			return fmt.Errorf("no sequence %d", s)
		}
	}
	return nil
}

// whole makes sure that a sequence made of shared cells is one that could have
// been computed.
func (f *Fake) whole(seq int32) error {
	past := f.bare()
	for pos := range int32(len(f.seq[seq])) {
		at, ok := f.seq[seq][pos]
		if !ok {
			return fmt.Errorf("sequence %d has a hole at position %d", seq, pos)
		}
		if f.cells[at].past != past {
			return fmt.Errorf("sequence %d: the cell at position %d was computed after other tokens", seq, pos)
		}
		past = chain(past, f.cells[at].token)
	}
	return nil
}

// RemoveSeq implements engine.Runtime.
func (f *Fake) RemoveSeq(seq, from, to int32) error {
	defer f.enter()()
	if seq < 0 {
		for s := range f.seq {
			f.remove(int32(s), 0, -1)
		}
		return nil
	}
	if err := f.known(seq); err != nil {
		return err
	}
	f.remove(seq, from, to)
	return nil
}

func (f *Fake) remove(seq, from, to int32) {
	maps.DeleteFunc(f.seq[seq], func(pos int32, at int) bool {
		if pos < from || to >= 0 && pos >= to {
			return false
		}
		if f.cells[at].seqs--; f.cells[at].seqs == 0 {
			f.cells[at] = cell{}
			f.used--
		}
		return true
	})
}

var stateMagic = []byte("fake-kv1")

// SaveSeq implements engine.Runtime.
func (f *Fake) SaveSeq(seq int32) ([]byte, error) {
	defer f.enter()()
	if err := f.known(seq); err != nil {
		return nil, err
	}
	if err := f.whole(seq); err != nil {
		return nil, err
	}
	b := bytes.Clone(stateMagic)
	for pos := range int32(len(f.seq[seq])) {
		b = binary.LittleEndian.AppendUint32(b, uint32(f.cells[f.seq[seq][pos]].token))
	}
	return b, nil
}

// LoadSeq implements engine.Runtime.
func (f *Fake) LoadSeq(dst int32, state []byte) (int, error) {
	defer f.enter()()
	if err := f.known(dst); err != nil {
		return 0, err
	}
	body, ok := bytes.CutPrefix(state, stateMagic)
	if !ok || len(body)%4 != 0 {
		return 0, errors.New("not a state of this model")
	}
	if len(f.seq[dst]) > 0 {
		return 0, fmt.Errorf("sequence %d is not empty", dst)
	}
	n := len(body) / 4
	if f.used+n > len(f.cells) {
		return 0, engine.ErrNoCells
	}
	for i := range n {
		t := engine.Token{ID: int32(binary.LittleEndian.Uint32(body[4*i:])), Pos: int32(i), Seqs: []int32{dst}}
		if t.ID < 0 || int(t.ID) >= f.voc.Size() {
			f.remove(dst, 0, -1)
			return 0, fmt.Errorf("state holds token %d, which is not in the vocabulary", t.ID)
		}
		if err := f.compute(-1, t); err != nil {
			return 0, err
		}
	}
	return n, nil
}
