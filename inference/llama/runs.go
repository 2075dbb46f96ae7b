//go:build cgo

package llama

import (
	"unicode"
	"unicode/utf8"
)

// longestRun is how many bytes of one kind (letters, digits, spaces, others) may
// follow each other in a text that C splits. Pre-tokenizers on std::regex recurse
// once a character of such a run and would overflow the stack. Meta's own
// tokenizer cuts runs too, at 25,000.
const longestRun = 4096

// runs cuts a text inside runs that are too long; nearly all texts stay whole.
func runs(text string) []string {
	if len(text) <= longestRun {
		return []string{text}
	}
	var parts []string
	from, start, last := 0, 0, -1
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		if k := kindOf(r); k != last {
			start, last = i, k
		} else if i+n-start > longestRun {
			parts, from, start = append(parts, text[from:i]), i, i
		}
		i += n
	}
	return append(parts, text[from:])
}

func kindOf(r rune) int {
	switch {
	case unicode.IsLetter(r) || unicode.IsMark(r):
		return 0
	case unicode.IsSpace(r):
		return 1
	case unicode.IsNumber(r):
		return 2
	}
	return 3
}
