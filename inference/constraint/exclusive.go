package constraint

import (
	"fmt"
	"slices"
)

// maxCompared bounds the work of telling branches apart.
const maxCompared = 20_000

// exclusive checks that an answer written for one branch of a oneOf can never
// satisfy another.
func (s *schemas) exclusive(sh *shape, ch choice) error {
	if ch.key != "oneOf" {
		return nil
	}
	base := s.without(sh.sites, []choice{ch})
	with := func(i int) conj { return append(slices.Clone(base), ch.branches[i]) }
	for i := range ch.branches {
		for j := range ch.branches {
			if i == j {
				continue
			}
			apart, err := s.apart(with(i), with(j), base, 0)
			if err != nil {
				return err
			}
			if !apart {
				return refuse(ch.of.at, "oneOf", fmt.Sprintf(
					"branches %d and %d may both hold; tell them apart by a required property with different const values, or use anyOf",
					min(i, j), max(i, j)))
			}
		}
	}
	return nil
}

// apart reports whether nothing that is written for x can satisfy y. False
// means that it is not known. The schemas of base may rest on the answer, so
// they are not asked whether they take a value.
func (s *schemas) apart(x, y, base conj, depth int) (bool, error) {
	s.compared++
	if depth > 8 || s.compared > maxCompared {
		return false, nil
	}
	a, err := s.shape(x)
	if err != nil {
		return false, err
	}
	b, err := s.shape(y)
	if err != nil || a.never || b.never {
		return err == nil, err
	}
	if a.finite || b.finite {
		return s.valuesApart(a, b, base)
	}
	if len(a.choices) > 0 || len(b.choices) > 0 {
		return s.choicesApart(a, b, base, depth)
	}
	common := a.written() & b.types
	if common&(tNull|tBool) != 0 ||
		common&tNumber != 0 && !a.numbers.apart(&b.numbers) ||
		common&tString != 0 && !textsApart(a, b) {
		return false, nil
	}
	if common&tArray != 0 {
		if ok, err := s.arraysApart(a, b, depth); err != nil || !ok {
			return false, err
		}
	}
	if common&tObject != 0 {
		return s.objectsApart(a, b, depth)
	}
	return true, nil
}

// valuesApart tries the few values of one side on the other: those that are
// written for a, or all that b may allow.
func (s *schemas) valuesApart(a, b *shape, base conj) (bool, error) {
	few, other := a.values, b
	if !a.finite {
		few, other = b.listed, a
	}
	for _, v := range few {
		passes := true
		for _, t := range other.sites {
			if t.body == nil || slices.Contains(base, t) || !passes {
				continue
			}
			var err error
			if passes, err = s.check.valid(t.at, v); err != nil {
				return false, err
			}
		}
		if passes {
			return false, nil
		}
	}
	return true, nil
}

// choicesApart compares branch by branch.
func (s *schemas) choicesApart(a, b *shape, base conj, depth int) (bool, error) {
	lefts, rights := []conj{a.sites}, []conj{b.sites}
	for _, side := range []struct {
		sh *shape
		to *[]conj
	}{{a, &lefts}, {b, &rights}} {
		if len(side.sh.choices) == 0 {
			continue
		}
		ch := side.sh.choices[0]
		*side.to = nil
		for _, branch := range ch.branches {
			*side.to = append(*side.to, append(s.without(side.sh.sites, []choice{ch}), branch))
		}
	}
	for _, l := range lefts {
		for _, r := range rights {
			if ok, err := s.apart(l, r, base, depth+1); err != nil || !ok {
				return false, err
			}
		}
	}
	return true, nil
}

func textsApart(a, b *shape) bool {
	low, high := max(a.lowChar, b.lowChar), a.highChar
	if high == none || b.highChar != none && b.highChar < high {
		high = b.highChar
	}
	if high != none && low > high {
		return true
	}
	patterns := slices.Concat(a.patterns, b.patterns)
	if len(patterns) == 0 {
		return false
	}
	t, err := matchText(patterns, low, high)
	return err == nil && t.empty()
}

func (s *schemas) arraysApart(a, b *shape, depth int) (bool, error) {
	if a.highItem != none && a.highItem < b.lowItem || b.highItem != none && b.highItem < a.lowItem {
		return true, nil
	}
	for i := range int(min(a.lowItem, maxCompared)) { // items that are always there
		if ok, err := s.apart(a.item(i), b.item(i), nil, depth+1); err != nil || ok {
			return ok, err
		}
		if i >= len(a.prefix) && i >= len(b.prefix) {
			break
		}
	}
	return false, nil
}

func (sh *shape) item(i int) conj {
	if i < len(sh.prefix) {
		return sh.prefix[i]
	}
	return sh.items
}

// objectsApart looks for a property that one side always writes and the other
// forbids or wants to be something else, or misses one that is required.
func (s *schemas) objectsApart(a, b *shape, depth int) (bool, error) {
	open := a.moreSaid && !a.more.never() || len(a.props) == 0
	for _, p := range b.props {
		writes := slices.ContainsFunc(a.props, func(q prop) bool { return q.name == p.name && !q.value.never() })
		if p.required && !writes && !open {
			return true, nil
		}
	}
	for _, p := range a.props {
		if !p.required {
			continue
		}
		if ok, err := s.apart(p.value, b.property(p.name), nil, depth+1); err != nil || ok {
			return ok, err
		}
	}
	return false, nil
}

// property is what sh asks of a property.
func (sh *shape) property(name string) conj {
	for _, p := range sh.props {
		if p.name == name {
			return p.value
		}
	}
	return sh.more
}
