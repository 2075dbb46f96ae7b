package synth

import (
	_ "embed"
	"fmt"
	"strings"
	"unicode"
)

// wordList is what the made-up vocabularies grow from, in order of importance.
//
//go:embed words.txt
var wordList string

// grower grows a vocabulary by byte-pair merges, until it is full.
type grower struct {
	limit  int
	tokens []string
	has    map[string]bool
	merges []string
	rank   map[[2]string]int
	lower  func(string) []string // splits text into the alphabet's pieces
}

func newGrower(limit int, alphabet []string, lower func(string) []string) *grower {
	g := &grower{limit: limit, has: map[string]bool{}, rank: map[[2]string]int{}, lower: lower}
	for _, a := range alphabet {
		g.token(a)
	}
	return g
}

func (g *grower) full() bool { return len(g.tokens) >= g.limit }

func (g *grower) token(s string) {
	if !g.has[s] {
		g.has[s] = true
		g.tokens = append(g.tokens, s)
	}
}

// encode splits text as a tokenizer with the merges so far would.
func (g *grower) encode(text string) []string {
	pieces := g.lower(text)
	for len(pieces) > 1 {
		best, at := len(g.merges), -1
		for i := range len(pieces) - 1 {
			if r, ok := g.rank[[2]string{pieces[i], pieces[i+1]}]; ok && r < best {
				best, at = r, i
			}
		}
		if at < 0 {
			break
		}
		pieces[at] += pieces[at+1]
		pieces = append(pieces[:at+1], pieces[at+2:]...)
	}
	return pieces
}

// learn adds the merges that make text one token. They rank after those it is
// split by now, so the tokenizer reaches it.
func (g *grower) learn(text string) {
	pieces := g.encode(text)
	for len(pieces) > 1 && !g.full() {
		pair := [2]string{pieces[0], pieces[1]}
		if _, ok := g.rank[pair]; !ok {
			g.rank[pair] = len(g.merges)
			g.merges = append(g.merges, pair[0]+" "+pair[1])
		}
		pieces = append([]string{pair[0] + pair[1]}, pieces[2:]...)
		g.token(pieces[0])
	}
}

// grow learns spaces, signs, words and numbers until the vocabulary is full.
func (g *grower) grow() error {
	words := strings.Fields(wordList)
	each := func(list []string, form func(string) string) {
		for _, w := range list {
			if g.full() {
				return
			}
			g.learn(form(w))
		}
	}
	space := func(w string) string { return " " + w }
	same := func(w string) string { return w }
	title := func(w string) string { r := []rune(w); r[0] = unicode.ToUpper(r[0]); return string(r) }

	each(signs(), same)
	each(words[:min(len(words), 700)], space)
	each(numbers(2), same)
	each(words, space)
	each(words, same)
	each(words, title)
	each(words, func(w string) string { return " " + title(w) })
	each(numbers(3), same)
	each(words, strings.ToUpper)
	for _, suffix := range strings.Fields("s ed ing er ly en e es ung ion able ment ness al ity") {
		each(words, func(w string) string { return " " + w + suffix })
		each(words, func(w string) string { return w + suffix })
	}
	each(syllables(), space)
	each(syllables(), same)
	each(syllables(), title)
	if !g.full() {
		return fmt.Errorf("made-up words end at %d tokens: ask for fewer than %d", len(g.tokens), g.limit)
	}
	return nil
}

// signs are the runs of spaces and marks that prose, code and JSON are full of.
func signs() []string {
	list := strings.Fields(`": {" "} ", ":" ":{" "," "}, "] [" []{} -- --- ... :: :// == != <= >= => -> += && || /* */ // ## ### ** ( ) ), ); ()`)
	for n := 2; n <= 32; n *= 2 {
		list = append(list, strings.Repeat(" ", n))
	}
	return append(list, "\n\n", "\n\n\n", "\t\t", ",\n", ".\n", ":\n", "}\n", "{\n", " \"", " {", " (", " -", " =", " %", "  \n")
}

// numbers are all numbers of so many digits.
func numbers(digits int) []string {
	var list []string
	for n := range map[int]int{2: 100, 3: 1000}[digits] {
		list = append(list, fmt.Sprintf("%0*d", digits, n))
	}
	return list
}

// syllables are made-up words, like bal, balo and balora.
func syllables() []string {
	const consonants, vowels = "bdfgklmnprstvz", "aeiou"
	var list []string
	for _, a := range consonants {
		for _, b := range vowels {
			for _, c := range consonants {
				list = append(list, string([]rune{a, b, c}))
				for _, d := range vowels {
					list = append(list, string([]rune{a, b, c, d}))
					for _, e := range "lnrst" {
						list = append(list, string([]rune{a, b, c, d, e}), string([]rune{a, b, c, d, e, 'a'}))
					}
				}
			}
		}
	}
	return list
}
