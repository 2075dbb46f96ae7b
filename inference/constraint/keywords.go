package constraint

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// Keywords that say nothing about what is valid.
var annotations = []string{
	"$comment", "$defs", "$id", "$schema", "contentEncoding", "contentMediaType", "contentSchema", "default",
	"definitions", "deprecated", "description", "examples", "readOnly", "title", "writeOnly",
}

// Keywords that are held.
var keywords = []string{
	"$ref", "additionalProperties", "allOf", "anyOf", "const", "enum", "exclusiveMaximum", "exclusiveMinimum", "format",
	"items", "maxItems", "maxLength", "maxProperties", "maximum", "minItems", "minLength", "minProperties", "minimum",
	"multipleOf", "oneOf", "pattern", "prefixItems", "properties", "required", "type", "uniqueItems",
}

// drafts whose meaning of our keywords is that of 2020-12.
var drafts = []string{
	"https://json-schema.org/draft/2020-12/schema", "https://json-schema.org/draft/2019-09/schema",
	"http://json-schema.org/draft-07/schema",
}

// knownKeywords refuses what cannot be held, by name.
func knownKeywords(at string, o *object) error {
	for _, k := range o.keys {
		v := o.values[k]
		switch {
		case k == "$schema":
			if d, _ := v.(string); !slices.Contains(drafts, strings.TrimSuffix(d, "#")) {
				return refuse(at, k, "only drafts 2020-12, 2019-09 and 7 are held")
			}
		case k == "$id" && at != "#":
			return refuse(at, k, "schemas within schemas have no address of their own here; use $ref with #/")
		case strings.HasPrefix(k, "x-"), slices.Contains(annotations, k), slices.Contains(keywords, k):
		default:
			return refuse(at, k, "cannot be held; leave it out and check it in the receiver")
		}
	}
	return nil
}

func (s *schemas) readTypes(sh *shape, t *site) error {
	v, ok := t.body.get("type")
	if !ok {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var all types
	for _, e := range list {
		name, _ := e.(string)
		bits, ok := typeNames[name]
		if !ok {
			return bad("schema at %s/type: %s is no type", t.at, appendJSON(nil, e))
		}
		all |= bits
	}
	sh.types &= all
	return nil
}

// readValues reads const and enum; several of them narrow each other later,
// as every value must pass every schema.
func (s *schemas) readValues(sh *shape, t *site) error {
	if v, ok := t.body.get("const"); ok && !sh.finite {
		sh.listed, sh.finite = []any{v}, true
	}
	v, ok := t.body.get("enum")
	if !ok {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		return bad("schema at %s/enum: must be a list", t.at)
	}
	if !sh.finite {
		sh.listed, sh.finite = list, true
	}
	return nil
}

func (s *schemas) readChoices(sh *shape, t *site) error {
	if t.bare {
		return nil
	}
	for _, key := range []string{"anyOf", "oneOf"} {
		branches, err := s.children(t, key)
		if err != nil {
			return err
		}
		if branches != nil {
			sh.choices = append(sh.choices, choice{t, key, branches})
		}
	}
	return nil
}

func (s *schemas) readNumbers(sh *shape, t *site) error {
	for _, key := range []string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"} {
		v, ok := t.body.get(key)
		if !ok {
			continue
		}
		sh.hinted |= tNumber
		n, ok := v.(json.Number)
		if !ok {
			return bad("schema at %s/%s: must be a number", t.at, key)
		}
		d, ok := parseDecimal(n)
		if !ok {
			return refuse(t.at, key, "the number has more than "+fmt.Sprint(maxBoundDigits)+" digits")
		}
		switch key {
		case "minimum":
			sh.numbers.atLeast(bound{at: d})
		case "maximum":
			sh.numbers.atMost(bound{at: d})
		case "exclusiveMinimum":
			sh.numbers.atLeast(bound{d, true})
		case "exclusiveMaximum":
			sh.numbers.atMost(bound{d, true})
		default:
			if d.neg || d == (decimal{}) {
				return bad("schema at %s/multipleOf: must be above 0", t.at)
			}
			if digits := strings.TrimLeft(d.whole+d.frac, "0"); len(digits) > 4 || len(digits) == 4 && digits > fmt.Sprint(maxDivisor) {
				return refuse(t.at, key, fmt.Sprintf("its digits are more than %d", maxDivisor))
			}
			if m := sh.numbers.multiple; m != nil && *m != d {
				return refuse(t.at, key, "another multipleOf holds here too; give their common multiple")
			}
			sh.numbers.multiple = &d
		}
	}
	return nil
}

func (s *schemas) readText(sh *shape, t *site) error {
	if v, ok := t.body.get("pattern"); ok {
		sh.hinted |= tString
		source, ok := v.(string)
		if !ok {
			return bad("schema at %s/pattern: must be a text", t.at)
		}
		p, err := parsePattern(source)
		if err != nil {
			return refuse(t.at, "pattern", err.Error())
		}
		sh.patterns = append(sh.patterns, p)
	}
	if v, ok := t.body.get("format"); ok {
		sh.hinted |= tString
		name, _ := v.(string)
		source, ok := formats[name]
		if !ok {
			return refuse(t.at, "format", fmt.Sprintf("%s cannot be held; date, time, date-time, uuid and ipv4 can", appendJSON(nil, v)))
		}
		p, err := parsePattern(source)
		if err != nil {
			return err
		}
		sh.patterns = append(sh.patterns, p)
	}
	return nil
}

// formats as patterns; each is a part of what its standard allows.
var formats = map[string]string{
	"date": "^" + datePattern + "$", "time": "^" + timePattern + "$", "date-time": "^" + datePattern + "T" + timePattern + "$",
	"uuid": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
	"ipv4": `^(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(\.(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}$`,
}

// RFC 3339, with the months' lengths and leap years, without leap seconds.
const (
	datePattern = `(\d{4}-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])|\d{4}-(0[13-9]|1[0-2])-(29|30)|\d{4}-(0[13578]|1[02])-31|` +
		`(\d\d(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)`
	timePattern = `([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)`
)

func (s *schemas) readCounts(sh *shape, t *site) error {
	for _, k := range []struct {
		key  string
		hint types
		low  *int32
		high *int32
	}{
		{"minLength", tString, &sh.lowChar, nil}, {"maxLength", tString, nil, &sh.highChar},
		{"minItems", tArray, &sh.lowItem, nil}, {"maxItems", tArray, nil, &sh.highItem},
		{"minProperties", tObject, &sh.lowProp, nil}, {"maxProperties", tObject, nil, &sh.highProp},
	} {
		v, ok := t.body.get(k.key)
		if !ok {
			continue
		}
		sh.hinted |= k.hint
		n, err := natural(t, k.key, v)
		if err != nil {
			return err
		}
		if k.low != nil {
			*k.low = max(*k.low, n)
		} else if *k.high == none || n < *k.high {
			*k.high = n
		}
	}
	return nil
}

// readItems lines up the items of all schemas, place by place.
func (s *schemas) readItems(sh *shape, flat conj) error {
	longest := 0
	prefixes := make([][]*site, len(flat))
	for i, t := range flat {
		if t.body == nil {
			continue
		}
		var err error
		if prefixes[i], err = s.children(t, "prefixItems"); err != nil {
			return err
		}
		longest = max(longest, len(prefixes[i]))
	}
	sh.prefix = make([]conj, longest)
	for i, t := range flat {
		if t.body == nil {
			continue
		}
		var rest *site
		if v, ok := t.body.get("items"); ok {
			if _, list := v.([]any); list {
				return refuse(t.at, "items", "a list of schemas is draft 7; use prefixItems")
			}
			var err error
			if rest, err = s.child(t, "items"); err != nil {
				return err
			}
			sh.items, sh.itemsSaid = append(sh.items, rest), true
			sh.hinted |= tArray
		}
		if v, ok := t.body.get("uniqueItems"); ok {
			yes, ok := v.(bool)
			if !ok {
				return bad("schema at %s/uniqueItems: must be true or false", t.at)
			}
			if yes {
				sh.unique = t
				sh.hinted |= tArray
			}
		}
		for k := range sh.prefix {
			if k < len(prefixes[i]) {
				sh.prefix[k] = append(sh.prefix[k], prefixes[i][k])
				sh.hinted |= tArray
			} else if rest != nil {
				sh.prefix[k] = append(sh.prefix[k], rest)
			}
		}
	}
	for k, c := range append(slices.Clone(sh.prefix), sh.items) {
		if n := int32(k); c.never() && (sh.highItem == none || n < sh.highItem) {
			sh.highItem = n
		}
	}
	return nil
}

// never reports whether c plainly allows nothing.
func (c conj) never() bool {
	return slices.ContainsFunc(c, func(t *site) bool { return t.no })
}

// readProperties brings together the properties in the order of declaration.
func (s *schemas) readProperties(sh *shape, flat conj) error {
	byName := map[string]int{}
	for _, t := range flat {
		if t.body == nil {
			continue
		}
		if v, ok := t.body.get("properties"); ok {
			o, ok := v.(*object)
			if !ok {
				return bad("schema at %s/properties: must be an object", t.at)
			}
			sh.hinted |= tObject
			for _, name := range o.keys {
				sh.declare(byName, name)
			}
		}
	}
	for _, t := range flat {
		if t.body == nil {
			continue
		}
		if v, ok := t.body.get("required"); ok {
			list, ok := v.([]any)
			if !ok {
				return bad("schema at %s/required: must be a list of names", t.at)
			}
			sh.hinted |= tObject
			for _, e := range list {
				name, ok := e.(string)
				if !ok {
					return bad("schema at %s/required: must be a list of names", t.at)
				}
				sh.props[sh.declare(byName, name)].required = true
			}
		}
		if _, ok := t.body.get("additionalProperties"); ok {
			sh.hinted |= tObject
			more, err := s.child(t, "additionalProperties")
			if err != nil {
				return err
			}
			sh.moreSaid = true
			sh.more = append(sh.more, more)
		}
	}
	return s.typeProperties(sh, flat)
}

func (sh *shape) declare(byName map[string]int, name string) int {
	i, ok := byName[name]
	if !ok {
		i = len(sh.props)
		byName[name] = i
		sh.props = append(sh.props, prop{name: name})
	}
	return i
}

// typeProperties gives each property the schemas that speak of it.
func (s *schemas) typeProperties(sh *shape, flat conj) error {
	for i := range sh.props {
		p := &sh.props[i]
		for _, t := range flat {
			if t.body == nil {
				continue
			}
			own, _ := t.body.values["properties"].(*object)
			path := []string{"additionalProperties"}
			if own != nil {
				if _, ok := own.get(p.name); ok {
					path = []string{"properties", p.name}
				}
			}
			if _, ok := t.body.get(path[0]); !ok {
				continue
			}
			c, err := s.child(t, path...)
			if err != nil {
				return err
			}
			p.value = append(p.value, c)
		}
	}
	return nil
}

// filterValues keeps the values that pass every schema, also the choices of
// those whose choices are taken care of elsewhere.
func (s *schemas) filterValues(sh *shape) error {
	if !sh.finite {
		return nil
	}
	var keep []any
	for _, v := range sh.listed {
		ok := !sh.never
		for _, t := range sh.sites {
			if !ok || t.body == nil {
				continue
			}
			var err error
			if ok, err = s.check.valid(t.at, v); err != nil {
				return err
			}
		}
		if ok {
			keep = append(keep, v)
		}
	}
	sh.values = keep
	return nil
}

// natural reads a keyword's value as a count.
func natural(t *site, key string, v any) (int32, error) {
	n, ok := v.(json.Number)
	if ok {
		r, ok := new(big.Rat).SetString(string(n))
		if ok && len(n) < 12 && r.IsInt() && r.Sign() >= 0 && r.Num().IsInt64() {
			return int32(min(r.Num().Int64(), 1<<24)), nil
		}
	}
	return 0, bad("schema at %s/%s: must be a whole number from 0 up", t.at, key)
}
