package constraint

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// object is a JSON object that remembers the order of its keys. Other values
// are []any, string, json.Number, bool and nil.
type object struct {
	keys   []string
	values map[string]any
}

func (o *object) get(key string) (any, bool) {
	v, ok := o.values[key]
	return v, ok
}

// parseOrdered reads one JSON text with nothing behind it.
func parseOrdered(text []byte) (any, error) {
	if len(text) > maxSource {
		return nil, unsupported("the schema has %d bytes: at most %d are taken", len(text), maxSource)
	}
	if !utf8.Valid(text) {
		return nil, bad("the schema is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	v, err := readValue(dec, 0)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, bad("the schema is not JSON: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, bad("the schema is not JSON: something follows its end")
	}
	return v, nil
}

var errNesting = errors.New("nested deeper than " + strconv.Itoa(maxNesting) + " levels")

func readValue(dec *json.Decoder, depth int) (any, error) {
	if depth > maxNesting {
		return nil, errNesting
	}
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch tok {
	case json.Delim('{'):
		o := &object{values: map[string]any{}}
		for dec.More() {
			key, err := dec.Token()
			if err != nil {
				return nil, err
			}
			k := key.(string)
			v, err := readValue(dec, depth+1)
			if err != nil {
				return nil, err
			}
			if _, twice := o.values[k]; twice {
				return nil, errors.New("key " + strconv.Quote(k) + " stands twice in one object")
			}
			o.keys = append(o.keys, k)
			o.values[k] = v
		}
		_, err := dec.Token()
		return o, err
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			v, err := readValue(dec, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := dec.Token()
		return list, err
	}
	if n, ok := tok.(json.Number); ok {
		if i := strings.IndexAny(string(n), "eE"); i >= 0 && len(n)-i > 5 {
			return nil, errors.New("the number " + string(n) + " is out of reach")
		}
	}
	return tok, nil
}

// appendJSON writes v compactly, strings in their one canonical spelling.
func appendJSON(to []byte, v any) []byte {
	switch v := v.(type) {
	case *object:
		to = append(to, '{')
		for i, k := range v.keys {
			if i > 0 {
				to = append(to, ',')
			}
			to = append(appendString(to, k), ':')
			to = appendJSON(to, v.values[k])
		}
		return append(to, '}')
	case []any:
		to = append(to, '[')
		for i, e := range v {
			if i > 0 {
				to = append(to, ',')
			}
			to = appendJSON(to, e)
		}
		return append(to, ']')
	case string:
		return appendString(to, v)
	case json.Number:
		return append(to, v...)
	case bool:
		return strconv.AppendBool(to, v)
	}
	return append(to, "null"...)
}

func appendString(to []byte, s string) []byte {
	to = append(to, '"')
	for _, r := range s {
		to = append(to, spelling(r)...)
	}
	return append(to, '"')
}

// spelling is how a character is written in a JSON string: as it is, or by its
// shortest escape where it must be escaped.
func spelling(r rune) string {
	switch r {
	case '"':
		return `\"`
	case '\\':
		return `\\`
	case '\b':
		return `\b`
	case '\f':
		return `\f`
	case '\n':
		return `\n`
	case '\r':
		return `\r`
	case '\t':
		return `\t`
	}
	if r < 0x20 {
		return `\u00` + string("0123456789abcdef"[r>>4]) + string("0123456789abcdef"[r&15])
	}
	return string(r)
}

// plainValue is v as encoding/json would give it, for the validator.
func plainValue(v any) any {
	switch v := v.(type) {
	case *object:
		m := make(map[string]any, len(v.keys))
		for k, e := range v.values {
			m[k] = plainValue(e)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, e := range v {
			l[i] = plainValue(e)
		}
		return l
	}
	return v
}

// equalJSON reports whether a and b are the same value to JSON Schema.
func equalJSON(a, b any) bool {
	switch a := a.(type) {
	case *object:
		b, ok := b.(*object)
		if !ok || len(a.keys) != len(b.keys) {
			return false
		}
		for k, v := range a.values {
			if w, ok := b.get(k); !ok || !equalJSON(v, w) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equalJSON)
	case json.Number:
		b, ok := b.(json.Number)
		if !ok {
			return false
		}
		x, okX := new(big.Rat).SetString(string(a))
		y, okY := new(big.Rat).SetString(string(b))
		return okX && okY && x.Cmp(y) == 0
	}
	return a == b
}
