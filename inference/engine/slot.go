package engine

import (
	"fmt"
	"time"

	"lineside/inference"
	"lineside/inference/constraint"
)

// slot is an ask at work: what is known of its tokens, how many of them lie in
// the cache, and what the next one may be. Prompt and answer are one row of
// tokens; the engine computes what is pending and asks the slot to choose on.
type slot struct {
	*ask
	voc    *vocab
	seq    int32
	tokens []int32 // prompt and answer
	n      int     // of tokens, in the cache
	drafts []int32 // guesses that the running pass checks behind tokens

	state *constraint.State // of the format; nil for free text
	plan  *plan
	jump  bool // commit what a plan leaves no choice about at once
	draw  sampler
	guess lookup
	text  text

	limit   int // most tokens of the answer
	reserve int // tokens of the answer that cells are kept for
	usage   inference.Usage

	started, first time.Time
	finish         inference.Finish // why the answer is over, or ""
	failed         error
}

func newSlot(a *ask, voc *vocab, mem *scratch, jump bool, now time.Time) *slot {
	s := &slot{ask: a, voc: voc, tokens: append([]int32(nil), a.Tokens...), jump: jump, draw: newSampler(a.req.Sampling, mem), started: now}
	s.usage.Prompt = len(a.Tokens)
	if a.format == nil {
		s.text = newText(a.stops)
		return s
	}
	state := a.format.Start()
	s.state = &state
	return s
}

// begin commits what the format leaves no choice about before the first token.
func (s *slot) begin() {
	if s.state != nil {
		s.look(-1)
		s.rush()
	}
}

// answered is how many tokens the answer has.
func (s *slot) answered() int { return len(s.tokens) - len(s.Tokens) }

// answering reports whether the whole prompt lies in the cache.
func (s *slot) answering() bool { return s.n >= len(s.Tokens) && !s.pinning }

// pending are the tokens that are known but not computed.
func (s *slot) pending() []int32 { return s.tokens[s.n:] }

// ended reports whether nothing is left to do.
func (s *slot) ended() bool { return s.finish != "" || s.failed != nil }

// decide chooses the tokens behind the ones computed. logits gives those of a
// place of the pass: row is that of the last certain token, drafts follow it.
func (s *slot) decide(row int, logits func(int) ([]float32, error)) error {
	drafts := s.drafts
	s.drafts = nil
	s.guess.drafted += len(drafts)
	s.usage.Drafted += len(drafts)
	for !s.ended() && s.n == len(s.tokens) {
		l, err := logits(row)
		if err != nil {
			return err
		}
		s.commit(s.choose(l))
		for len(drafts) > 0 && s.n < len(s.tokens) && s.tokens[s.n] == drafts[0] {
			drafts = drafts[1:]
			s.n++
			row++
			s.guess.accepted++
			s.usage.Accepted++
		}
	}
	return nil
}

// choose picks the next token from logits.
func (s *slot) choose(logits []float32) int32 {
	if ids := s.plan.next(); len(ids) > 0 {
		return s.pick(ids, logits)
	}
	if s.draw.greedy() {
		if id := best(logits); s.state == nil || s.state.AllowsToken(s.voc.tries, id) {
			return id
		}
	}
	var mask []uint64
	if s.state != nil {
		mask = s.draw.mask
		s.state.Mask(s.voc.tries, mask)
	}
	pool := s.draw.legal(logits, mask)
	if len(pool) == 0 {
		return none
	}
	return s.draw.draw(pool)
}

// none stands for no token at all.
const none = -2

// pick chooses among the tokens that a plan leaves.
func (s *slot) pick(ids []int32, logits []float32) int32 {
	if len(ids) == 1 {
		return ids[0]
	}
	pool := s.draw.pool[:0]
	for _, id := range ids {
		if id != endOfWay {
			pool = append(pool, scored{id, logits[id]})
			continue
		}
		end := scored{endOfWay, logits[s.voc.ends[0]]}
		for _, e := range s.voc.ends {
			end.logit = max(end.logit, logits[e])
		}
		pool = append(pool, end)
	}
	return s.draw.draw(pool)
}

// commit makes a token part of the answer, with all that it leaves no choice about.
func (s *slot) commit(id int32) {
	s.put(id)
	s.rush()
}

// rush commits what there is no choice about, if the slot jumps forward.
func (s *slot) rush() {
	for s.jump && !s.ended() {
		ids := s.plan.next()
		if len(ids) != 1 {
			return
		}
		s.put(ids[0])
	}
}

// put makes one token part of the answer.
func (s *slot) put(id int32) {
	switch {
	case id == none:
		s.failed = fmt.Errorf("%w: the model has no token that may follow %q", inference.ErrSchema, tail(s.text.whole))
		return
	case id == endOfWay || s.voc.isEnd(id):
		s.stop(inference.FinishStop)
		return
	case s.state == nil:
		s.tokens = append(s.tokens, id)
		if s.text.add(s.voc.pieces[id]) {
			s.stop(inference.FinishStop)
		} else if s.answered() >= s.limit {
			s.stop(inference.FinishLength)
		}
		return
	}
	next := *s.state
	if err := next.AcceptToken(s.voc.tries, id); err != nil {
		s.failed = fmt.Errorf("%w: %w", inference.ErrSchema, err)
		return
	}
	if !s.closable(next, id) {
		s.cutShort(inference.FinishLength)
		return
	}
	if len(s.plan.next()) == 1 {
		s.usage.Forced++
	}
	s.tokens = append(s.tokens, id)
	s.state = &next
	s.text.add(s.voc.pieces[id])
	if next.Done() {
		s.stop(inference.FinishStop)
		return
	}
	if s.plan != nil {
		s.plan.take(id)
	}
	if len(s.plan.next()) == 0 {
		s.look(id)
	}
}

// look plans what follows the token last.
func (s *slot) look(last int32) {
	p, err := s.voc.lookAhead(*s.state, last)
	if err != nil {
		s.failed = err
		return
	}
	s.plan = p
}

// closable reports whether the answer, with the token id before next, could
// still be closed within its limit.
func (s *slot) closable(next constraint.State, id int32) bool {
	left := s.limit - s.answered() - 1
	closing, ok := next.Closing(maxClosing)
	if !ok {
		return left > 0 // it will be refused if it is cut
	}
	if len(closing) <= left { // a token is a byte at least
		return true
	}
	ids, err := s.voc.continuation(id, closing)
	return err == nil && len(ids) <= left
}

// maxClosing is the longest text that a cut answer is closed with, in bytes.
const maxClosing = 4096

// cutShort ends an answer before the model did. An answer under a format is
// closed with the shortest text that makes it valid.
func (s *slot) cutShort(why inference.Finish) {
	if s.state != nil && why != inference.FinishCancelled {
		closing, ok := s.state.Closing(maxClosing)
		if !ok {
			s.failed = fmt.Errorf("%w: cut (%s) at %q, with no short way to close it", inference.ErrSchema, why, tail(s.text.whole))
			return
		}
		last := int32(-1)
		if s.answered() > 0 {
			last = s.tokens[len(s.tokens)-1]
		}
		ids, err := s.voc.continuation(last, closing)
		if err != nil {
			s.failed = err
			return
		}
		s.usage.Forced += len(ids)
		s.tokens = append(s.tokens, ids...)
		s.text.add(closing)
	}
	s.stop(why)
}

// stop ends the answer as it stands.
func (s *slot) stop(why inference.Finish) {
	s.finish = why
	s.text.end()
}

func tail(b []byte) []byte { return b[max(0, len(b)-40):] }

// flush hands the caller what is ready.
func (s *slot) flush(now time.Time) {
	if text := s.text.take(); text != "" {
		if s.first.IsZero() {
			s.first = now
		}
		s.say(text)
	}
}

// answer is the result as it stands.
func (s *slot) answer(model string, now time.Time) *inference.Result {
	s.usage.Completion = s.answered()
	r := &inference.Result{Text: string(s.text.whole), Finish: s.finish, Model: model, Usage: s.usage}
	r.Timings = inference.Timings{Queue: s.started.Sub(s.arrived), Total: now.Sub(s.arrived)}
	if !s.first.IsZero() {
		r.Timings.First = s.first.Sub(s.arrived)
	}
	return r
}
