package engine

import (
	"bytes"
	"unicode/utf8"
)

// text puts an answer together from the bytes of tokens: it holds back half a
// character and whatever might be the start of a stop text, so that what it
// gives out is valid UTF-8 and never part of a stop text.
type text struct {
	stops [][]byte
	held  []byte // not yet given out
	ready []byte // may be given out
	whole []byte // all that became ready
}

func newText(stops []string) text {
	var t text
	for _, s := range stops {
		if s != "" {
			t.stops = append(t.stops, []byte(s))
		}
	}
	return t
}

// add takes the bytes of a token and reports whether a stop text is complete;
// then everything before it is ready and the rest is gone.
func (t *text) add(piece []byte) (stopped bool) {
	t.held = append(t.held, piece...)
	if at := t.stopAt(); at >= 0 {
		t.release(t.held[:at])
		t.held = nil
		return true
	}
	keep := max(t.stopPart(), halfRune(t.held))
	t.release(t.held[:len(t.held)-keep])
	t.held = append([]byte(nil), t.held[len(t.held)-keep:]...)
	return false
}

// end makes ready what was held back.
func (t *text) end() {
	t.release(t.held)
	t.held = nil
}

// take returns what is ready, once.
func (t *text) take() string {
	s := string(t.ready)
	t.ready = t.ready[:0]
	return s
}

// release mends what is not UTF-8.
func (t *text) release(b []byte) {
	b = bytes.ToValidUTF8(b, []byte("\uFFFD"))
	t.ready = append(t.ready, b...)
	t.whole = append(t.whole, b...)
}

// stopAt is where the first stop text begins, or -1.
func (t *text) stopAt() int {
	first := -1
	for _, s := range t.stops {
		if at := bytes.Index(t.held, s); at >= 0 && (first < 0 || at < first) {
			first = at
		}
	}
	return first
}

// stopPart is how many bytes at the end may begin a stop text.
func (t *text) stopPart() int {
	most := 0
	for _, s := range t.stops {
		for n := min(len(s)-1, len(t.held)); n > most; n-- {
			if bytes.HasSuffix(t.held, s[:n]) {
				most = n
			}
		}
	}
	return most
}

// halfRune is how many bytes at the end begin a character that is not whole yet.
func halfRune(b []byte) int {
	for n := 1; n <= min(utf8.UTFMax-1, len(b)); n++ {
		if c := b[len(b)-n]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(b[len(b)-n:]) {
				return n
			}
			return 0
		}
	}
	return 0
}
