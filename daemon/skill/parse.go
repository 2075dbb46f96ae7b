package skill

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"lineside/daemon/strict"
	"lineside/inference/model/licence"
)

// file is a skill as it is written.
type file struct {
	Name        string        `toml:"name"`
	Version     int           `toml:"version"`
	About       string        `toml:"about"`
	Languages   []string      `toml:"languages"`
	Priority    int           `toml:"priority"`
	UseClass    string        `toml:"use_class"`
	System      string        `toml:"system"`
	Prompt      string        `toml:"prompt"`
	Pin         bool          `toml:"pin"`
	MaxTokens   int           `toml:"max_tokens"`
	MaxChars    int           `toml:"max_chars"`
	Deadline    string        `toml:"deadline"`
	Temperature float64       `toml:"temperature"`
	Adapter     string        `toml:"adapter"`
	Args        string        `toml:"args"`
	Answer      string        `toml:"answer"`
	Canned      []cannedFile  `toml:"canned"`
	Examples    []exampleFile `toml:"examples"`
}

type cannedFile struct {
	When map[string]any `toml:"when"`
	Lang string         `toml:"lang"`
	Text string         `toml:"text"`
	Data string         `toml:"data"`
}

type exampleFile struct {
	Args     map[string]any `toml:"args"`
	Lang     string         `toml:"lang"`
	Canned   bool           `toml:"canned"`
	Contains []string       `toml:"contains"`
}

var (
	id      = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)
	adapter = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`) // as bundles have it
	tag     = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$`)
)

// Parse reads one skill file. All mistakes come back together, each a
// *strict.Problem with line and column.
func Parse(data []byte) (*Skill, error) {
	if len(data) > MaxFile {
		return nil, &strict.Problem{Text: fmt.Sprintf("the file has %d bytes, at most %d are taken", len(data), MaxFile)}
	}
	f := file{Languages: []string{"en"}, UseClass: string(licence.Lookup), Pin: true}
	doc := strict.Decode(data, &f)
	if err := doc.Err(); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	s := &Skill{
		Name: f.Name, Version: f.Version, About: f.About, Languages: f.Languages, Priority: f.Priority,
		UseClass: licence.Class(f.UseClass), System: strings.TrimSpace(f.System), Pin: f.Pin, MaxTokens: f.MaxTokens, MaxChars: f.MaxChars,
		Temperature: float32(f.Temperature), Adapter: f.Adapter, hash: hex.EncodeToString(sum[:]),
	}
	s.checkFields(doc, &f)
	s.ArgsSchema, s.args = compile(doc, "args", f.Args)
	s.Schema, s.answer = compile(doc, "answer", f.Answer)
	if err := doc.Err(); err != nil {
		return nil, err // what follows leans on the schemas
	}
	s.names = argNames(s.ArgsSchema)
	s.parsePrompt(doc, f.Prompt)
	for i, c := range f.Canned {
		s.addCanned(doc, i, c)
	}
	for i, e := range f.Examples {
		s.addExample(doc, i, e)
	}
	if err := doc.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Skill) checkFields(doc *strict.Document, f *file) {
	if !id.MatchString(s.Name) {
		doc.Reject("name", "%q is not a skill's name: 1 to 64 of A-Z a-z 0-9 _ . -", s.Name)
	}
	if s.Version < 1 {
		doc.Reject("version", "%d is not a version: count from 1 and add one with every change", s.Version)
	}
	if strings.Contains(s.About, "\n") || len(s.About) > 200 {
		doc.Reject("about", "must be one line of at most 200 bytes")
	}
	if len(s.Languages) == 0 {
		doc.Reject("languages", "must name at least one language, the first being the default")
	}
	for _, l := range s.Languages {
		if !tag.MatchString(l) {
			doc.Reject("languages", "%q is not a language tag: write \"en\" or \"pt-BR\"", l)
		}
	}
	if s.Adapter != "" && !adapter.MatchString(s.Adapter) {
		doc.Reject("adapter", "%q is not an adapter's name: lineside model list shows those installed", s.Adapter)
	}
	if s.Priority < 0 || s.Priority > 10 {
		doc.Reject("priority", "%d is out of range: 0 (ordinary) to 10 (alarm)", s.Priority)
	}
	if _, err := licence.ParseClass(f.UseClass); err != nil {
		doc.Reject("use_class", "%v", err)
	}
	if s.MaxTokens < 0 || s.MaxTokens > 32768 {
		doc.Reject("max_tokens", "%d is out of range: 1 to 32768", s.MaxTokens)
	}
	if s.MaxChars < 0 {
		doc.Reject("max_chars", "%d is negative", s.MaxChars)
	}
	if f.Temperature < 0 || f.Temperature > 2 {
		doc.Reject("temperature", "%g is out of range: 0 to 2", f.Temperature)
	}
	if f.Deadline != "" {
		d, err := time.ParseDuration(f.Deadline)
		if err != nil || d < time.Second || d > 24*time.Hour {
			doc.Reject("deadline", "%q is not a deadline: write 1s to 24h, with a unit", f.Deadline)
		}
		s.Deadline = d
	}
}

// parsePrompt takes a template of plain substitutions and conditions: it runs
// no methods and reads nothing but arguments.
func (s *Skill) parsePrompt(doc *strict.Document, text string) {
	if strings.TrimSpace(text) == "" {
		doc.Reject("prompt", "is missing: write what to ask, with {{.name}} for arguments")
		return
	}
	t, err := template.New("prompt").Option("missingkey=zero").Funcs(template.FuncMap{"json": toJSON}).Parse(strings.TrimSpace(text))
	if err != nil {
		doc.Reject("prompt", "%s", strings.TrimPrefix(err.Error(), "template: "))
		return
	}
	if len(t.Templates()) > 1 {
		doc.Reject("prompt", "must not define templates of its own")
	}
	if calls(t.Root) {
		doc.Reject("prompt", "must not call templates")
	}
	for _, name := range fields(t.Root) {
		if !slices.Contains(s.names, name) {
			doc.Reject("prompt", "uses {{.%s}}, which args does not declare", name)
		}
	}
	s.prompt = t
}

// argNames are the properties that the args schema declares, and lang.
func argNames(args json.RawMessage) []string {
	var schema struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	names := []string{"lang"}
	if args != nil && json.Unmarshal(args, &schema) == nil {
		for n := range schema.Properties {
			names = append(names, n)
		}
	}
	return names
}

// calls reports whether a template calls another, or itself.
func calls(n parse.Node) bool {
	lists := func(ls ...*parse.ListNode) bool {
		return slices.ContainsFunc(ls, func(l *parse.ListNode) bool {
			return l != nil && slices.ContainsFunc(l.Nodes, calls)
		})
	}
	switch n := n.(type) {
	case *parse.TemplateNode:
		return true
	case *parse.ListNode:
		return lists(n)
	case *parse.IfNode:
		return lists(n.List, n.ElseList)
	case *parse.RangeNode:
		return lists(n.List, n.ElseList)
	case *parse.WithNode:
		return lists(n.List, n.ElseList)
	}
	return false
}

// fields lists the first names of all {{.name}} at the top level of a template.
// Inside range and with, the dot is something else, so they are left alone.
func fields(n parse.Node) []string {
	var out []string
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return nil
		}
		for _, c := range n.Nodes {
			out = append(out, fields(c)...)
		}
	case *parse.ActionNode:
		out = fields(n.Pipe)
	case *parse.IfNode:
		out = slices.Concat(fields(n.Pipe), fields(n.List), fields(n.ElseList))
	case *parse.RangeNode:
		out = fields(n.Pipe)
	case *parse.WithNode:
		out = fields(n.Pipe)
	case *parse.PipeNode:
		if n == nil {
			return nil
		}
		for _, c := range n.Cmds {
			for _, a := range c.Args {
				out = append(out, fields(a)...)
			}
		}
	case *parse.FieldNode:
		out = n.Ident[:1]
	}
	return out
}

// compile reads a JSON Schema. It resolves no outside references.
func compile(doc *strict.Document, key, text string) (json.RawMessage, *jsonschema.Schema) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	raw, schema, err := CompileSchema([]byte(text))
	if err != nil {
		doc.Reject(key, "%v", err)
		return nil, nil
	}
	return raw, schema
}

// CompileSchema reads a JSON Schema of an object from untrusted text. It reads
// no files and no network, whatever the schema refers to.
func CompileSchema(text []byte) (json.RawMessage, *jsonschema.Schema, error) {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, nil, fmt.Errorf("is no JSON: %w", err)
	}
	if _, ok := v.(map[string]any); !ok {
		return nil, nil, fmt.Errorf("must be a JSON Schema, an object")
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(closed{})
	if err := c.AddResource("urn:schema", v); err != nil {
		return nil, nil, fmt.Errorf("is no JSON Schema: %s", reason(err))
	}
	s, err := c.Compile("urn:schema")
	if err != nil {
		return nil, nil, fmt.Errorf("is no JSON Schema: %s", reason(err))
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return nil, nil, fmt.Errorf("is no JSON: %w", err)
	}
	return compact.Bytes(), s, nil
}

// closed loads nothing: a schema is one document.
type closed struct{}

func (closed) Load(string) (any, error) { return nil, errors.New("other documents are not read") }

func (s *Skill) addCanned(doc *strict.Document, i int, f cannedFile) {
	bad := func(format string, args ...any) {
		doc.Reject("canned", "number %d: %s", i+1, fmt.Sprintf(format, args...))
	}
	c := canned{when: map[string]string{}, lang: f.Lang, Canned: Canned{Text: f.Text}}
	if len(f.When) == 0 {
		bad("when is missing: name argument values, as in when = { code = \"E42\" }")
	}
	for k, v := range f.When {
		j, err := json.Marshal(v)
		var n any
		if err == nil {
			n, err = jsonschema.UnmarshalJSON(bytes.NewReader(j))
		}
		switch n.(type) {
		case string, json.Number, bool:
			c.when[k] = scalar(n)
		default:
			bad("when.%s must be a text, a number or true or false", k)
		}
		if err != nil || !slices.Contains(s.names, k) || k == "lang" {
			bad("when.%s is no argument of this skill", k)
		}
	}
	if f.Lang != "" && !slices.Contains(s.Languages, f.Lang) {
		bad("lang %q is none of the skill's languages", f.Lang)
	}
	if f.Text == "" && f.Data == "" {
		bad("it has neither text nor data")
	}
	if f.Data != "" {
		var compact bytes.Buffer
		if err := json.Compact(&compact, []byte(f.Data)); err != nil {
			bad("data is no JSON: %v", err)
		} else if c.Data = compact.Bytes(); true {
			if err := s.Check(c.Data); err != nil {
				bad("%v", err)
			}
		}
	} else if s.answer != nil {
		bad("the skill answers under a schema: give data")
	}
	s.canned = append(s.canned, c)
}

func (s *Skill) addExample(doc *strict.Document, i int, f exampleFile) {
	if f.Args == nil {
		f.Args = map[string]any{}
	}
	args, err := json.Marshal(f.Args)
	if err != nil {
		doc.Reject("examples", "number %d: %v", i+1, err)
		return
	}
	s.Examples = append(s.Examples, Example{Args: args, Lang: f.Lang, Canned: f.Canned, Contains: f.Contains})
	if s.prompt == nil {
		return
	}
	ask, err := s.Apply(args, f.Lang)
	switch {
	case err != nil:
		doc.Reject("examples", "number %d: %v", i+1, err)
	case f.Canned && ask.Canned == nil:
		doc.Reject("examples", "number %d: no canned answer fits it", i+1)
	}
}

// toJSON lets a prompt show an argument that is a list or an object.
func toJSON(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}
