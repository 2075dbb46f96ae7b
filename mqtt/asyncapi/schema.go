// Package asyncapi writes the API down for other people's tools: an AsyncAPI
// document and a JSON Schema per payload, both made from the Go types and the
// topic builders that the board itself uses.
//
// It describes and decides nothing; what a board takes is decided by package
// mqtt, and a test holds the two to each other.
package asyncapi

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"lineside/mqtt"
)

const dialect = "https://json-schema.org/draft/2020-12/schema"

// Payload is one kind of payload of the API.
type Payload struct {
	Name   string // file name, and name in the AsyncAPI document
	About  string
	Strict bool // what a board reads: unknown fields are refused
	typ    reflect.Type
}

// Payloads are all of them.
func Payloads() []Payload {
	return []Payload{
		{"ask", "What a client sends: a prompt to the text topic, or args to a skill's.", true, reflect.TypeFor[mqtt.Ask]()},
		{"cancel", "Ends the client's own ask.", true, reflect.TypeFor[mqtt.Cancel]()},
		{"answer", "The one terminal message of an ask, good or bad.", false, reflect.TypeFor[mqtt.Answer]()},
		{"ack", "An ask was taken in.", false, reflect.TypeFor[mqtt.Ack]()},
		{"chunk", "A piece of an answer as it grows.", false, reflect.TypeFor[mqtt.Chunk]()},
		{"status", "What state a board is in. Retained; the will has the same shape.", false, reflect.TypeFor[mqtt.Status]()},
		{"info", "What a board is and can do. Retained.", false, reflect.TypeFor[mqtt.Info]()},
		{"skill", "What a skill takes and answers. Retained.", false, reflect.TypeFor[mqtt.SkillCard]()},
		{"health", "A board's readings. Retained.", false, reflect.TypeFor[mqtt.Health]()},
		{"event", "Something happened on a board.", false, reflect.TypeFor[mqtt.Event]()},
		{"admin", "An operator's verb.", true, reflect.TypeFor[mqtt.AdminAsk]()},
		{"admin-answer", "The outcome of an operator's verb.", false, reflect.TypeFor[mqtt.AdminAnswer]()},
	}
}

// Schema is the payload's JSON Schema, indented.
func (p Payload) Schema() []byte {
	s := p.schema()
	s["$schema"] = dialect
	s["title"] = p.Name
	return indent(s)
}

func (p Payload) schema() map[string]any {
	s := object(p.typ, p.Strict)
	s["description"] = p.About
	if p.Name == "ask" {
		s["oneOf"] = []any{map[string]any{"required": []string{"prompt"}}, map[string]any{"required": []string{"args"}}}
	}
	return s
}

// object describes a struct by its json, doc and schema tags.
func object(t reflect.Type, strict bool) map[string]any {
	properties, required := map[string]any{}, []string{}
	fields(t, func(name string, f reflect.StructField) {
		rules := strings.Split(f.Tag.Get("schema"), ",")
		s := value(f.Type, strict)
		apply(s, rules)
		if doc := f.Tag.Get("doc"); doc != "" {
			s["description"] = doc
		}
		properties[name] = s
		if !slices.Contains(rules, "optional") {
			required = append(required, name)
		}
	})
	s := map[string]any{"type": "object", "properties": properties, "required": required}
	if strict {
		s["additionalProperties"] = false
	}
	return s
}

// fields walks a struct's JSON fields, those of embedded structs as its own.
func fields(t reflect.Type, f func(string, reflect.StructField)) {
	for i := range t.NumField() {
		field := t.Field(i)
		if field.Anonymous {
			fields(field.Type, f)
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		f(name, field)
	}
}

func value(t reflect.Type, strict bool) map[string]any {
	if t == reflect.TypeFor[json.RawMessage]() {
		return map[string]any{}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return value(t.Elem(), strict)
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Float32, reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": value(t.Elem(), strict)}
	case reflect.Map:
		s := map[string]any{"type": "object"}
		if t.Elem().Kind() != reflect.Interface {
			s["additionalProperties"] = value(t.Elem(), strict)
		}
		return s
	case reflect.Struct:
		return object(t, strict)
	}
	return map[string]any{"type": "integer"}
}

// apply puts the words of a schema tag into a schema.
func apply(s map[string]any, rules []string) {
	for _, rule := range rules {
		key, v, _ := strings.Cut(rule, "=")
		switch key {
		case "minLength", "maxLength", "minimum", "maximum":
			s[key], _ = strconv.ParseInt(v, 10, 64)
		case "enum":
			s["enum"] = strings.Split(v, "|")
		case "enumint":
			s["enum"] = numbers(v)
		case "const":
			s["const"] = constant(s["type"], v)
		case "pattern", "format":
			s[key] = v
		case "type":
			if v == "any" {
				delete(s, "type")
			} else {
				s["type"] = v
			}
		case "unit":
			s["x-unit"] = v
		case "id":
			s["pattern"] = "^[A-Za-z0-9_.-]{1,64}$"
		case "codes":
			var codes []int
			for _, c := range mqtt.Codes() {
				codes = append(codes, int(c.Code))
			}
			s["enum"] = codes
		case "codenames":
			var names []string
			for _, c := range mqtt.Codes() {
				names = append(names, c.Name)
			}
			s["enum"] = names
		}
	}
}

func numbers(v string) (n []int) {
	for _, f := range strings.Split(v, "|") {
		i, _ := strconv.Atoi(f)
		n = append(n, i)
	}
	return n
}

func constant(typ any, v string) any {
	switch typ {
	case "integer":
		n, _ := strconv.Atoi(v)
		return n
	case "boolean":
		return v == "true"
	}
	return v
}

func indent(v any) []byte {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic("asyncapi: maps of plain values do not encode: " + err.Error()) // cannot happen
	}
	return append(b, '\n')
}
