package engine

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"lineside/inference"
)

// pass is one batch and whose tokens it holds.
type pass struct {
	batch  []Token
	shares []share
	asks   []*ask
	prompt int // tokens of prompts in it
}

// share is one slot's part of a pass.
type share struct {
	*slot
	row   int // of its first token
	count int // tokens that are certain; drafts follow
}

// mostFaults is how many passes may fail in a row before the engine gives up.
const mostFaults = 3

// step does one round: ends what is over, lets new asks in, computes one pass
// and chooses on. It reports whether it did anything.
func (e *Engine) step(now time.Time) (bool, error) {
	if err := e.sweep(now); err != nil {
		return false, err
	}
	if err := e.compact(); err != nil {
		return false, err
	}
	if err := e.admit(now); err != nil {
		return false, err
	}
	p, err := e.compose()
	if err != nil {
		return false, err
	}
	if len(p.batch) == 0 {
		retired, err := e.retire(now)
		e.publish(nil, 0)
		return retired > 0, err
	}
	e.inPass.Store(&p.asks)
	err = e.cells.decode(p.batch)
	e.inPass.Store(nil)
	now, took := time.Now(), time.Since(now)
	switch {
	case errors.Is(err, ErrAborted):
		e.publish(nil, took)
		return true, nil // the sweep finds who is over
	case err != nil:
		return true, e.fault(p, err, now)
	}
	e.faults = 0
	if p.prompt == 0 {
		e.price.see(len(p.batch), took.Seconds())
	}
	if err := e.collect(p, now); err != nil {
		return true, e.fault(p, err, now)
	}
	e.publish(p, took)
	_, err = e.retire(now)
	return true, err
}

// aloneChunks is how many chunks of prompts a pass takes while no answer runs:
// few, so that a new ask soon gets its turn.
const aloneChunks = 2

// compose fills a pass: first every running answer, then prompts in the order
// of service, in chunks while answers run; last come drafts into rows that
// would be empty.
func (e *Engine) compose() (*pass, error) {
	p, room := &pass{}, e.limits.Batch
	var answers, prompts []*slot
	for _, s := range e.slots {
		switch {
		case s.ended():
		case s.answering():
			answers = append(answers, s)
		default:
			prompts = append(prompts, s)
		}
	}
	for _, s := range answers {
		most := e.opt.Span
		if e.opt.NoJumpForward {
			most = 1
		}
		n, err := e.makeRoom(s, min(len(s.pending()), most, room))
		if err != nil {
			return nil, err
		}
		p.add(s, n)
		room -= n
	}
	room = min(room, e.dial().Batch)
	if len(answers) > 0 {
		room = min(room, e.opt.Chunk)
	}
	for _, s := range prompts {
		wait, err := e.catchUp(s)
		if err != nil {
			return nil, err
		}
		if wait || s.ended() || room <= 0 {
			continue
		}
		if s.pinning && s.n == len(s.tokens) {
			s.stop(inference.FinishStop)
			continue
		}
		n := min(len(s.pending()), room)
		if n < len(s.pending()) { // rows are computed in fours
			n = max(n-(len(p.batch)+n)%4, min(n, 1))
		}
		if n, err = e.makeRoom(s, n); err != nil {
			return nil, err
		}
		p.add(s, n)
		room -= n
	}
	e.addDrafts(p, answers)
	return p, nil
}

// add puts n pending tokens of a slot into the pass.
func (p *pass) add(s *slot, n int) {
	if n <= 0 {
		return
	}
	p.shares = append(p.shares, share{slot: s, row: len(p.batch), count: n})
	p.asks = append(p.asks, s.ask)
	p.prompt += min(n, max(0, len(s.Tokens)-s.n))
	for i, id := range s.pending()[:n] {
		pos := s.n + i
		p.batch = append(p.batch, Token{ID: id, Pos: int32(pos), Seqs: []int32{s.seq}, Logits: pos == len(s.tokens)-1 && !s.pinning})
	}
}

// mostDrafts is up to how many rows a pass is filled with drafts.
const mostDrafts = 16

// fewRows is up to how many rows a pass is cheap to widen.
const fewRows = 4

// addDrafts lets answers guess on, as long as the pass is small.
func (e *Engine) addDrafts(p *pass, answers []*slot) {
	if e.opt.NoLookup || len(answers) == 0 {
		return
	}
	var batch []Token
	for i, sh := range p.shares {
		s, at := sh.slot, sh.row
		p.shares[i].row = len(batch)
		batch = append(batch, p.batch[at:at+sh.count]...)
		if !s.answering() || s.n+sh.count < len(s.tokens) {
			continue
		}
		room := min(mostDrafts-len(p.batch), e.cells.left()-len(p.batch)-slack)
		worth := defaultWorth
		if !s.req.Deterministic {
			worth = e.price.worth()
		}
		s.draft(room, len(p.batch) <= fewRows, worth)
		for j, id := range s.drafts {
			pos := len(s.tokens) + j
			batch = append(batch, Token{ID: id, Pos: int32(pos), Seqs: []int32{s.seq}, Logits: true})
			p.batch = append(p.batch, Token{}) // counts the row
		}
	}
	p.batch = batch
}

// makeRoom frees cells for n tokens of a slot and returns how many there are
// cells for. A slot that has used up what was kept for it, and finds nothing
// more, has met the end of the context.
func (e *Engine) makeRoom(s *slot, n int) (int, error) {
	over := s.answered() > s.reserve
	keep := 0
	if over {
		keep = e.promised(s)
	}
	for e.cells.left()-keep < n {
		if ok, err := e.tree.evict(); err != nil {
			return 0, err
		} else if !ok {
			break
		}
	}
	have := max(0, min(n, e.cells.left()-keep))
	if have == 0 && n > 0 && over {
		s.cutShort(inference.FinishLength)
	}
	return have, nil
}

// collect books what a pass computed and lets the slots choose on.
func (e *Engine) collect(p *pass, now time.Time) error {
	for _, sh := range p.shares {
		s := sh.slot
		s.n += sh.count
		if s.pinning {
			if s.n == len(s.tokens) {
				s.stop(inference.FinishStop)
			}
			continue
		}
		if s.n < len(s.tokens) {
			continue
		}
		if err := s.decide(sh.row+sh.count-1, e.rt.Logits); err != nil {
			return err
		}
		if err := e.cells.trim(s.seq, s.n); err != nil { // drafts that were wrong
			return err
		}
		s.flush(now)
	}
	return nil
}

// fault ends the asks of a pass that failed. The others go on, unless passes
// keep failing.
func (e *Engine) fault(p *pass, cause error, now time.Time) error {
	e.faults++
	e.opt.Log.Error("pass failed", "tokens", len(p.batch), "asks", len(p.asks), "err", cause)
	for _, sh := range p.shares {
		if !sh.ended() {
			sh.failed = fmt.Errorf("%w: a pass failed: %w", inference.ErrUnavailable, cause)
		}
		sh.n = 0 // its cells are not to be trusted
	}
	if _, err := e.retire(now); err != nil {
		return err
	}
	if e.faults >= mostFaults {
		return fmt.Errorf("%d passes failed in a row: %w", e.faults, cause)
	}
	return nil
}

// sweep takes over what callers asked for since the last step: ends, limits, unpins.
func (e *Engine) sweep(now time.Time) error {
	e.mu.Lock()
	gone := e.queue.remove(func(a *ask) bool { return a.over() != "" })
	unpins := e.unpins
	e.unpins = nil
	e.mu.Unlock()
	for _, a := range gone {
		s := newSlot(a, e.voc, &e.work, true, now)
		s.limit = e.answerLimit(a)
		s.stop(a.over())
		if a.format != nil && s.finish == inference.FinishDeadline {
			s.failed = fmt.Errorf("%w: its deadline passed before it was begun", inference.ErrSchema)
		}
		e.count(s)
		a.close(s.answer(e.opt.Model, now), s.failed)
	}
	for _, tokens := range unpins {
		e.letGo(tokens)
	}
	for _, s := range e.slots {
		if why := s.over(); why != "" && !s.ended() {
			s.cutShort(why)
		}
	}
	if _, err := e.retire(now); err != nil || e.dial().PrefixBytes >= e.kept {
		return err
	}
	return e.shrink()
}

// retire takes out the slots that are done and hands over their results.
func (e *Engine) retire(now time.Time) (int, error) {
	var errs []error
	before := len(e.slots)
	e.slots = slices.DeleteFunc(e.slots, func(s *slot) bool {
		if !s.ended() {
			return false
		}
		s.flush(now)
		errs = append(errs, e.release(s))
		e.count(s)
		s.close(s.answer(e.opt.Model, now), s.failed)
		return true
	})
	return before - len(e.slots), errors.Join(errs...)
}

// release gives a slot's cells to the tree, or back.
func (e *Engine) release(s *slot) error {
	if e.alone(s) || s.n == 0 {
		return e.cells.close(s.seq)
	}
	if err := e.cells.trim(s.seq, s.n); err != nil {
		return err
	}
	if err := e.tree.insert(s.tokens[:s.n], s.seq, s.Prefix); err != nil {
		return err
	}
	if s.Prefix > 0 && s.n >= s.Prefix && s.failed == nil && (s.pinning || s.req.Pin && e.worn == "") {
		if err := e.pin(s.Tokens[:s.Prefix]); err != nil {
			s.failed = err
		}
	}
	return e.shrink()
}

// alone reports whether a slot keeps its cells to itself.
func (e *Engine) alone(s *slot) bool { return s.req.Deterministic || e.opt.NoPrefixSharing }
