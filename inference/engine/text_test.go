package engine

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	for name, test := range map[string]struct {
		stops, pieces []string
		whole         string
		stopped       bool
	}{
		"plain":             {nil, []string{"The ", "pump"}, "The pump", false},
		"half a character":  {nil, []string{"\xc3", "\xbc", "x"}, "üx", false},
		"never whole":       {nil, []string{"a\xf0\x9f"}, "a\uFFFD", false},
		"not a character":   {nil, []string{"a\xff", "b"}, "a\uFFFDb", false},
		"stop":              {[]string{"END"}, []string{"go on END and more"}, "go on ", true},
		"stop in pieces":    {[]string{"END"}, []string{"go E", "N", "D", "x"}, "go ", true},
		"almost a stop":     {[]string{"END"}, []string{"go E", "N", "d"}, "go ENd", false},
		"ends in half":      {[]string{"END"}, []string{"go EN"}, "go EN", false},
		"first of two":      {[]string{"b", "a"}, []string{"xxab"}, "xx", true},
		"stop overlaps":     {[]string{"aab"}, []string{"a", "a", "a", "b"}, "a", true},
		"stop of umlauts":   {[]string{"ü"}, []string{"x\xc3", "\xbcy"}, "x", true},
		"nothing but stop":  {[]string{"\n"}, []string{"\n"}, "", true},
		"an empty stop":     {[]string{""}, []string{"a"}, "a", false},
		"long stop at last": {[]string{"0123456789"}, []string{"0123456780123456789"}, "012345678", true},
	} {
		x := newText(test.stops)
		var got strings.Builder
		stopped := false
		for _, p := range test.pieces {
			if stopped = x.add([]byte(p)); stopped {
				break
			}
			got.WriteString(x.take())
		}
		x.end()
		got.WriteString(x.take())
		if got.String() != test.whole || string(x.whole) != test.whole || stopped != test.stopped {
			t.Errorf("%s: %q, whole %q, stopped %v; want %q, %v", name, got.String(), x.whole, stopped, test.whole, test.stopped)
		}
	}
}

// FuzzText: whatever the pieces, what is given out is valid UTF-8 at every
// step, holds no stop text, and is what a look at all bytes at once gives.
func FuzzText(f *testing.F) {
	f.Add([]byte("go on END"), "END", 3)
	f.Add([]byte("\xf0\x9f\x99\x82 \xff\xc3"), "\x99", 1)
	f.Add([]byte("aaaab"), "aab", 2)
	f.Fuzz(func(t *testing.T, all []byte, stop string, step int) {
		if !utf8.ValidString(stop) || step <= 0 || len(all) > 1000 {
			t.Skip("not an input that the engine can have")
		}
		x := newText([]string{stop})
		var got []byte
		stopped := false
		for rest := all; len(rest) > 0 && !stopped; {
			n := min(step, len(rest))
			stopped = x.add(rest[:n])
			rest = rest[n:]
			piece := x.take()
			if !utf8.ValidString(piece) {
				t.Fatalf("gave out %q", piece)
			}
			got = append(got, piece...)
		}
		x.end()
		got = append(got, x.take()...)
		want := all
		if at := bytes.Index(all, []byte(stop)); stop != "" && at >= 0 {
			want = all[:at]
		}
		if string(got) != strings.ToValidUTF8(string(want), "\uFFFD") && !strings.Contains(string(got), "\uFFFD") {
			t.Fatalf("gave out %q of %q with stop %q", got, all, stop)
		}
		if stop != "" && bytes.Contains(got, []byte(stop)) && !strings.Contains(stop, "\uFFFD") {
			t.Fatalf("gave out %q with stop text %q", got, stop)
		}
	})
}
