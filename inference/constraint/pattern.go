package constraint

import (
	"encoding/binary"
	"fmt"
	"maps"
	"regexp/syntax"
	"slices"
	"unicode"
	"unicode/utf8"
)

const (
	maxPatternPlaces = 4_000     // states of one pattern's automaton
	maxPatternWork   = 2_000_000 // instructions looked at
	maxLengthPlaces  = 40_000    // the same, lengths counted out
)

// pattern is a regular expression as a JSON Schema means it: it must be found
// somewhere in the text.
type pattern struct {
	source string
	prog   *syntax.Prog
	takes  [][]runeRange // of each instruction, in order
}

// parsePattern reads a regular expression of RE2's kind. What RE2 does not
// know (backreferences, lookaround) and word or line borders are refused.
func parsePattern(source string) (*pattern, error) {
	re, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return nil, err
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return nil, err
	}
	for _, in := range prog.Inst {
		if op := syntax.EmptyOp(in.Arg); in.Op == syntax.InstEmptyWidth && op&^(syntax.EmptyBeginText|syntax.EmptyEndText) != 0 {
			return nil, fmt.Errorf("word and line borders in %q", source)
		}
	}
	p := &pattern{source: source, prog: prog, takes: make([][]runeRange, len(prog.Inst))}
	for i := range prog.Inst {
		p.takes[i] = runesOf(&prog.Inst[i])
		slices.SortFunc(p.takes[i], func(a, b runeRange) int { return int(a.lo - b.lo) })
	}
	return p, nil
}

// place is where several patterns stand together after some characters.
type place struct {
	at    [][]uint32 // for each pattern the instructions that wait
	found []bool     // the pattern is found whatever follows
}

// textDFA is the automaton of the texts that satisfy all patterns and lengths.
type textDFA struct {
	moves [][]move
	ends  []bool
	away  []int32 // characters to the nearest end, or far
	high  int32   // most characters where they are still to be counted, or none
}

type move struct {
	ranges []runeRange
	to     int
}

// matchText builds the automaton of texts of low to high characters (none for
// no bound) in which every pattern is found. The error says what is too much.
func matchText(patterns []*pattern, low, high int32) (*textDFA, error) {
	w := textWalk{textDFA: textDFA{high: none}, patterns: patterns, ids: map[string]int{}}
	start := place{make([][]uint32, len(patterns)), make([]bool, len(patterns))}
	for i, p := range patterns {
		start.at[i], start.found[i] = p.follow([]uint32{uint32(p.prog.Start)}, true, false)
	}
	w.place(start)
	for i := 0; i < len(w.places); i++ {
		if len(w.places) > maxPatternPlaces || w.work > maxPatternWork {
			return nil, fmt.Errorf("an automaton of more than %d places", maxPatternPlaces)
		}
		w.expand(i)
	}
	w.measure()
	if low > w.away[0] { // so low says more than the patterns do
		return w.counted(low, high)
	}
	w.high = high
	return &w.textDFA, nil
}

// empty reports whether no text is taken.
func (t *textDFA) empty() bool { return t.away[0] >= far || t.high != none && t.away[0] > t.high }

// counted is t with the lengths of texts counted out.
func (t *textDFA) counted(low, high int32) (*textDFA, error) {
	type spot struct {
		place int
		count int32
	}
	out := &textDFA{high: none}
	ids := map[spot]int{}
	var spots []spot
	id := func(s spot) int {
		i, ok := ids[s]
		if !ok {
			i = len(spots)
			ids[s] = i
			spots = append(spots, s)
			out.ends = append(out.ends, t.ends[s.place] && s.count >= low)
			out.moves = append(out.moves, nil)
		}
		return i
	}
	id(spot{})
	for i := 0; i < len(spots); i++ {
		if len(spots) > maxLengthPlaces {
			return nil, fmt.Errorf("an automaton of more than %d places for its lengths", maxLengthPlaces)
		}
		s := spots[i]
		if high != none && s.count >= high {
			continue
		}
		for _, m := range t.moves[s.place] {
			if t.away[m.to] < far {
				out.moves[i] = append(out.moves[i], move{m.ranges, id(spot{m.to, min(s.count+1, saturate(low, high))})})
			}
		}
	}
	out.measure()
	return out, nil
}

// textWalk finds the places of a textDFA.
type textWalk struct {
	textDFA
	patterns []*pattern
	ids      map[string]int
	places   []place
	work     int
}

// place numbers p.
func (w *textWalk) place(p place) int {
	var key []byte
	ends := true
	for i, q := range w.patterns {
		if p.found[i] {
			p.at[i] = nil
			key = append(key, 1)
			continue
		}
		key = binary.AppendUvarint(key, uint64(len(p.at[i]))<<1)
		for _, pc := range p.at[i] {
			key = binary.AppendUvarint(key, uint64(pc))
		}
		_, found := q.follow(p.at[i], false, true)
		ends = ends && found
	}
	if id, ok := w.ids[string(key)]; ok {
		return id
	}
	id := len(w.places)
	w.ids[string(key)] = id
	w.places = append(w.places, p)
	w.ends = append(w.ends, ends)
	w.moves = append(w.moves, nil)
	return id
}

// expand finds the moves out of a place: one for each set of characters that
// no pattern tells apart.
func (w *textWalk) expand(id int) {
	p := w.places[id]
	to := map[int][]runeRange{}
	var order []int
	cuts := w.cuts(p)
	for i, lo := range cuts {
		hi := rune(utf8.MaxRune)
		if i+1 < len(cuts) {
			hi = cuts[i+1] - 1
		}
		next := place{make([][]uint32, len(p.at)), slices.Clone(p.found)}
		for k, q := range w.patterns {
			if !p.found[k] {
				next.at[k], next.found[k] = q.step(p.at[k], lo)
				w.work += 1 + len(next.at[k])
			}
		}
		n := w.place(next)
		if _, ok := to[n]; !ok {
			order = append(order, n)
		}
		to[n] = append(to[n], runeRange{lo, hi})
	}
	for _, n := range order {
		w.moves[id] = append(w.moves[id], move{to[n], n})
	}
}

// cuts are the first characters of the sets that a place tells apart.
func (w *textWalk) cuts(p place) []rune {
	cuts := []rune{0}
	for k, q := range w.patterns {
		for _, pc := range p.at[k] {
			for _, r := range q.takes[pc] {
				cuts = append(cuts, r.lo, r.hi+1)
			}
		}
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	return slices.DeleteFunc(cuts, func(r rune) bool { return r > utf8.MaxRune })
}

// lineEnds are what a dot does not match: RE2's and ECMAScript's together.
var lineEnds = []runeRange{{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}

// runesOf is the set of characters that an instruction takes.
func runesOf(in *syntax.Inst) []runeRange {
	switch in.Op {
	case syntax.InstRuneAny:
		return []runeRange{{0, utf8.MaxRune}}
	case syntax.InstRuneAnyNotNL:
		return complement(lineEnds)
	case syntax.InstRune, syntax.InstRune1:
	default:
		return nil
	}
	if len(in.Rune) == 1 {
		out := []runeRange{{in.Rune[0], in.Rune[0]}}
		if syntax.Flags(in.Arg)&syntax.FoldCase != 0 {
			for r := unicode.SimpleFold(in.Rune[0]); r != in.Rune[0]; r = unicode.SimpleFold(r) {
				out = append(out, runeRange{r, r})
			}
		}
		return out
	}
	var out []runeRange
	for i := 0; i+1 < len(in.Rune); i += 2 {
		out = append(out, runeRange{in.Rune[i], in.Rune[i+1]})
	}
	return out
}

// follow goes on from instructions over everything that takes no character.
// It returns those that wait for one, or for the end of the text, and whether
// the pattern is found: whatever follows, or with end, if the text ends here.
func (p *pattern) follow(from []uint32, begin, end bool) ([]uint32, bool) {
	seen := map[uint32]bool{}
	found := false
	var wait []uint32
	todo := slices.Clone(from)
	for len(todo) > 0 {
		pc := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[pc] {
			continue
		}
		seen[pc] = true
		in := &p.prog.Inst[pc]
		switch in.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			todo = append(todo, in.Out, in.Arg)
		case syntax.InstCapture, syntax.InstNop:
			todo = append(todo, in.Out)
		case syntax.InstEmptyWidth:
			op := syntax.EmptyOp(in.Arg)
			if op&syntax.EmptyBeginText != 0 && !begin {
				continue
			}
			if op&syntax.EmptyEndText != 0 && !end {
				wait = append(wait, pc)
				continue
			}
			todo = append(todo, in.Out)
		case syntax.InstMatch:
			found = true
		case syntax.InstFail:
		default:
			wait = append(wait, pc)
		}
	}
	slices.Sort(wait)
	return wait, found
}

// step goes on by one character; a match may also begin behind it.
func (p *pattern) step(at []uint32, r rune) ([]uint32, bool) {
	next := []uint32{uint32(p.prog.Start)}
	for _, pc := range at {
		i, ok := slices.BinarySearchFunc(p.takes[pc], r, func(x runeRange, r rune) int { return int(x.lo - r) })
		if ok || i > 0 && r <= p.takes[pc][i-1].hi {
			next = append(next, p.prog.Inst[pc].Out)
		}
	}
	return p.follow(next, false, false)
}

// measure finds how far each place is from an end.
func (t *textDFA) measure() {
	t.away = make([]int32, len(t.moves))
	from := make([][]int, len(t.moves))
	var todo []int
	for i, moves := range t.moves {
		for _, m := range moves {
			from[m.to] = append(from[m.to], i)
		}
		if t.away[i] = far; t.ends[i] {
			t.away[i] = 0
			todo = append(todo, i)
		}
	}
	for ; len(todo) > 0; todo = todo[1:] {
		for _, j := range from[todo[0]] {
			if t.away[j] == far {
				t.away[j] = t.away[todo[0]] + 1
				todo = append(todo, j)
			}
		}
	}
}

// matched is any JSON string whose text t takes, each character in its one
// canonical spelling. It counts characters with the counter of its rule.
func (b *builder) matched(t *textDFA) int32 {
	if t.empty() {
		return b.bytes()
	}
	heads := make([]int32, len(t.moves))
	counts := make([]int32, len(t.moves))
	for i := range heads {
		heads[i] = b.hole()
		if counts[i] = heads[i]; t.high != none {
			counts[i] = b.inc(t.high, heads[i])
		}
	}
	for i := range t.moves {
		if b.full {
			break
		}
		outs := b.characters(t, i, counts)
		if t.ends[i] {
			outs = append(outs, b.lit(`"`, b.ret))
		}
		b.fill(heads[i], outs...)
	}
	return b.lit(`"`, heads[0])
}

// characters are the ways on from place i by one character: a way that ends
// further away must leave more characters free.
func (b *builder) characters(t *textDFA, i int, counts []int32) []int32 {
	byAway := map[int32][]edge{}
	for _, m := range t.moves[i] {
		if away := t.away[m.to]; away < far {
			byAway[away] = append(byAway[away], b.spelled(m.ranges, counts[m.to])...)
		}
	}
	var outs []int32
	for _, away := range slices.Sorted(maps.Keys(byAway)) {
		n := node{kind: kBytes, edges: byAway[away]}
		if !slices.ContainsFunc(t.away, func(n int32) bool { return n > 0 && n < far }) {
			// Nothing but the count bounds how long the text may go on.
			n.text, n.n = true, t.high
			n.plain = len(t.moves[i]) == 1 && t.moves[i][0].to == i && covers(t.moves[i][0].ranges, rawRanges)
		}
		if t.high == none {
			outs = append(outs, b.add(n))
		} else if free := t.high - away; free > 0 {
			outs = append(outs, b.less(free, b.add(n)))
		}
	}
	return outs
}

// covers reports whether all characters of part are in ranges.
func covers(ranges, part []runeRange) bool {
	return !slices.ContainsFunc(complement(ranges), func(r runeRange) bool {
		return slices.ContainsFunc(part, func(p runeRange) bool { return r.lo <= p.hi && p.lo <= r.hi })
	})
}
