package engine

import (
	"errors"
	"slices"
)

// ledger keeps the books of the KV cache: which cell every position of every
// sequence lies in, so that the engine always knows what is free and never
// finds out from a failed pass. All changes of the cache go through it.
type ledger struct {
	rt   Runtime
	refs []int32   // sequences that share each cell
	free []int32   // cells without a sequence
	seqs [][]int32 // cells of each sequence, by position
	idle []int32   // sequence ids that nobody uses
}

func newLedger(rt Runtime) *ledger {
	l := rt.Limits()
	b := &ledger{rt: rt, refs: make([]int32, l.Cells), seqs: make([][]int32, l.Sequences)}
	for c := range int32(l.Cells) {
		b.free = append(b.free, c)
	}
	for s := range int32(l.Sequences) {
		b.idle = append(b.idle, s)
	}
	return b
}

// left is how many cells are free.
func (b *ledger) left() int { return len(b.free) }

// used is how many cells are taken.
func (b *ledger) used() int { return len(b.refs) - len(b.free) }

// open hands out an empty sequence.
func (b *ledger) open() (seq int32, ok bool) {
	if len(b.idle) == 0 {
		return 0, false
	}
	seq = b.idle[len(b.idle)-1]
	b.idle = b.idle[:len(b.idle)-1]
	return seq, true
}

// close empties a sequence and takes its id back.
func (b *ledger) close(seq int32) error {
	err := b.trim(seq, 0)
	b.idle = append(b.idle, seq)
	return err
}

// decode runs one pass. Where it fails, what it may have placed is taken out
// again, so that every sequence stands as before.
func (b *ledger) decode(batch []Token) error {
	if len(batch) > len(b.free) {
		return ErrNoCells
	}
	err := b.rt.Decode(batch)
	if errors.Is(err, ErrNoCells) {
		return err
	}
	if err != nil {
		return errors.Join(err, b.undo(batch))
	}
	for _, t := range batch {
		b.place(t.Seqs...)
	}
	return nil
}

// place books one more position.
func (b *ledger) place(seqs ...int32) {
	c := b.free[len(b.free)-1]
	b.free = b.free[:len(b.free)-1]
	b.refs[c] = int32(len(seqs))
	for _, s := range seqs {
		b.seqs[s] = append(b.seqs[s], c)
	}
}

func (b *ledger) undo(batch []Token) error {
	var errs []error
	done := map[int32]bool{}
	for _, t := range batch {
		for _, s := range t.Seqs {
			if !done[s] {
				done[s] = true
				errs = append(errs, b.rt.RemoveSeq(s, t.Pos, -1))
			}
		}
	}
	return errors.Join(errs...)
}

// share lets dst go on with src's cells up to position to.
func (b *ledger) share(src, dst int32, to int) error {
	from := len(b.seqs[dst])
	if from >= to {
		return nil
	}
	if err := b.rt.CopySeq(src, dst, int32(from), int32(to)); err != nil {
		return err
	}
	for _, c := range b.seqs[src][from:to] {
		b.refs[c]++
		b.seqs[dst] = append(b.seqs[dst], c)
	}
	return nil
}

// trim takes a sequence out of its cells from a position on.
func (b *ledger) trim(seq int32, from int) error {
	if from >= len(b.seqs[seq]) {
		return nil
	}
	for _, c := range b.seqs[seq][from:] {
		b.drop(c)
	}
	b.seqs[seq] = b.seqs[seq][:from]
	return b.rt.RemoveSeq(seq, int32(from), -1)
}

func (b *ledger) drop(c int32) {
	if b.refs[c]--; b.refs[c] == 0 {
		b.free = append(b.free, c)
	}
}

// unify returns a sequence that holds what own holds, but shares src's cells
// for the first n positions, where own may have copies of the same tokens. It
// takes own over. Without a spare sequence id the copies stay.
func (b *ledger) unify(src, own int32, n int) (int32, error) {
	if slices.Equal(b.seqs[src][:n], b.seqs[own][:n]) {
		return own, nil
	}
	seq, ok := b.open()
	if !ok {
		return own, nil
	}
	return seq, errors.Join(b.share(src, seq, n), b.share(own, seq, len(b.seqs[own])), b.close(own))
}

// load puts a saved state into an empty sequence.
func (b *ledger) load(seq int32, state []byte) (int, error) {
	n, err := b.rt.LoadSeq(seq, state)
	if err != nil {
		return 0, err
	}
	for range n {
		b.place(seq)
	}
	return n, nil
}

// clear empties the cache and takes all sequence ids back.
func (b *ledger) clear() error {
	fresh := newLedger(b.rt)
	*b = *fresh
	return b.rt.RemoveSeq(-1, 0, -1)
}
