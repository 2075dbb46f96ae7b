package provision

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// Problem is one mistake. Line and Column count from 1; 0 means that it stands nowhere.
type Problem struct {
	Line, Column int
	Key          string
	Text         string // what is wrong and how to mend it
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

// ownTable is the table that belongs to the card; the others are linesided's.
const ownTable = "system"

// setting is one key with a string value.
type setting struct {
	key      string // dotted
	value    string
	at       unstable.Position
	from, to int // of the value with its quotes
}

// document is lineside.toml, taken apart without changing a line's number.
type document struct {
	own, rest []byte // each with the other's lines empty
	places    map[string]unstable.Position
	strings   []setting
}

// parse takes lineside.toml apart. Its error is a *Problem.
func parse(data []byte) (*document, error) {
	switch {
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}), bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		return nil, &Problem{Text: "the file is saved as UTF-16: save it as UTF-8"}
	case bytes.HasPrefix(data, []byte("\ufeff")):
		data = data[3:]
	}
	d := &document{places: map[string]unstable.Position{}}
	owns, err := d.walk(data)
	if err != nil {
		return nil, err
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	for i, line := range lines {
		mine, other := line, []byte("\n")
		if i == len(lines)-1 && !bytes.HasSuffix(line, []byte("\n")) {
			other = nil
		}
		if owns(i + 1) {
			d.own, d.rest = append(d.own, mine...), append(d.rest, other...)
		} else {
			d.own, d.rest = append(d.own, other...), append(d.rest, mine...)
		}
	}
	return d, nil
}

// walk visits every expression. owns tells of a line whether it belongs to the card.
func (d *document) walk(data []byte) (owns func(line int) bool, err error) {
	type start struct {
		line int
		own  bool
	}
	starts := []start{{0, false}}
	var p unstable.Parser
	p.Reset(data)
	table := ""
	for p.NextExpression() {
		e := p.Expression()
		if e.Kind != unstable.Table && e.Kind != unstable.ArrayTable && e.Kind != unstable.KeyValue {
			continue
		}
		var words []string
		var first unstable.Range
		for it := e.Key(); it.Next(); {
			if words == nil {
				first = it.Node().Raw
			}
			words = append(words, string(it.Node().Data))
		}
		at := p.Shape(first).Start
		key := strings.Join(words, ".")
		if e.Kind == unstable.KeyValue {
			key = table + key
			if v := e.Value(); v.Kind == unstable.String {
				d.strings = append(d.strings, setting{key, string(v.Data), at, int(v.Raw.Offset), int(v.Raw.Offset + v.Raw.Length)})
			}
		} else {
			table = key + "."
		}
		if _, seen := d.places[key]; !seen {
			d.places[key] = at
		}
		own := key == ownTable || strings.HasPrefix(key, ownTable+".")
		starts = append(starts, start{at.Line, own})
	}
	if err := p.Error(); err != nil {
		return nil, d.mistake(data, err)
	}
	return func(line int) bool {
		i, found := slices.BinarySearchFunc(starts, line, func(s start, line int) int { return cmp.Compare(s.line, line) })
		if !found {
			i--
		}
		return starts[i].own
	}, nil
}

// mistake gives a mistake in the TOML itself its place: the decoder knows it.
func (d *document) mistake(data []byte, err error) error {
	var bad *toml.DecodeError
	var all map[string]any
	if errors.As(toml.Unmarshal(data, &all), &bad) {
		line, column := bad.Position()
		return &Problem{line, column, strings.Join(bad.Key(), "."), strings.TrimPrefix(bad.Error(), "toml: ")}
	}
	return &Problem{Text: err.Error()}
}

// decode reads the card's own part into v.
func (d *document) decode(v any) []error {
	err := toml.NewDecoder(bytes.NewReader(d.own)).DisallowUnknownFields().Decode(v)
	var unknown *toml.StrictMissingError
	var bad *toml.DecodeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unknown):
		var all []error
		for i := range unknown.Errors {
			e := &unknown.Errors[i]
			line, column := e.Position()
			all = append(all, &Problem{line, column, strings.Join(e.Key(), "."), "unknown key: check its spelling and its table"})
		}
		return all
	case errors.As(err, &bad):
		line, column := bad.Position()
		return []error{&Problem{line, column, strings.Join(bad.Key(), "."), strings.TrimPrefix(bad.Error(), "toml: ")}}
	}
	return []error{&Problem{Text: err.Error()}}
}

// at is a problem of a key, with its place.
func (d *document) at(key, format string, args ...any) *Problem {
	p := d.places[key]
	return &Problem{p.Line, p.Column, key, fmt.Sprintf(format, args...)}
}

// rename gives values of the daemon's part other texts; the rest of each line stays.
func (d *document) rename(data []byte, to map[string]string) []byte {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	out := bytes.Clone(data)
	for i := len(d.strings) - 1; i >= 0; i-- { // from the end, so that offsets stay
		s := d.strings[i]
		if value, ok := to[s.key]; ok {
			out = slices.Concat(out[:s.from], []byte(strconv.Quote(value)), out[s.to:])
		}
	}
	renamed, err := parse(out)
	if err != nil {
		return d.rest // cannot be: the values are quoted
	}
	return renamed.rest
}
