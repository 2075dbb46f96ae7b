// Package constrainttest makes random JSON Schemas of the kinds that factories
// write, for tests that hold answers to them. It never looks at an answer.
package constrainttest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
)

// schemaGen makes random schemas of the kinds that factories write.
type schemaGen struct {
	r    *rand.Rand
	defs int // definitions d0 to d(n-1) that may be referred to
}

// Schema is a random schema, the same for the same state of r. Most can be held
// by constraint.Compile; some ask for what it refuses.
func Schema(r *rand.Rand) string {
	g := &schemaGen{r: r, defs: r.IntN(3)}
	s := g.schema(3)
	if g.defs > 0 {
		defs := map[string]any{}
		for i := range g.defs {
			defs[fmt.Sprint("d", i)] = g.schema(2)
		}
		m, ok := s.(map[string]any)
		if !ok {
			m = map[string]any{}
		}
		m["$defs"] = defs
		s = m
	}
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(text)
}

type obj = map[string]any

func (g *schemaGen) schema(deep int) any {
	kinds := []func(int) any{g.text, g.integer, g.number, g.enum, g.scalar}
	if deep > 0 {
		kinds = append(kinds, g.object, g.object, g.object, g.array, g.array, g.anyOf, g.oneOf, g.allOf)
	}
	if g.defs > 0 && g.r.IntN(6) == 0 {
		return obj{"$ref": fmt.Sprint("#/$defs/d", g.r.IntN(g.defs)), "description": "a reference"}
	}
	return kinds[g.r.IntN(len(kinds))](deep)
}

func (g *schemaGen) maybe(m obj, key string, v any) {
	if g.r.IntN(2) == 0 {
		m[key] = v
	}
}

var genPatterns = []string{
	`^[A-Z]{2}-\d{1,4}$`, `b+`, `^(on|off|auto)$`, `^a`, `z$`, `^[^"\\]*$`, `^\S+$`, `(?i)^abc|[0-9]`, `^.{2,5}$`, `ä|ö`, `^(\w+\s)*\w+$`,
	`^\p{Lu}`, `[\x{1F600}-\x{1F64F}]`, `^$|x`, `\n`, `^\\"`,
}

func (g *schemaGen) text(int) any {
	m := obj{"type": "string"}
	if g.r.IntN(3) == 0 {
		low := g.r.IntN(4)
		g.maybe(m, "minLength", low)
		g.maybe(m, "maxLength", low+[]int{0, 1, 2, 5, 19, 30}[g.r.IntN(6)])
	}
	switch g.r.IntN(4) {
	case 0:
		m["pattern"] = genPatterns[g.r.IntN(len(genPatterns))]
	case 1:
		return obj{"type": "string", "format": []string{"date", "time", "date-time", "uuid", "ipv4"}[g.r.IntN(5)]}
	}
	return m
}

func (g *schemaGen) bounds(m obj, value func() any) obj {
	for _, k := range []string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"} {
		if g.r.IntN(4) == 0 {
			m[k] = value()
		}
	}
	return m
}

func (g *schemaGen) integer(int) any {
	m := g.bounds(obj{"type": "integer"}, func() any {
		if g.r.IntN(4) == 0 {
			return float64(g.r.IntN(400)-200) / 4
		}
		return []int{g.r.IntN(20) - 10, g.r.IntN(2000) - 1000, g.r.IntN(1e9)}[g.r.IntN(3)]
	})
	if g.r.IntN(5) == 0 {
		m["multipleOf"] = []any{2, 5, 7, 10, 100, 0.5, 1.5}[g.r.IntN(7)]
	}
	return m
}

func (g *schemaGen) number(int) any {
	m := g.bounds(obj{"type": "number"}, func() any {
		return []any{g.r.IntN(20) - 10, float64(g.r.IntN(2000)-1000) / 8, json.RawMessage("1.5e2"), json.RawMessage("-0.001"), 0}[g.r.IntN(5)]
	})
	if g.r.IntN(5) == 0 {
		m["multipleOf"] = []any{1, 0.1, 0.25, 0.01, 2.5}[g.r.IntN(5)]
	}
	return m
}

func (g *schemaGen) scalar(int) any {
	return []any{
		obj{"type": "boolean"}, obj{"type": "null"}, obj{"type": []string{"integer", "null"}}, obj{"type": []string{"string", "boolean"}},
		true, obj{}, obj{"type": "object"}, obj{"type": "array"}, obj{"type": []string{"number", "string"}, "maxLength": 3, "maximum": 5},
	}[g.r.IntN(9)]
}

var genValues = []any{
	"ok", "warning", "o", "okay", "", "ü\"\\\n", "😀", 0, 1, -5, 1.5, 10, 100, true, false, nil, []any{}, []any{1, "a"}, obj{}, obj{"a": 1},
	json.RawMessage("1.0"), json.RawMessage("1e2"),
}

func (g *schemaGen) enum(int) any {
	if g.r.IntN(3) == 0 {
		return obj{"const": genValues[g.r.IntN(len(genValues))]}
	}
	var vs []any
	for _, i := range g.r.Perm(len(genValues))[:1+g.r.IntN(6)] {
		vs = append(vs, genValues[i])
	}
	m := obj{"enum": vs}
	if g.r.IntN(4) == 0 {
		m["type"] = []string{"string", "number"}
	}
	return m
}

var genNames = []string{"a", "ab", "abc", "b", "status", "state", "Ä", "quote\"d", "/x~", "", "100%", "a b"}

func (g *schemaGen) object(deep int) any {
	props := obj{}
	var names []string
	for _, i := range g.r.Perm(len(genNames))[:g.r.IntN(5)] {
		names = append(names, genNames[i])
		props[genNames[i]] = g.schema(deep - 1)
	}
	m := obj{"type": "object", "properties": props}
	var required []string
	for _, n := range names {
		if g.r.IntN(2) == 0 {
			required = append(required, n)
		}
	}
	if len(required) > 0 {
		m["required"] = required
	}
	switch g.r.IntN(6) {
	case 0, 1:
		m["additionalProperties"] = false
	case 2:
		m["additionalProperties"] = true
	case 3:
		m["additionalProperties"] = g.schema(0)
	}
	if g.r.IntN(5) == 0 {
		m["minProperties"] = g.r.IntN(len(names) + 2)
	}
	if g.r.IntN(5) == 0 {
		m["maxProperties"] = len(required) + g.r.IntN(3)
	}
	return m
}

func (g *schemaGen) array(deep int) any {
	m := obj{"type": "array"}
	g.maybe(m, "items", g.schema(deep-1))
	if g.r.IntN(3) == 0 {
		var prefix []any
		for range 1 + g.r.IntN(3) {
			prefix = append(prefix, g.schema(deep-1))
		}
		m["prefixItems"] = prefix
	}
	if g.r.IntN(6) == 0 {
		m = obj{"type": "array", "items": g.enum(0), "uniqueItems": true}
	}
	low := g.r.IntN(4)
	if g.r.IntN(3) == 0 {
		m["minItems"] = low
	}
	if g.r.IntN(3) == 0 {
		m["maxItems"] = low + g.r.IntN(3)
	}
	return m
}

func (g *schemaGen) some(deep int) []any {
	var all []any
	for range 1 + g.r.IntN(3) {
		all = append(all, g.schema(deep-1))
	}
	return all
}

func (g *schemaGen) anyOf(deep int) any {
	if g.r.IntN(3) == 0 {
		m := g.object(deep).(obj)
		m["anyOf"] = []any{obj{"required": []string{"a"}}, g.object(deep - 1)}
		return m
	}
	return obj{"anyOf": g.some(deep)}
}

func (g *schemaGen) allOf(deep int) any {
	if g.r.IntN(2) == 0 {
		return obj{"allOf": []any{g.object(deep), g.object(deep)}}
	}
	return obj{"allOf": g.some(deep)}
}

// oneOf mostly has branches that a constant tells apart.
func (g *schemaGen) oneOf(deep int) any {
	if g.r.IntN(4) == 0 {
		return obj{"oneOf": g.some(deep)}
	}
	var all []any
	for i := range 1 + g.r.IntN(3) {
		m := g.object(deep).(obj)
		m["properties"].(obj)["kind"] = obj{"const": strings.Repeat("k", i+1)}
		required, _ := m["required"].([]string)
		m["required"] = append(required, "kind")
		delete(m, "maxProperties")
		all = append(all, m)
	}
	return obj{"oneOf": all}
}
