package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"lineside/inference"
	"lineside/inference/engine"
	"lineside/inference/engine/enginetest"
)

// TestDraftsChangeNothing: with and without prompt lookup the answers are the
// same, greedy and sampled, free and in the string fields of a format; and
// where texts repeat, it takes fewer passes.
func TestDraftsChangeNothing(t *testing.T) {
	cfg := enginetest.Config{Order: 1, EndOneIn: -1}
	with, without := open(t, cfg, engine.Options{}), open(t, cfg, engine.Options{NoLookup: true})
	accepted := 0
	for i := range 60 {
		r := text("A system.", fmt.Sprint("ask ", i))
		r.MaxTokens = 120
		if i%3 == 1 {
			r.Sampling = inference.Sampling{Temperature: 0.2, Seed: uint64(i)}
		}
		if i%3 == 2 {
			schema(r, `{"type":"object","properties":{"note":{"type":"string"}},"required":["note"],"additionalProperties":false}`)
		}
		a, b := with.ask(t, r), without.ask(t, r)
		if a.Text != b.Text || a.Finish != b.Finish {
			t.Fatalf("ask %d:\n with    %q\n without %q", i, a.Text, b.Text)
		}
		if b.Usage.Drafted != 0 || a.Usage.Accepted > a.Usage.Drafted {
			t.Errorf("usage with %+v, without %+v", a.Usage, b.Usage)
		}
		accepted += a.Usage.Accepted
	}
	if p, q := with.Stats().Passes, without.Stats().Passes; accepted == 0 || p*4 > q*3 {
		t.Errorf("%d drafts accepted, %d passes with drafts, %d without", accepted, p, q)
	}
}

// TestDraftsStop: where guesses are wrong, they end for the rest of the answer.
func TestDraftsStop(t *testing.T) {
	h := open(t, enginetest.Config{EndOneIn: -1}, engine.Options{})
	r := text("", strings.Repeat("abababababab", 10)) // much to match, and the answer never repeats it
	r.MaxTokens = 600
	if u := h.ask(t, r).Usage; u.Drafted > 40 {
		t.Errorf("%d tokens drafted, %d accepted", u.Drafted, u.Accepted)
	}
}

// TestStopTexts: the answer ends before a stop text, and no part of it gets out.
func TestStopTexts(t *testing.T) {
	h := open(t, enginetest.Config{EndOneIn: -1, Order: 3}, engine.Options{})
	for i := range 20 {
		r := text("", fmt.Sprint("go on ", i))
		whole := h.ask(t, r).Text
		at := len(whole) / 2
		for at > 0 && whole[at]&0xc0 == 0x80 {
			at--
		}
		end := min(len(whole), at+4)
		for end < len(whole) && whole[end]&0xc0 == 0x80 {
			end++
		}
		stop := whole[at:end]
		if strings.Contains(stop, "\uFFFD") {
			continue
		}
		r.Stop = []string{stop}
		res := h.ask(t, r)
		if want := whole[:strings.Index(whole, stop)]; res.Text != want || res.Finish != inference.FinishStop {
			t.Errorf("stop %q: %q (%s), want %q", stop, res.Text, res.Finish, want)
		}
	}
}
