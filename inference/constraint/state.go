package constraint

import (
	"errors"
	"fmt"
)

// ErrIllegal is what a state returns for bytes or a token that may not follow.
var ErrIllegal = errors.New("not allowed by the format")

// State is a place in one answer. It is a small value: copy it to try
// something and throw the copy away. Different copies may be used at once.
type State struct {
	c     *Constraint
	at    *dstate
	ended bool
}

// Start is the state before the first byte of an answer.
func (c *Constraint) Start() State {
	c.dfa.work.Store(0)
	return State{c: c, at: c.dfa.start.Load()}
}

// run is the state after text, or nil.
func (d *dfa) run(s *dstate, text []byte) *dstate {
	for _, b := range text {
		if s = d.step(s, b); s == nil {
			return nil
		}
	}
	return s
}

// AcceptBytes goes on by text, which may end within a character. On error,
// which wraps ErrIllegal, the state stays where it was.
func (s *State) AcceptBytes(text []byte) error {
	if s.ended && len(text) > 0 {
		return fmt.Errorf("%w: %q after the end", ErrIllegal, text)
	}
	next := s.at
	for i, b := range text {
		if next = s.c.dfa.step(next, b); next == nil {
			return fmt.Errorf("%w: %q at byte %d of %q", ErrIllegal, b, i, text)
		}
	}
	s.at = next
	return nil
}

// AcceptToken goes on by a token. A token that ends the answer is legal where
// CanStop. On error, which wraps ErrIllegal, the state stays where it was.
func (s *State) AcceptToken(voc *Vocab, id int32) error {
	switch {
	case id < 0 || int(id) >= len(voc.pieces):
		return fmt.Errorf("%w: token %d is not in the vocabulary", ErrIllegal, id)
	case voc.ends[id]:
		if !s.CanStop() {
			return fmt.Errorf("%w: the answer cannot end here", ErrIllegal)
		}
		s.ended = true
		return nil
	case len(voc.pieces[id]) == 0:
		return fmt.Errorf("%w: token %d stands for no text", ErrIllegal, id)
	}
	if err := s.AcceptBytes(voc.pieces[id]); err != nil {
		return fmt.Errorf("token %d: %w", id, err)
	}
	return nil
}

// AllowsToken reports whether AcceptToken would take the token. It costs a few
// nanoseconds a byte: ask it of the most likely token before making a mask.
func (s *State) AllowsToken(voc *Vocab, id int32) bool {
	if id < 0 || int(id) >= len(voc.pieces) || s.ended {
		return false
	}
	if voc.ends[id] {
		return s.at.accept
	}
	p := voc.pieces[id]
	return len(p) > 0 && s.c.dfa.run(s.at, p) != nil
}

// Mask sets bit id&63 of dst[id>>6] for each token that may follow and clears
// the others. dst has voc.Words() words.
func (s *State) Mask(voc *Vocab, dst []uint64) {
	clear(dst)
	if !s.ended {
		s.c.dfa.fillMask(s.at, voc, dst)
	}
}

// Following is the set of bytes that may come next: bit b&63 of word b>>6.
func (s *State) Following() [4]uint64 {
	if s.ended {
		return [4]uint64{}
	}
	return s.at.out
}

// CanStop reports whether the answer is whole as it stands.
func (s *State) CanStop() bool { return s.at.accept }

// Done reports whether nothing can follow: a token has ended the answer, or it
// is whole and every further byte is illegal.
func (s *State) Done() bool { return s.ended || s.at.accept && s.at.out == [4]uint64{} }
