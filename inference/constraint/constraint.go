// Package constraint holds an answer to a shape: a JSON Schema, any JSON
// object, or a GBNF grammar. It compiles the shape to an automaton over bytes
// and says, token by token, what may come next, what must come next, and how
// an answer that is cut can still end well.
//
// It never samples, never talks to a model and never repairs text after the
// fact: what it let through is valid, and what it cannot hold an answer to it
// refuses by name before a model runs.
//
// Answers are compact: no blanks between JSON values, properties in the order
// in which the schema declares them, known names and values in one spelling.
// Where a schema allows more than that, the automaton is the narrower one, so
// every completed answer still validates:
//
//   - an object with declared properties has no others, unless
//     additionalProperties says so; an array with prefixItems ends with them,
//     unless items or minItems say more; keywords of one type without "type"
//     mean that type;
//   - numbers have at most 15 digits before and behind the point, or as many as
//     their bounds; an exponent only where there are neither bounds nor multipleOf;
//   - items that must differ come from an enum, in its order;
//   - JSON that the schema says nothing about nests at most 8 levels, rules that
//     lead back to themselves at most 128;
//   - formats are a part of their standards: no leap seconds, small letters in a uuid.
//
// Names of additional properties may stand twice in an object: JSON lets them,
// and the last one counts.
package constraint

import (
	"fmt"

	"lineside/inference"
)

// Limits of what Compile takes, so that a hostile format costs little.
const (
	maxSource  = 256 << 10 // bytes of a schema or grammar
	maxNesting = 96        // depth of the schema's own JSON
	maxNodes   = 100_000   // nodes of the machine
	maxRules   = 8_192     // rules of the machine
	maxDepth   = 128       // open rules at one place of an answer
	maxConfigs = 600       // readings of an ambiguous answer followed at once, besides one for each node
	fewConfigs = 16        // the same, when an answer has taken maxWork already
	maxWork    = 600_000   // places looked at in steps with many readings, in one answer
	maxAnyDeep = 8         // nesting of JSON that the schema says nothing about
)

// Constraint is a compiled format. It is safe for concurrent use; states that
// answers have visited are shared and remembered within a byte budget.
type Constraint struct {
	dfa dfa
}

// Compile turns a format into a constraint. The error wraps
// inference.ErrUnsupported and names the keyword where the format asks for
// something that cannot be held, and inference.ErrBadRequest where it is
// wrong. Free text has no constraint: that is nil, nil.
func Compile(f inference.Format) (*Constraint, error) {
	var b *builder
	var err error
	switch f.Kind {
	case "", inference.FormatText:
		return nil, nil
	case inference.FormatJSONObject:
		b, err = anyObjectMachine()
	case inference.FormatJSONSchema:
		b, err = readSchema(f.Schema)
	case inference.FormatGrammar:
		b, err = readGrammar(f.Grammar)
	default:
		return nil, fmt.Errorf("%w: response format %q is not known: use text, json_object, json_schema or grammar",
			inference.ErrBadRequest, f.Kind)
	}
	if err != nil {
		return nil, err
	}
	m, err := b.finish()
	if err != nil {
		return nil, err
	}
	c := &Constraint{}
	c.dfa.init(m)
	return c, nil
}

// Size estimates the memory that the constraint holds, in bytes. It grows as
// answers visit new states, up to a budget.
func (c *Constraint) Size() int {
	d := &c.dfa
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.m.size + d.size + d.masks.size()
}

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{inference.ErrBadRequest}, args...)...)
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{inference.ErrUnsupported}, args...)...)
}
