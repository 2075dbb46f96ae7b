// Package strict reads TOML that people write by hand: unknown keys, wrong
// types and values out of range are errors with their line and column, all of
// them at once.
//
// It never guesses, never fills in a value for one it could not read, and
// knows nothing of what the files are for.
package strict

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// Problem is one mistake in a file. Line and Column count from 1; 0 means that
// the mistake is something missing and stands nowhere.
type Problem struct {
	Line, Column int
	Key          string // dotted, as in "limits.queue"
	Text         string // what is wrong and what is permitted
}

func (p *Problem) Error() string {
	where := ""
	if p.Line > 0 {
		where = fmt.Sprintf("line %d, column %d: ", p.Line, p.Column)
	}
	if p.Key != "" {
		where += p.Key + ": "
	}
	return where + p.Text
}

// Document is a decoded file that remembers where its keys stand.
type Document struct {
	places   map[string]unstable.Position
	problems []error
}

// Decode reads data into v, which is a pointer to a struct holding the
// defaults. The Document is never nil, so that further checks can be added to
// what was found wrong so far; its Err tells everything.
func Decode(data []byte, v any) *Document {
	d := &Document{places: places(data)}
	err := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(v)
	var unknown *toml.StrictMissingError
	var bad *toml.DecodeError
	switch {
	case err == nil:
	case errors.As(err, &unknown):
		for i := range unknown.Errors {
			e := &unknown.Errors[i]
			line, column := e.Position()
			d.problems = append(d.problems, &Problem{line, column, strings.Join(e.Key(), "."), "unknown key: check its spelling and its table"})
		}
	case errors.As(err, &bad):
		line, column := bad.Position()
		d.problems = append(d.problems, &Problem{line, column, strings.Join(bad.Key(), "."), strings.TrimPrefix(bad.Error(), "toml: ")})
	default:
		d.problems = append(d.problems, d.locate(data, v, err))
	}
	return d
}

// locate finds the key whose value gave an error that carries no place, as
// UnmarshalText gives for a bare number: the file cut
// off behind that key is the shortest that gives the same error.
func (d *Document) locate(data []byte, v any, err error) *Problem {
	lines := bytes.SplitAfter(data, []byte("\n"))
	for _, key := range slices.SortedFunc(maps.Keys(d.places), func(a, b string) int { return cmp.Compare(d.places[a].Offset, d.places[b].Offset) }) {
		at := d.places[key]
		head := bytes.Join(lines[:at.Line], nil)
		fresh := reflect.New(reflect.TypeOf(v).Elem()).Interface()
		if e := toml.Unmarshal(head, fresh); e != nil && e.Error() == err.Error() {
			return &Problem{at.Line, at.Column, key, err.Error()}
		}
	}
	return &Problem{Text: err.Error()}
}

// Has reports whether the file sets the key.
func (d *Document) Has(key string) bool {
	_, ok := d.places[key]
	return ok
}

// Reject notes that the value of key is wrong; text says what is permitted.
func (d *Document) Reject(key, format string, args ...any) {
	at := d.places[key]
	d.problems = append(d.problems, &Problem{at.Line, at.Column, key, fmt.Sprintf(format, args...)})
}

// Err joins all problems in the order of the file; nil where there is none.
func (d *Document) Err() error {
	line := func(e error) int {
		var p *Problem
		errors.As(e, &p)
		return p.Line
	}
	slices.SortStableFunc(d.problems, func(a, b error) int { return cmp.Compare(line(a), line(b)) })
	return errors.Join(d.problems...)
}

// places finds the first line and column of every key and table. What it cannot parse
// it leaves out: Decode reports that.
func places(data []byte) map[string]unstable.Position {
	at := map[string]unstable.Position{}
	var p unstable.Parser
	p.Reset(data)
	table := ""
	for p.NextExpression() {
		e := p.Expression()
		path, first := "", unstable.Range{}
		for it := e.Key(); it.Next(); {
			if path == "" {
				first = it.Node().Raw
			} else {
				path += "."
			}
			path += string(it.Node().Data)
		}
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = path + "."
		case unstable.KeyValue:
			path = table + path
		default:
			continue
		}
		if _, seen := at[path]; !seen {
			at[path] = p.Shape(first).Start
		}
	}
	return at
}
