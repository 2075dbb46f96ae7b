package engine

import "slices"

// lookup guesses what comes next from what was said before: where the last few
// tokens stand earlier in prompt or answer, the tokens behind them are drafts.
// The model checks drafts in the pass that it needs anyway, so they cost rows
// of a pass and never change the answer.
type lookup struct {
	drafted, accepted int
}

const (
	longMatch  = 3  // tokens that must repeat
	shortMatch = 2  // with acceptance good so far, also this few
	trial      = 12 // drafted tokens after which the rate of acceptance counts
	shortDraft = 3  // with the token before them, four rows of a pass
	longDraft  = 7  // when drafts are mostly right
)

// off reports whether drafting is not worth it for this answer: a smaller part
// than worth was right.
func (l *lookup) off(worth float64) bool {
	return l.drafted >= trial && float64(l.accepted) < worth*float64(l.drafted)
}

// good reports whether drafts are mostly right.
func (l *lookup) good() bool { return l.drafted >= longDraft && 4*l.accepted >= 3*l.drafted }

// next drafts at most room tokens behind tokens.
func (l *lookup) next(tokens []int32, room int, worth float64) []int32 {
	if l.off(worth) {
		return nil
	}
	length, match := shortDraft, longMatch
	if l.good() {
		length, match = longDraft, shortMatch
	}
	length = min(length, room)
	if length <= 0 || len(tokens) <= match {
		return nil
	}
	end := len(tokens) - match
	key := tokens[end:]
	for i := end - 1; i >= 0; i-- {
		if slices.Equal(tokens[i:i+match], key) {
			return slices.Clone(tokens[i+match : min(len(tokens), i+match+length)])
		}
	}
	return nil
}

// draft guesses behind the slot's tokens, within the format. In a pass of more
// than a few rows each row costs its full price: only good guesses go there.
func (s *slot) draft(room int, few bool, worth float64) {
	s.drafts = nil
	if len(s.plan.next()) > 0 || s.n == len(s.tokens) || !few && !s.guess.good() {
		return
	}
	room = min(room, s.limit-s.answered()-1)
	drafts := s.guess.next(s.tokens, room, worth)
	if s.state != nil {
		state := *s.state
		for i, id := range drafts {
			if state.AcceptToken(s.voc.tries, id) != nil || s.voc.isEnd(id) {
				drafts = drafts[:i]
				break
			}
		}
	}
	s.drafts = drafts
}

// price learns what rows cost here: next to nothing where memory is the limit,
// nearly their full share where arithmetic is.
type price struct {
	one, four float64 // seconds of a pass of answers with that many rows
}

// defaultWorth is the acceptance that pays for drafts before prices are known,
// and for asks whose passes must not depend on a clock.
const defaultWorth = 0.5

// see takes in how long a pass of answers took.
func (p *price) see(rows int, seconds float64) {
	const weight = 0.1
	learn := func(v *float64) {
		if *v == 0 {
			*v = seconds
		}
		*v += weight * (seconds - *v)
	}
	switch rows {
	case 1:
		learn(&p.one)
	case 1 + shortDraft:
		learn(&p.four)
	}
}

// worth is the part of drafts that must be right to gain time.
func (p *price) worth() float64 {
	if p.one == 0 || p.four == 0 {
		return defaultWorth
	}
	return min(max((p.four/p.one-1)/shortDraft, 0.1), 0.9)
}
