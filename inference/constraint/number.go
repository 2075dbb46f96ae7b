package constraint

import (
	"cmp"
	"encoding/json"
	"math/big"
	"strings"
)

// Digits that a number may have where its schema sets no bounds: every such
// integer survives a device that reads numbers as doubles.
const (
	wholeDigits    = 15
	fractionDigits = 15
	maxBoundDigits = 40   // of a bound
	maxDivisor     = 1000 // of multipleOf, its decimal point left out
)

// decimal is a number as its digits before and behind the point, without
// superfluous zeros: zero has none.
type decimal struct {
	neg         bool
	whole, frac string
}

// parseDecimal reads a JSON number exactly; false if it has too many digits.
func parseDecimal(n json.Number) (decimal, bool) {
	if i := strings.IndexAny(string(n), "eE"); i >= 0 && len(n)-i > 4 {
		return decimal{}, false // an exponent that would take memory
	}
	r, ok := new(big.Rat).SetString(string(n))
	if !ok {
		return decimal{}, false
	}
	text := new(big.Rat).Abs(r).FloatString(maxBoundDigits)
	back, _ := new(big.Rat).SetString(text)
	if back.Cmp(new(big.Rat).Abs(r)) != 0 {
		return decimal{}, false
	}
	d := decimal{neg: r.Sign() < 0}
	d.whole, d.frac, _ = strings.Cut(text, ".")
	d.whole, d.frac = strings.TrimLeft(d.whole, "0"), strings.TrimRight(d.frac, "0")
	return d, len(d.whole)+len(d.frac) <= maxBoundDigits
}

func (d decimal) compare(e decimal) int {
	if d.neg != e.neg {
		if d.neg {
			return -1
		}
		return 1
	}
	c := cmp.Or(cmp.Compare(len(d.whole), len(e.whole)), strings.Compare(d.whole, e.whole), strings.Compare(d.frac, e.frac))
	if d.neg {
		return -c
	}
	return c
}

// bound is one end of a range of numbers.
type bound struct {
	at   decimal
	open bool // the end itself is outside
}

// numbers says which numbers are meant.
type numbers struct {
	integer   bool
	low, high *bound
	multiple  *decimal
}

func (n *numbers) atLeast(b bound) {
	if n.low == nil || b.at.compare(n.low.at) > 0 || b.at == n.low.at && b.open {
		n.low = &b
	}
}

func (n *numbers) atMost(b bound) {
	if n.high == nil || b.at.compare(n.high.at) < 0 || b.at == n.high.at && b.open {
		n.high = &b
	}
}

// apart reports whether no number can lie in both ranges.
func (n *numbers) apart(m *numbers) bool {
	below := func(high, low *bound) bool {
		if high == nil || low == nil {
			return false
		}
		c := high.at.compare(low.at)
		return c < 0 || c == 0 && (high.open || low.open)
	}
	return below(n.high, m.low) || below(m.high, n.low)
}

// number is any number of n, without leading zeros and without -0.
func (b *builder) number(n numbers) int32 {
	if n == (numbers{}) {
		return b.freeNumber()
	}
	plus, minus := n, n
	if n.low == nil || n.low.at.neg {
		plus.low = &bound{}
	}
	minus.low, minus.high = n.high.negate(), n.low.negate()
	if minus.low == nil || minus.low.at.neg || minus.low.at == (decimal{}) {
		minus.low = &bound{open: true}
	}
	var outs []int32
	if start := b.magnitude(plus); start != none {
		outs = append(outs, start)
	}
	if start := b.magnitude(minus); start != none {
		outs = append(outs, b.bytes(edge{'-', '-', start}))
	}
	return b.add(node{kind: kSplit, outs: outs})
}

func (x *bound) negate() *bound {
	if x == nil {
		return nil
	}
	n := *x
	n.at.neg = !n.at.neg && n.at != (decimal{})
	return &n
}

// freeNumber is any number within reason, exponent allowed.
func (b *builder) freeNumber() int32 {
	digits := func(limit int, next int32) int32 { // at least one
		then := next
		for range limit - 1 {
			then = b.split(next, b.bytes(edge{'0', '9', then}))
		}
		return b.bytes(edge{'0', '9', then})
	}
	upTo99 := digits(2, b.ret)
	signed := b.split(upTo99, b.bytes(edge{'+', '+', upTo99}, edge{'-', '-', upTo99}))
	exp := b.split(b.ret, b.bytes(edge{'E', 'E', signed}, edge{'e', 'e', signed}))
	point := b.lit(".", digits(fractionDigits, exp))
	rest := b.split(exp, point)
	more := rest
	for range wholeDigits - 1 {
		more = b.split(rest, b.bytes(edge{'0', '9', more}))
	}
	nonzero := b.bytes(edge{'1', '9', more})
	zero := b.bytes(edge{'0', '0', rest})
	belowZero := b.split(nonzero, b.bytes(edge{'0', '0', point})) // never -0
	return b.split(nonzero, zero, b.bytes(edge{'-', '-', belowZero}))
}

// magnitude is the start of the unsigned numbers of n, or none.
func (b *builder) magnitude(n numbers) int32 {
	if n.high != nil && n.high.at.neg {
		return none
	}
	w := digitWalk{builder: b, numbers: n, wholeMax: wholeDigits, fracMax: fractionDigits, divisor: 1, memo: map[digits]int32{}}
	for _, x := range []*bound{n.low, n.high} {
		if x != nil {
			w.wholeMax = max(w.wholeMax, len(x.at.whole))
			w.fracMax = max(w.fracMax, len(x.at.frac)+1)
		}
	}
	if n.multiple != nil {
		// More digits behind the point than the divisor has could only be zeros.
		w.fracMax = len(n.multiple.frac)
		v, _ := new(big.Int).SetString("0"+n.multiple.whole+n.multiple.frac, 10)
		w.divisor = int(v.Int64())
	}
	if n.integer {
		w.fracMax = 0
	}
	return w.node(digits{})
}

// digitWalk builds the automaton of the magnitudes between two bounds.
type digitWalk struct {
	*builder
	numbers
	wholeMax, fracMax int
	divisor           int
	memo              map[digits]int32
}

// digits is what must be known of the digits read so far.
type digits struct {
	zero      bool // the whole part is 0
	behind    bool // the point has been read
	n         int  // digits read of this part, zero counting as none
	low, high int8 // how they compare to the bounds' digits
	rest      int  // what dividing them leaves
}

// longer is a comparison in favour of a whole part with more digits.
const longer = 2

// node is where w goes on after d, or none if no number can come of it.
func (w *digitWalk) node(d digits) int32 {
	if n, ok := w.memo[d]; ok {
		return n
	}
	var edges []edge
	for c := byte('0'); c <= '9'; c++ {
		if next, ok := w.read(d, c); ok {
			if to := w.node(next); to != none {
				edges = append(edges, edge{c, c, to})
			}
		}
	}
	if w.fracMax > 0 && !d.behind && (d.zero || d.n > 0) {
		next := digits{behind: true, low: w.whole(d, d.low, w.low), high: w.whole(d, d.high, w.high), rest: d.rest}
		if to := w.node(next); to != none {
			edges = append(edges, edge{'.', '.', to})
		}
	}
	id := none
	if len(edges) > 0 {
		id = w.bytes(mergeEdges(edges)...)
	}
	if w.ends(d) {
		if id == none {
			id = w.ret
		} else {
			id = w.split(w.ret, id)
		}
	}
	w.memo[d] = id
	return id
}

// read is d after the digit c.
func (w *digitWalk) read(d digits, c byte) (digits, bool) {
	if d.zero && !d.behind || !d.behind && d.n >= w.wholeMax || d.behind && d.n >= w.fracMax {
		return d, false
	}
	if !d.behind && d.n == 0 && c == '0' {
		d.zero = true
		return d, true
	}
	d.low, d.high = against(d, c, d.low, w.low), against(d, c, d.high, w.high)
	d.rest = (d.rest*10 + int(c-'0')) % w.divisor
	d.n++
	return d, true
}

// against brings a comparison up to date by the digit c.
func against(d digits, c byte, sofar int8, x *bound) int8 {
	switch {
	case x == nil:
		return 0
	case !d.behind && d.n >= len(x.at.whole):
		return longer
	case sofar != 0:
		return sofar
	case !d.behind:
		return int8(cmp.Compare(c, x.at.whole[d.n]))
	case d.n < len(x.at.frac):
		return int8(cmp.Compare(c, x.at.frac[d.n]))
	}
	return int8(cmp.Compare(c, '0'))
}

// whole is the comparison after the last digit before the point.
func (w *digitWalk) whole(d digits, sofar int8, x *bound) int8 {
	switch {
	case x == nil:
		return 0
	case d.behind:
		return sofar
	case sofar == longer:
		return 1
	case d.n < len(x.at.whole):
		return -1
	}
	return sofar
}

// ends reports whether the digits so far are a number that is meant.
func (w *digitWalk) ends(d digits) bool {
	if d.n == 0 && (d.behind || !d.zero) {
		return false
	}
	side := func(sofar int8, x *bound) int8 {
		c, read := w.whole(d, sofar, x), 0
		if d.behind {
			read = d.n
		}
		if c == 0 && read < len(x.at.frac) {
			return -1
		}
		return c
	}
	if w.low != nil {
		if c := side(d.low, w.low); c < 0 || c == 0 && w.low.open {
			return false
		}
	}
	if w.high != nil {
		if c := side(d.high, w.high); c > 0 || c == 0 && w.high.open {
			return false
		}
	}
	rest, read := d.rest, 0
	if d.behind {
		read = d.n
	}
	if w.multiple != nil {
		for range len(w.multiple.frac) - read {
			rest = rest * 10 % w.divisor
		}
	}
	return rest == 0
}
