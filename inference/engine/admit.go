package engine

import (
	"time"

	"lineside/inference"
)

// openAnswer is how many tokens of the answer cells are kept for where the ask
// names no limit; it may go on beyond them as long as there are cells.
const openAnswer = 256

// alarmSlots are slots beyond the limit for asks above ordinary priority, so
// that an alarm does not wait for the end of somebody's long answer.
const alarmSlots = 1

// enqueue puts an ask in the queue or says when to come back.
func (e *Engine) enqueue(a *ask) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped != nil {
		return e.stopped
	}
	if !e.queue.push(a) {
		e.stats.Refused++
		return &inference.BusyError{Retry: e.retry()}
	}
	return nil
}

// retry guesses when a place in the queue will be free.
func (e *Engine) retry() time.Duration {
	return max(e.took/time.Duration(max(1, e.dials.Slots)), 100*time.Millisecond)
}

// admit lets waiting asks in as long as there are slots and cells.
func (e *Engine) admit(now time.Time) error {
	for {
		e.mu.Lock()
		a, most := e.queue.first(), e.dials.Slots
		e.mu.Unlock()
		if a != nil && a.req.Priority > 0 {
			most = min(most+alarmSlots, e.limits.Sequences-1)
		}
		if a == nil || len(e.slots) >= most {
			return nil
		}
		if ready, err := e.company(a); !ready || err != nil {
			return err
		}
		s, err := e.seat(a, now)
		if s == nil || err != nil {
			return err
		}
		e.mu.Lock()
		e.queue.serve(a)
		e.mu.Unlock()
	}
}

// seat gives an ask a slot with a sequence and what the tree has of its
// prompt; nil means that it has to wait for cells.
func (e *Engine) seat(a *ask, now time.Time) (*slot, error) {
	s := newSlot(a, e.voc, &e.work, !e.opt.NoJumpForward, now)
	s.limit = e.answerLimit(a)
	s.reserve = a.req.MaxTokens
	switch {
	case a.pinning:
		s.reserve = 0
	case s.reserve == 0:
		s.reserve = min(openAnswer, s.limit)
	}
	if err := e.sequence(s); err != nil {
		return nil, err
	}
	s.begin()
	if !e.alone(s) {
		if n, seq := e.tree.find(s.tokens[:s.wanted()]); n > 0 {
			if err := e.cells.share(seq, s.seq, n); err != nil {
				return nil, err
			}
			s.n, s.usage.Cached = n, min(n, len(s.Tokens))
		}
	}
	need := e.promised(nil) + e.need(s, e.slots)
	if spare := e.tree.size - e.tree.pinnedSize(); len(e.slots) > 0 && e.cells.left()+spare < need {
		return nil, e.cells.close(s.seq)
	}
	for e.cells.left() < need {
		ok, err := e.tree.evict()
		if err != nil {
			return nil, err
		}
		if ok {
			continue
		}
		if len(e.slots) > 0 {
			return nil, e.cells.close(s.seq)
		}
		if need-slack > e.cells.left() { // alone with the pinned prefixes, and still too long
			s.failed = &inference.TooLongError{Prompt: len(s.Tokens), Answer: s.reserve, Context: e.cells.left() + s.n}
		}
		break
	}
	e.place(s)
	return s, nil
}

// sequence gives a slot an empty sequence, taking one from the tree if need be.
func (e *Engine) sequence(s *slot) error {
	for {
		seq, ok := e.cells.open()
		if ok {
			s.seq = seq
			return nil
		}
		// There are more sequences than slots, so a leaf of the tree has one; if
		// it is pinned, the pin has to go.
		if ok, err := e.tree.evict(); err != nil {
			return err
		} else if !ok {
			e.tree.unpinOldest()
		}
	}
}

// place puts a slot among the others in the order of service.
func (e *Engine) place(s *slot) {
	at := len(e.slots)
	for at > 0 && s.ask.place.compare(e.slots[at-1].ask.place) < 0 {
		at--
	}
	e.slots = append(e.slots, nil)
	copy(e.slots[at+1:], e.slots[at:])
	e.slots[at] = s
}
