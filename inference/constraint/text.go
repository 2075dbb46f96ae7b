package constraint

import (
	"slices"
	"unicode/utf8"
)

// runeRange is a range of characters, both ends included.
type runeRange struct{ lo, hi rune }

// runes consumes one character of the ranges in UTF-8.
func (b *builder) runes(ranges []runeRange, next int32) int32 {
	return b.bytes(b.runeEdges(ranges, next)...)
}

func (b *builder) runeEdges(ranges []runeRange, next int32) []edge {
	var edges []edge
	tails := map[[4]byte]int32{} // continuation bytes that many ranges share
	for _, r := range ranges {
		for _, part := range validRunes(r) {
			edges = append(edges, b.utf8Edges(part, next, tails)...)
		}
	}
	return mergeEdges(edges)
}

// mergeEdges joins neighbouring edges that lead to one place.
func mergeEdges(edges []edge) []edge {
	slices.SortFunc(edges, func(a, b edge) int {
		if a.to != b.to {
			return int(a.to - b.to)
		}
		return int(a.lo) - int(b.lo)
	})
	out := edges[:0]
	for _, e := range edges {
		if n := len(out); n > 0 && out[n-1].to == e.to && int(e.lo) <= int(out[n-1].hi)+1 {
			out[n-1].hi = max(out[n-1].hi, e.hi)
			continue
		}
		out = append(out, e)
	}
	return out
}

// validRunes cuts r at the borders of UTF-8's lengths and takes surrogates out.
func validRunes(r runeRange) []runeRange {
	var out []runeRange
	for _, part := range []runeRange{{0, 0x7f}, {0x80, 0x7ff}, {0x800, 0xd7ff}, {0xe000, 0xffff}, {0x10000, utf8.MaxRune}} {
		if lo, hi := max(r.lo, part.lo), min(r.hi, part.hi); lo <= hi {
			out = append(out, runeRange{lo, hi})
		}
	}
	return out
}

// utf8Edges consumes a range whose characters have equally many bytes.
func (b *builder) utf8Edges(r runeRange, next int32, tails map[[4]byte]int32) []edge {
	lo, hi := []byte(string(r.lo)), []byte(string(r.hi))
	return b.span(lo, hi, next, tails)
}

// span consumes byte strings of one length from lo to hi, where bytes behind
// the first are continuation bytes.
func (b *builder) span(lo, hi []byte, next int32, tails map[[4]byte]int32) []edge {
	if len(lo) == 1 {
		return []edge{{lo[0], hi[0], next}}
	}
	if lo[0] == hi[0] {
		return []edge{{lo[0], lo[0], b.tail(lo[1:], hi[1:], next, tails)}}
	}
	var edges []edge
	least, most := lo[:1:1], hi[:1:1]
	for range lo[1:] {
		least, most = append(least, 0x80), append(most, 0xbf)
	}
	first, last := lo[0], hi[0]
	if !slices.Equal(lo[1:], least[1:]) {
		edges = append(edges, edge{lo[0], lo[0], b.tail(lo[1:], most[1:], next, tails)})
		first++
	}
	if !slices.Equal(hi[1:], most[1:]) {
		edges = append(edges, edge{hi[0], hi[0], b.tail(least[1:], hi[1:], next, tails)})
		last--
	}
	if first <= last {
		edges = append(edges, edge{first, last, b.tail(least[1:], most[1:], next, tails)})
	}
	return edges
}

func (b *builder) tail(lo, hi []byte, next int32, tails map[[4]byte]int32) int32 {
	full := !slices.ContainsFunc(lo, func(c byte) bool { return c != 0x80 }) &&
		!slices.ContainsFunc(hi, func(c byte) bool { return c != 0xbf })
	key := [4]byte{byte(len(lo))}
	if full {
		if n, ok := tails[key]; ok {
			return n
		}
	}
	n := b.bytes(b.span(lo, hi, next, tails)...)
	if full {
		tails[key] = n
	}
	return n
}

// complement is every character outside ranges.
func complement(ranges []runeRange) []runeRange {
	ranges = slices.Clone(ranges)
	slices.SortFunc(ranges, func(a, b runeRange) int { return int(a.lo - b.lo) })
	var out []runeRange
	next := rune(0)
	for _, r := range ranges {
		if r.lo > next {
			out = append(out, runeRange{next, r.lo - 1})
		}
		next = max(next, r.hi+1)
	}
	if next <= utf8.MaxRune {
		out = append(out, runeRange{next, utf8.MaxRune})
	}
	return out
}

// rawRanges are the characters that may stand in a JSON string as they are.
var rawRanges = []runeRange{{' ', '!'}, {'#', '['}, {']', utf8.MaxRune}}

// stringRule is any JSON string of low to high characters; high is none for no
// bound. Escaped characters count as one, also where a surrogate pair writes them.
func (b *builder) stringRule(low, high int32) int32 {
	if low == 0 && high == none {
		char := b.plainChar(none)
		b.string(char, char, edge{'"', '"', b.ret})
		return b.lit(`"`, char)
	}
	again := b.counting(loop{floor: low, each: none, extra: 1}, high,
		func() int32 { return b.lit(`"`, b.ret) },
		func(next int32) int32 {
			char := b.plainChar(high)
			b.string(char, next)
			return char
		})
	return b.lit(`"`, again)
}

// plainChar is a place before a character of a string; high is as for stringRule.
func (b *builder) plainChar(high int32) int32 {
	return b.add(node{kind: kBytes, plain: true, n: high})
}

// string gives char the edges of one character in any legal spelling, and more.
func (b *builder) string(char, next int32, more ...edge) {
	edges := b.runeEdges(rawRanges, next)
	hex := edgesTo("09afAF", 0)
	digits := func(n int, to int32) int32 {
		for range n {
			for i := range hex {
				hex[i].to = to
			}
			to = b.bytes(hex...)
			hex = slices.Clone(hex)
		}
		return to
	}
	two := digits(2, next)
	low := b.lit(`\u`, b.bytes(edge{'d', 'd', b.bytes(edgesTo("cfCF", two)...)}, edge{'D', 'D', b.bytes(edgesTo("cfCF", two)...)}))
	afterD := b.bytes(append(edgesTo("07", two), edgesTo("89abAB", digits(2, low))...)...)
	unit := b.bytes(append(edgesTo("09acefACEF", digits(1, two)), edgesTo("ddDD", afterD)...)...)
	esc := b.bytes(append(edgesTo(`""\\//bbffnnrrtt`, next), edge{'u', 'u', unit})...)
	if !b.full {
		b.nodes[char].edges = append(append(edges, edge{'\\', '\\', esc}), more...)
	}
}

// edgesTo reads pairs as ranges of bytes that lead to one place.
func edgesTo(pairs string, to int32) []edge {
	var edges []edge
	for i := 0; i < len(pairs); i += 2 {
		edges = append(edges, edge{pairs[i], pairs[i+1], to})
	}
	return edges
}

// spelled consumes one character of the ranges as a JSON string spells it.
func (b *builder) spelled(ranges []runeRange, next int32) []edge {
	var edges []edge
	var raw []runeRange
	for _, r := range ranges {
		for _, plain := range rawRanges {
			if lo, hi := max(r.lo, plain.lo), min(r.hi, plain.hi); lo <= hi {
				raw = append(raw, runeRange{lo, hi})
			}
		}
	}
	edges = b.runeEdges(raw, next)
	for c := rune(0); c <= '\\'; c++ {
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		if slices.ContainsFunc(ranges, func(r runeRange) bool { return r.lo <= c && c <= r.hi }) {
			s := spelling(c)
			edges = append(edges, edge{s[0], s[0], b.lit(s[1:], next)})
		}
	}
	return edges
}
