package constraint

import (
	"fmt"
	"slices"
)

const (
	maxProperties = 512 // of one object
	maxSelection  = 64  // values of an array whose items must differ
	maxChoices    = 256 // ways to satisfy several anyOf and oneOf at once
)

// rule is the first node of the rule for values that satisfy all of c.
func (s *schemas) rule(c conj) (int32, error) {
	if len(c) == 0 {
		return s.anything(maxAnyDeep), nil
	}
	key := c.key()
	if start, ok := s.rules[key]; ok {
		return start, nil
	}
	start := s.hole() // the schema may lead back to itself
	s.rules[key] = start
	s.ruleCount++
	sh, err := s.shape(c)
	if err != nil {
		return none, err
	}
	var outs []int32
	switch {
	case s.full || sh.never:
	case sh.finite:
		for _, v := range sh.values {
			outs = append(outs, s.lit(string(appendJSON(nil, v)), s.ret))
		}
	case len(sh.choices) > 0:
		outs, err = s.chosen(sh)
	default:
		outs, err = s.typed(sh)
	}
	s.fill(start, outs...)
	return start, err
}

// written are the types of the answers: what keywords speak of, where the
// schema names no type.
func (sh *shape) written() types {
	if sh.types == tAny && sh.hinted != 0 {
		return sh.hinted
	}
	return sh.types
}

// typed is one way for each type.
func (s *schemas) typed(sh *shape) ([]int32, error) {
	ts := sh.written()
	if sh.types == tAny && sh.hinted == 0 {
		return []int32{s.anything(maxAnyDeep)}, nil
	}
	var outs []int32
	if ts&tNull != 0 {
		outs = append(outs, s.lit("null", s.ret))
	}
	if ts&tBool != 0 {
		outs = append(outs, s.lit("true", s.ret), s.lit("false", s.ret))
	}
	if ts&tNumber != 0 {
		n := sh.numbers
		n.integer = ts&tFraction == 0
		outs = append(outs, s.number(n))
	}
	for _, t := range []struct {
		bit  types
		emit func(*shape) (int32, error)
	}{{tString, s.text}, {tArray, s.array}, {tObject, s.object}} {
		if ts&t.bit == 0 {
			continue
		}
		start, err := t.emit(sh)
		if err != nil {
			return nil, err
		}
		outs = append(outs, start)
	}
	return outs, nil
}

// chosen is one way for each combination of the choices' branches.
func (s *schemas) chosen(sh *shape) ([]int32, error) {
	combos := []conj{s.without(sh.sites, sh.choices)}
	for _, ch := range sh.choices {
		if err := s.exclusive(sh, ch); err != nil {
			return nil, err
		}
		var more []conj
		for _, c := range combos {
			for _, branch := range ch.branches {
				more = append(more, append(slices.Clone(c), branch))
			}
		}
		if combos = more; len(combos) > maxChoices {
			return nil, refuse(ch.of.at, ch.key, fmt.Sprintf("more than %d combinations of choices", maxChoices))
		}
	}
	var outs []int32
	for _, c := range combos {
		start, err := s.rule(c)
		if err != nil {
			return nil, err
		}
		outs = append(outs, s.call(start, s.ret))
	}
	return outs, nil
}

// without is c with its choices left out.
func (s *schemas) without(c conj, choices []choice) conj {
	c = slices.Clone(c)
	for i, t := range c {
		if slices.ContainsFunc(choices, func(ch choice) bool { return ch.of == t }) {
			c[i] = s.withoutChoice(t)
		}
	}
	return c
}

func (s *schemas) text(sh *shape) (int32, error) {
	if sh.highChar != none && sh.lowChar > sh.highChar {
		return s.bytes(), nil
	}
	if len(sh.patterns) == 0 {
		return s.anyText(sh.lowChar, sh.highChar), nil
	}
	t, err := matchText(sh.patterns, sh.lowChar, sh.highChar)
	if err != nil {
		return none, refuse(sh.at, "pattern", "it takes "+err.Error())
	}
	return s.matched(t), nil
}

// anyText is any string of low to high characters.
func (s *schemas) anyText(low, high int32) int32 {
	key := [2]int32{low, high}
	if _, ok := s.texts[key]; !ok {
		s.texts[key] = s.stringRule(low, high)
	}
	return s.call(s.texts[key], s.ret)
}

// anything is any JSON value that nests at most deep levels.
func (s *schemas) anything(deep int) int32 {
	for len(s.anys) <= deep {
		outs := []int32{s.anyText(0, none), s.number(numbers{}), s.lit("true", s.ret), s.lit("false", s.ret), s.lit("null", s.ret)}
		if n := len(s.anys); n > 0 {
			outs = append(outs, s.list(nil, s.anys[n-1], 0, none), s.anyObject(n-1))
		}
		s.anys = append(s.anys, s.split(outs...))
	}
	return s.anys[deep]
}

// anyObject is any JSON object whose values nest at most deep levels.
func (s *schemas) anyObject(deep int) int32 {
	value := s.anything(deep)
	key := s.anyText(0, none)
	return s.fields(&fieldWalk{schemas: s, key: key, more: value, high: none})
}

func (s *schemas) array(sh *shape) (int32, error) {
	prefix := make([]int32, len(sh.prefix))
	for i, c := range sh.prefix {
		start, err := s.rule(c)
		if err != nil {
			return none, err
		}
		prefix[i] = start
	}
	low, high := sh.lowItem, sh.highItem
	if len(prefix) > 0 && !sh.itemsSaid && (high == none || high > int32(len(prefix))) {
		high = max(low, int32(len(prefix))) // say no more than is asked for
	}
	switch {
	case high != none && low > high:
		return s.bytes(), nil
	case sh.unique != nil && (high == none || high > 1):
		return s.selection(sh, low, high)
	}
	items, err := s.rule(sh.items)
	if err != nil {
		return none, err
	}
	return s.list(prefix, items, low, high), nil
}

// list is an array: the rules of prefix, then items.
func (b *builder) list(prefix []int32, items, low, high int32) int32 {
	if len(prefix) == 0 {
		prefix = []int32{items} // the first item stands behind no comma
	}
	n := int32(len(prefix))
	end := b.lit("]", b.ret)
	next := end
	if high == none || high > n {
		rest := high
		if high != none {
			rest = high - n
		}
		next = b.counting(loop{max(0, low-n), items, 1, 0}, rest,
			func() int32 { return b.lit("]", b.ret) },
			func(next int32) int32 { return b.lit(",", b.call(items, next)) })
		next = b.call(next, b.ret) // a rule of its own, as it counts
	}
	for k := n - 1; k >= 0; k-- {
		var outs []int32
		if k >= low {
			outs = append(outs, end)
		}
		if high == none || k < high {
			comma := ","
			if k == 0 {
				comma = ""
			}
			outs = append(outs, b.lit(comma, b.call(prefix[k], next)))
		}
		next = b.split(outs...)
	}
	return b.lit("[", next)
}

// selection is an array of different items out of a few values, in the order
// in which the schema lists them: that is how they are known to differ.
func (s *schemas) selection(sh *shape, low, high int32) (int32, error) {
	items, err := s.shape(sh.items)
	if err != nil {
		return none, err
	}
	if !items.finite || len(sh.prefix) > 0 || len(items.values) > maxSelection {
		return none, refuse(sh.unique.at, "uniqueItems",
			fmt.Sprintf("only items of an enum of at most %d values can be kept different; leave it out and check it in the receiver", maxSelection))
	}
	values := distinct(items.values)
	if low > int32(len(values)) {
		return s.bytes(), nil
	}
	end := s.lit("]", s.ret)
	bounded := high != none && high < int32(len(values))
	top := max(1, low) // items that are told apart by their number
	if bounded {
		top = high
	}
	after := make([]int32, top+1) // after[n] goes on behind n items; behind top, or more
	for n := range after {
		if after[n] = end; int32(n) < low {
			after[n] = s.bytes()
		}
	}
	for _, v := range slices.Backward(values) {
		text := string(appendJSON(nil, v))
		for n := range after { // upwards, as after[n+1] must not know v yet
			to, comma := min(int32(n)+1, top), ","
			if n == 0 {
				comma = ""
			}
			if !bounded || int32(n) < top {
				after[n] = s.split(s.lit(comma+text, after[to]), after[n])
			}
		}
	}
	return s.lit("[", after[0]), nil
}

// distinct is values without those that are equal to an earlier one, numbers
// written in several ways among them.
func distinct(values []any) []any {
	var out []any
	for _, v := range values {
		if !slices.ContainsFunc(out, func(o any) bool { return equalJSON(o, v) }) {
			out = append(out, v)
		}
	}
	return out
}

func (s *schemas) object(sh *shape) (int32, error) {
	w := &fieldWalk{schemas: s, low: sh.lowProp, high: sh.highProp, more: none}
	if len(sh.props) > maxProperties {
		return none, refuse(sh.at, "properties", fmt.Sprintf("more than %d of them", maxProperties))
	}
	var names []string
	for _, p := range sh.props {
		names = append(names, p.name)
		if p.value.never() && !p.required {
			continue
		}
		value, err := s.rule(p.value)
		if err != nil {
			return none, err
		}
		w.fields = append(w.fields, field{string(appendString(nil, p.name)) + ":", value, p.required})
	}
	if open := sh.moreSaid || len(sh.props) == 0; open && !sh.more.never() {
		more, err := s.rule(sh.more)
		if err != nil {
			return none, err
		}
		w.key, w.more = s.otherKey(names), more
	}
	return s.fields(w), nil
}

// fieldWalk builds the fields of an object in their order.
type fieldWalk struct {
	*schemas
	fields    []field
	key       int32 // rule of the names of further fields
	more      int32 // rule of the values of further fields, or none
	low, high int32 // number of fields; high is none for no bound
	limit     int32 // where counting stops
	memo      map[fieldPlace]int32
}

type field struct {
	key      string // with quotes and colon
	value    int32  // rule
	required bool
}

// fieldPlace is a place between fields.
type fieldPlace struct {
	next  int   // the field that comes next at the earliest
	count int32 // fields so far, up to limit
	sure  int32 // of them known to have different names
	extra bool  // a further field stands already
}

func (s *schemas) fields(w *fieldWalk) int32 {
	w.memo = map[fieldPlace]int32{}
	w.limit = 1
	required := int32(0)
	for _, f := range w.fields {
		if f.required {
			required++
		}
	}
	if w.low > required || w.high != none && (w.more != none || w.high < int32(len(w.fields))) {
		w.limit = max(1, saturate(w.low, w.high))
	} else {
		w.low, w.high = 0, none
	}
	return s.lit("{", w.at(fieldPlace{}))
}

// at is the node of a place. A count that can no longer come right leads
// nowhere, and such nodes are taken out at the end.
func (w *fieldWalk) at(p fieldPlace) int32 {
	if n, ok := w.memo[p]; ok || w.full {
		return n
	}
	here := w.hole()
	w.memo[p] = here
	var outs []int32
	room := w.high == none || p.count < w.high
	after := p
	after.count, after.sure = min(p.count+1, w.limit), min(p.sure+1, w.limit)
	comma := ""
	if p.count > 0 {
		comma = ","
	}
	if p.next < len(w.fields) {
		f := w.fields[p.next]
		after.next++
		if room {
			outs = append(outs, w.lit(comma+f.key, w.call(f.value, w.at(after))))
		}
		if !f.required {
			skip := p
			skip.next++
			outs = append(outs, w.at(skip))
		}
	} else {
		if p.sure >= w.low {
			outs = append(outs, w.lit("}", w.ret))
		}
		if w.more != none && room {
			if p.extra {
				after.sure = p.sure // it may have the name of the one before
			}
			after.extra = true
			outs = append(outs, w.lit(comma, w.call(w.key, w.lit(":", w.call(w.more, w.at(after))))))
		}
	}
	w.fill(here, outs...)
	return here
}

// otherKey is a rule of any name but names, each in its canonical spelling.
func (s *schemas) otherKey(names []string) int32 {
	if len(names) == 0 {
		return s.anyText(0, none)
	}
	free := s.plainChar(none)
	edges := append(s.spelled(complement(nil), free), edge{'"', '"', s.ret})
	if !s.full {
		s.nodes[free].edges = edges
	}
	var after func(rest [][]rune) int32
	after = func(rest [][]rune) int32 {
		var edges []edge
		var taken []runeRange
		byFirst := map[rune][][]rune{}
		closes := true
		for _, r := range rest {
			if len(r) == 0 {
				closes = false
				continue
			}
			if byFirst[r[0]] == nil {
				taken = append(taken, runeRange{r[0], r[0]})
			}
			byFirst[r[0]] = append(byFirst[r[0]], r[1:])
		}
		for _, r := range taken {
			edges = append(edges, s.spelled([]runeRange{r}, after(byFirst[r.lo]))...)
		}
		edges = append(edges, s.spelled(complement(taken), free)...)
		if closes {
			edges = append(edges, edge{'"', '"', s.ret})
		}
		return s.bytes(edges...)
	}
	var rest [][]rune
	for _, n := range names {
		rest = append(rest, []rune(n))
	}
	return s.lit(`"`, after(rest))
}
