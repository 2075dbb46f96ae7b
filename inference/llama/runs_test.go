//go:build cgo

package llama

import (
	"strings"
	"testing"
)

func TestRuns(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		parts int
	}{
		"empty":        {"", 1},
		"short":        {"hello", 1},
		"long prose":   {strings.Repeat("The pump is hot. ", 10000), 1},
		"longest word": {strings.Repeat("a", longestRun), 1},
		"one more":     {strings.Repeat("a", longestRun) + "b", 2},
		"spaces":       {strings.Repeat(" ", 10*longestRun), 10},
		"in the midst": {"x " + strings.Repeat("=", 3*longestRun) + " y", 3},
		"wide":         {strings.Repeat("é", longestRun), 2},
		"no UTF-8":     {strings.Repeat("\xff", 2*longestRun), 2},
	} {
		parts := runs(c.text)
		if len(parts) != c.parts || strings.Join(parts, "") != c.text {
			t.Errorf("%s: %d parts, want %d that join to the text", name, len(parts), c.parts)
		}
		for _, p := range parts {
			if strings.ToValidUTF8(p, "") != p && name != "no UTF-8" {
				t.Errorf("%s: cut inside a character", name)
			}
		}
	}
}
