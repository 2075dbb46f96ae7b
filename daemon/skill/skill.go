// Package skill reads the plant's stored questions: one TOML file each, with a
// prompt template, JSON Schemas for arguments and answer, limits, and answers
// that need no model at all. docs/skills.md explains the format.
//
// It never calls a model, never runs anything that a file says, and takes a
// file whole or not at all.
package skill

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/template"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"lineside/inference/model/licence"
)

// ErrArgs marks arguments that do not fit a skill's schema.
var ErrArgs = errors.New("arguments do not fit the skill")

// Bounds of a skill file and of what it makes.
const (
	MaxFile   = 64 << 10 // bytes of a file
	maxPrompt = 16 << 10 // bytes of a prompt with its arguments filled in
)

// Skill is one stored question, checked and ready to be asked.
type Skill struct {
	Name        string
	Version     int
	About       string        // one line for people
	Languages   []string      // tags that an ask may name; the first is the default
	Priority    int           // 0 ordinary, 10 alarm
	UseClass    licence.Class // what it is for: a licence may forbid it
	System      string        // constant instructions: the prefix that the engine keeps
	Pin         bool          // keep the prefix in the engine for good
	MaxTokens   int           // 0: the board's limit
	MaxChars    int           // of the answer's text; 0: no limit
	Deadline    time.Duration
	Temperature float32
	Adapter     string          // LoRA adapter of the model that answers it; empty: the model alone
	ArgsSchema  json.RawMessage // nil: no arguments
	Schema      json.RawMessage // of the answer; nil: free text
	Examples    []Example

	prompt *template.Template
	args   *jsonschema.Schema
	answer *jsonschema.Schema
	canned []canned
	names  []string // arguments that the schema declares, and lang
	hash   string
}

// Example is an ask that `lineside skill test` tries.
type Example struct {
	Args     json.RawMessage
	Lang     string
	Canned   bool     // it must be answered without the model
	Contains []string // texts that the answer must hold
}

// Canned is an answer that needs no model.
type Canned struct {
	Text string
	Data json.RawMessage // nil where the skill answers with text only
}

type canned struct {
	when map[string]string // argument name to its JSON value
	lang string            // empty: every language
	Canned
}

// Ref names the skill with its version, as answers carry it: alarm@3.
func (s *Skill) Ref() string { return fmt.Sprintf("%s@%d", s.Name, s.Version) }

// Hash is the SHA-256 of the file, in hex.
func (s *Skill) Hash() string { return s.hash }

// Ask is a skill applied to arguments.
type Ask struct {
	System, Prompt string
	Canned         *Canned // set where no model call is needed
}

// Language is the tag to answer in: what was asked for, if the skill has it.
func (s *Skill) Language(lang string) (string, error) {
	if lang == "" {
		return s.Languages[0], nil
	}
	for _, l := range s.Languages {
		if strings.EqualFold(l, lang) {
			return l, nil
		}
	}
	return "", fmt.Errorf("%w: language %q: %s knows %s", ErrArgs, lang, s.Name, strings.Join(s.Languages, ", "))
}

// Apply checks args and fills them in. Errors wrap ErrArgs.
func (s *Skill) Apply(args json.RawMessage, lang string) (Ask, error) {
	lang, err := s.Language(lang)
	if err != nil {
		return Ask{}, err
	}
	values, err := s.values(args)
	if err != nil {
		return Ask{}, err
	}
	for _, c := range s.canned {
		if c.matches(values, lang) {
			return Ask{Canned: &c.Canned}, nil
		}
	}
	fill := make(map[string]any, len(values)+1)
	for _, name := range s.names {
		fill[name] = "" // an argument that was left out fills in nothing
	}
	for k, v := range values {
		fill[k] = v
	}
	fill["lang"] = lang
	out := &limited{left: maxPrompt}
	if err := s.prompt.Execute(out, fill); err != nil {
		return Ask{}, fmt.Errorf("%w: the prompt of %s cannot be filled in: %w", ErrArgs, s.Name, err)
	}
	return Ask{System: s.System, Prompt: out.String()}, nil
}

// values checks args against the schema. Numbers stay as they were written.
func (s *Skill) values(args json.RawMessage) (map[string]any, error) {
	if len(args) == 0 {
		args = json.RawMessage("{}")
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(args))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrArgs, err)
	}
	values, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%w: args must be an object", ErrArgs)
	}
	if s.args == nil {
		if len(values) > 0 {
			return nil, fmt.Errorf("%w: %s takes no arguments", ErrArgs, s.Name)
		}
		return values, nil
	}
	if err := s.args.Validate(v); err != nil {
		return nil, fmt.Errorf("%w: %s", ErrArgs, reason(err))
	}
	return values, nil
}

// Check holds an answer to the skill's schema; nil where it has none.
func (s *Skill) Check(data json.RawMessage) error {
	if s.answer == nil {
		return nil
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("the answer is no JSON: %w", err)
	}
	if err := s.answer.Validate(v); err != nil {
		return errors.New("the answer does not fit its schema: " + reason(err))
	}
	return nil
}

func (c *canned) matches(values map[string]any, lang string) bool {
	if c.lang != "" && c.lang != lang {
		return false
	}
	for k, want := range c.when {
		v, ok := values[k]
		if !ok || scalar(v) != want {
			return false
		}
	}
	return true
}

// scalar writes a JSON scalar so that two of the same value look the same.
func scalar(v any) string {
	switch v := v.(type) {
	case json.Number:
		if f, err := v.Float64(); err == nil {
			return fmt.Sprintf("%g", f)
		}
		return v.String()
	case string:
		return "\"" + v
	default:
		return fmt.Sprint(v)
	}
}

// reason makes one line of a validation error: where, and what is wrong.
func reason(err error) string {
	var invalid *jsonschema.SchemaValidationError
	if errors.As(err, &invalid) {
		err = invalid.Err
	}
	var v *jsonschema.ValidationError
	if !errors.As(err, &v) {
		return err.Error()
	}
	for len(v.Causes) > 0 {
		v = v.Causes[0]
	}
	where := "the whole"
	if len(v.InstanceLocation) > 0 {
		where = strings.Join(v.InstanceLocation, ".")
	}
	_, what, ok := strings.Cut(v.Error(), "': ")
	if !ok {
		what = v.Error()
	}
	if i := strings.LastIndex(what, "': "); i >= 0 {
		what = what[i+3:]
	}
	return where + ": " + strings.TrimSpace(what)
}

// limited is a buffer that refuses to grow beyond its limit.
type limited struct {
	bytes.Buffer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.left {
		return 0, fmt.Errorf("it would be longer than %d bytes", maxPrompt)
	}
	l.left -= len(p)
	return l.Buffer.Write(p)
}
