package engine

// Sharing between asks at work: where two of them have the same tokens ahead,
// only one computes them and the other waits and then shares its cells.

// worthWaiting is how many common tokens make an ask wait for another.
const worthWaiting = 32

// wanted is how many of its tokens a slot may take from others: the last one
// must be computed for its logits.
func (s *slot) wanted() int {
	if s.pinning {
		return len(s.tokens)
	}
	return len(s.tokens) - 1
}

// catchUp lets a slot go on with cells that another slot has computed, and
// reports whether it should wait for more of them. ahead are the slots at work.
func (e *Engine) catchUp(s *slot) (wait bool, err error) {
	if e.alone(s) {
		return false, nil
	}
	for _, o := range e.slots {
		if o == s || s.n >= s.wanted() || e.alone(o) {
			continue
		}
		c := min(common(o.tokens, s.tokens), s.wanted())
		if to := min(c, o.n); to > s.n {
			if err := e.cells.share(o.seq, s.seq, to); err != nil {
				return false, err
			}
			s.usage.Cached += max(0, min(to, len(s.Tokens))-s.n)
			s.n = to
		}
		if c-s.n >= worthWaiting && o.n <= c && o.leads(s) {
			wait = true
		}
	}
	return wait, nil
}

// leads reports whether o computes what both have ahead.
func (o *slot) leads(s *slot) bool {
	return o.n > s.n || o.n == s.n && o.place.compare(s.place) < 0
}

// promised is how many cells the slots, except one, may still take. Tokens
// that two of them have in common are counted once.
func (e *Engine) promised(except *slot) int {
	sum := 0
	for i, s := range e.slots {
		if s != except {
			sum += e.need(s, e.slots[:i])
		}
	}
	return sum
}

// need is how many cells a slot may still take beside those before it.
func (e *Engine) need(s *slot, before []*slot) int {
	from := s.n
	if !e.alone(s) {
		for _, o := range before {
			if c := common(o.tokens, s.tokens[:s.wanted()]); c-from >= worthWaiting && !e.alone(o) {
				from = c
			}
		}
	}
	return max(0, len(s.Tokens)+s.reserve-from) + slack
}

// slack is what a slot may take for drafts, and for short common prefixes that
// were not worth waiting for.
const slack = longDraft + worthWaiting
