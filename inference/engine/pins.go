package engine

import (
	"errors"
	"fmt"
	"slices"

	"lineside/inference"
)

// Pinned prefixes: kept in the tree until they are let go, saved on disk, and
// set aside while an ask has the cache to itself.

// parked is a pinned prefix outside the cache.
type parked struct {
	tokens []int32
	state  []byte
}

var errNoSequence = errors.New("no sequence to spare: open the runtime with more")

// pin keeps a prefix that the tree holds, and saves it.
func (e *Engine) pin(tokens []int32) error {
	if e.tree.isPinned(tokens) {
		return nil
	}
	if !e.tree.pin(tokens) {
		return nil // evicted meanwhile: the next ask computes it again
	}
	if size := e.tree.pinnedSize(); size > e.mostPinned() {
		e.tree.unpin(tokens)
		return fmt.Errorf("%w: pinned prefixes would take %d of %d cells, at most %d may be: unpin some or raise engine.ctx",
			inference.ErrTooLong, size, e.limits.Cells, e.mostPinned())
	}
	if e.opt.StateDir == "" {
		return nil
	}
	state, err := e.snapshot(tokens)
	if err != nil {
		e.opt.Log.Warn("prefix not saved", "tokens", len(tokens), "err", err)
		return nil
	}
	e.saver.save(e.opt, tokens, state)
	return nil
}

// letGo unpins a prefix and forgets what was saved of it.
func (e *Engine) letGo(tokens []int32) {
	e.tree.unpin(tokens)
	e.parked = slices.DeleteFunc(e.parked, func(p parked) bool { return slices.Equal(p.tokens, tokens) })
	if e.opt.StateDir != "" {
		e.saver.remove(e.opt, tokens)
	}
}

// snapshot is the state of a prefix that the tree holds.
func (e *Engine) snapshot(tokens []int32) ([]byte, error) {
	n, from := e.tree.find(tokens)
	if n < len(tokens) {
		return nil, fmt.Errorf("only %d of %d tokens are in the cache", n, len(tokens))
	}
	seq, ok := e.cells.open()
	if !ok {
		return nil, errNoSequence
	}
	if err := e.cells.share(from, seq, n); err != nil {
		return nil, err
	}
	state, err := e.rt.SaveSeq(seq)
	if cerr := e.cells.close(seq); err == nil {
		err = cerr
	}
	return state, err
}

// company makes the cache ready for an ask: one that wants the same bytes every
// time has it to itself, empty, so that its cells always lie in the same
// places. It reports whether the ask can begin now.
func (e *Engine) company(a *ask) (bool, error) {
	if a.req.Adapter != e.worn {
		if len(e.slots) > 0 {
			return false, nil
		}
		if err := e.wear(a.req.Adapter); err != nil {
			return false, err
		}
	}
	if a.req.Deterministic {
		if len(e.slots) > 0 {
			return false, nil
		}
		return true, e.park()
	}
	if slices.ContainsFunc(e.slots, func(s *slot) bool { return s.req.Deterministic }) {
		return false, nil
	}
	if e.worn != "" {
		return true, nil // pinned prefixes are the model's alone
	}
	return true, e.unpark()
}

// wear changes the adapter. Pinned prefixes are set aside until the model works alone again.
func (e *Engine) wear(adapter string) error {
	if err := e.park(); err != nil {
		return err
	}
	e.worn = adapter
	return e.rt.(Wearer).Wear(adapter) // New has seen to it that it is one
}

// park empties the cache, keeping pinned prefixes aside.
func (e *Engine) park() error {
	e.tree.pinned(func(tokens []int32, _ int32) {
		state, serr := e.snapshot(tokens)
		if serr != nil {
			e.opt.Log.Warn("pinned prefix lost", "tokens", len(tokens), "err", serr)
			return
		}
		e.parked = append(e.parked, parked{tokens, state})
	})
	e.tree.forget()
	return e.cells.clear()
}

// unpark puts the pinned prefixes back.
func (e *Engine) unpark() error {
	for _, p := range e.parked {
		if err := e.plant(p.tokens, p.state); err != nil {
			e.opt.Log.Warn("pinned prefix lost", "tokens", len(p.tokens), "err", err)
			continue
		}
		e.tree.pin(p.tokens)
	}
	e.parked = nil
	return nil
}

// plant puts a saved prefix into the tree.
func (e *Engine) plant(tokens []int32, state []byte) error {
	seq, ok := e.cells.open()
	if !ok {
		return errNoSequence
	}
	n, err := e.cells.load(seq, state)
	if err == nil && n != len(tokens) {
		err = fmt.Errorf("state holds %d tokens, want %d", n, len(tokens))
	}
	if err != nil {
		return errors.Join(err, e.cells.close(seq))
	}
	return e.tree.insert(tokens, seq, len(tokens))
}
