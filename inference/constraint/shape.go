package constraint

import (
	"fmt"
	"slices"
)

// conj is a set of schemas that hold at once. The empty one allows anything.
type conj []*site

func (c conj) key() string {
	ids := make([]int, 0, len(c))
	for _, t := range c {
		ids = append(ids, t.id)
	}
	slices.Sort(ids)
	return fmt.Sprint(slices.Compact(ids))
}

func (c conj) at() string {
	if len(c) == 0 {
		return "#"
	}
	return c[0].at
}

type types uint8

const (
	tNull types = 1 << iota
	tBool
	tInteger
	tFraction // numbers that are not integers
	tString
	tArray
	tObject
	tNumber = tInteger | tFraction
	tAny    = tNull | tBool | tNumber | tString | tArray | tObject
)

var typeNames = map[string]types{
	"null": tNull, "boolean": tBool, "integer": tInteger, "number": tNumber, "string": tString, "array": tArray, "object": tObject,
}

// shape is what a conj says, brought together.
type shape struct {
	at     string
	never  bool
	types  types // that are valid
	hinted types // that the keywords speak of

	finite  bool
	listed  []any // of the first enum or const
	values  []any // of them those that pass every schema
	sites   conj  // what values must pass
	choices []choice

	numbers  numbers
	patterns []*pattern
	lowChar  int32
	highChar int32 // none for no bound

	lowItem, highItem int32 // highItem is none for no bound
	prefix            []conj
	items             conj
	itemsSaid         bool  // a schema speaks of the items behind the prefix
	unique            *site // that says uniqueItems, or nil

	props             []prop
	more              conj // what properties beyond props must be
	moreSaid          bool
	lowProp, highProp int32 // highProp is none for no bound
}

type prop struct {
	name     string
	value    conj
	required bool
}

// choice is an anyOf or a oneOf.
type choice struct {
	of       *site
	key      string
	branches []*site
}

// expand gathers the schemas that hold with c: itself, allOf and $ref. A
// schema whose choices are taken care of is not gathered again with them.
func (s *schemas) expand(c conj) (conj, error) {
	var out conj
	todo := slices.Clone(c)
	for len(todo) > 0 {
		t := todo[0]
		todo = todo[1:]
		if slices.Contains(out, t) || slices.ContainsFunc(c, func(b *site) bool { return b.bare && b.at == t.at && b != t }) {
			continue
		}
		if err := s.noLoop(t); err != nil {
			return nil, err
		}
		out = append(out, t)
		more, err := s.alongside(t)
		if err != nil {
			return nil, err
		}
		todo = append(todo, more...)
	}
	return out, nil
}

// alongside are the schemas that hold wherever t does: allOf and $ref.
func (s *schemas) alongside(t *site) ([]*site, error) {
	if t.body == nil {
		return nil, nil
	}
	all, err := s.children(t, "allOf")
	if err != nil {
		return nil, err
	}
	if ref, ok := t.body.get("$ref"); ok {
		to, err := s.resolve(t, ref)
		if err != nil {
			return nil, err
		}
		all = append([]*site{to}, all...)
	}
	return all, nil
}

// noLoop refuses a schema that leads back to itself for the same value.
func (s *schemas) noLoop(t *site) error {
	done, seen := s.loopFree[t.at]
	if done || t.body == nil {
		return nil
	}
	if seen {
		return bad("schema at %s leads back to itself without going into the value", t.at)
	}
	s.loopFree[t.at] = false
	next, err := s.alongside(t)
	for _, key := range []string{"anyOf", "oneOf"} {
		if err == nil {
			var branches []*site
			branches, err = s.children(t, key)
			next = append(next, branches...)
		}
	}
	for _, n := range next {
		if err == nil {
			err = s.noLoop(n)
		}
	}
	s.loopFree[t.at] = true
	return err
}

// shape brings together what the schemas of c say.
func (s *schemas) shape(c conj) (*shape, error) {
	key := c.key()
	if sh := s.shapes[key]; sh != nil {
		return sh, nil
	}
	sh, err := s.readShape(c)
	if err == nil {
		s.shapes[key] = sh
	}
	return sh, err
}

func (s *schemas) readShape(c conj) (*shape, error) {
	flat, err := s.expand(c)
	if err != nil {
		return nil, err
	}
	sh := &shape{at: c.at(), types: tAny, highChar: none, highItem: none, highProp: none, sites: flat}
	for _, t := range flat {
		if t.no {
			sh.never = true
		}
		if t.body == nil {
			continue
		}
		for _, read := range []func(*shape, *site) error{s.readTypes, s.readValues, s.readChoices, s.readNumbers, s.readText, s.readCounts} {
			if err := read(sh, t); err != nil {
				return nil, err
			}
		}
	}
	if err := s.readItems(sh, flat); err != nil {
		return nil, err
	}
	if err := s.readProperties(sh, flat); err != nil {
		return nil, err
	}
	return sh, s.filterValues(sh)
}
