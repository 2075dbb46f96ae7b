package skill

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lineside/daemon/strict"
)

const alarm = `
name = "alarm"
version = 3
about = "Explains a fault code"
languages = ["en", "de"]
priority = 10
use_class = "lookup"
system = "You explain fault codes of one press."
prompt = """
Code {{.code}}{{if .value}}, value {{.value}}{{end}}. Answer in {{.lang}}.
"""
max_tokens = 80
deadline = "20s"
args = '''{"type":"object","required":["code"],"additionalProperties":false,
  "properties":{"code":{"type":"string","maxLength":8},"value":{"type":"number"}}}'''
answer = '''{"type":"object","required":["cause"],"properties":{"cause":{"type":"string"}}}'''

[[canned]]
when = { code = "E00" }
data = '''{"cause": "No fault."}'''
text = "No fault."

[[canned]]
when = { code = "E01", value = 1 }
lang = "de"
data = '{"cause":"Not-Halt."}'

[[examples]]
args = { code = "E42", value = 71.3 }
contains = ["press"]

[[examples]]
args = { code = "E00" }
canned = true
`

func load(t *testing.T, text string) *Skill {
	t.Helper()
	s, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestApply(t *testing.T) {
	s := load(t, alarm)
	for _, tt := range []struct {
		name, args, lang string
		prompt           string // what goes to the model
		canned           string // data that needs none
		err              string
	}{
		{"all arguments", `{"code":"E42","value":71.30}`, "", "Code E42, value 71.30. Answer in en.", "", ""},
		{"one left out", `{"code":"E42"}`, "DE", "Code E42. Answer in de.", "", ""},
		{"canned", `{"code":"E00"}`, "de", "", `{"cause":"No fault."}`, ""},
		{"canned by two values", `{"code":"E01","value":1.0}`, "de", "", `{"cause":"Not-Halt."}`, ""},
		{"canned in another language", `{"code":"E01","value":1}`, "en", "Code E01, value 1. Answer in en.", "", ""},
		{"missing", `{"value":3}`, "", "", "", "missing property 'code'"},
		{"wrong type", `{"code":42}`, "", "", "", "code: got number, want string"},
		{"unknown", `{"code":"E42","hammer":1}`, "", "", "", "additional properties 'hammer'"},
		{"language", `{"code":"E42"}`, "fr", "", "", "alarm knows en, de"},
		{"no object", `[1]`, "", "", "", "must be an object"},
		{"template in a value", `{"code":"{{.x}}"}`, "", "Code {{.x}}. Answer in en.", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := s.Apply(json.RawMessage(tt.args), tt.lang)
			if tt.err != "" {
				if !errors.Is(err, ErrArgs) || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error is %v, want ErrArgs with %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := Ask{System: s.System, Prompt: tt.prompt}
			if tt.canned != "" {
				want = Ask{Canned: &Canned{Data: json.RawMessage(tt.canned)}}
				want.Canned.Text = got.Canned.Text
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	s := load(t, alarm)
	if err := s.Check(json.RawMessage(`{"cause":"worn seal"}`)); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{`{"cause":3}`, `{}`, `{"cause`} {
		if s.Check(json.RawMessage(bad)) == nil {
			t.Errorf("%s passed", bad)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, tt := range []struct {
		name, old, new string // change to the good file
		line           int
		text           string
	}{
		{"unknown key", "priority = 10", "prioritie = 10", 6, "unknown key"},
		{"no version", "version = 3\n", "", 0, "not a version"},
		{"name", `"alarm"`, `"al/arm"`, 2, "not a skill's name"},
		{"priority", "priority = 10", "priority = 11", 6, "0 (ordinary) to 10 (alarm)"},
		{"use class", `"lookup"`, `"fun"`, 7, "machine-operation"},
		{"template", "{{.code}}{{if", "{{.code}{{if", 9, "prompt"},
		{"unknown argument", "{{.lang}}", "{{.colour}}", 9, "args does not declare"},
		{"self call", "{{.lang}}", `{{template "prompt"}}`, 9, "must not call templates"},
		{"deadline", `"20s"`, `"20"`, 13, "with a unit"},
		{"args no JSON", `'''{"type":"object"`, `'''{"type":object`, 14, "is no JSON"},
		{"schema", `"maxLength":8`, `"maxLength":"8"`, 14, "is no JSON Schema"},
		{"outside reference", `{"type":"number"}`, `{"$ref":"file:///etc/passwd"}`, 14, `"file:///etc/passwd": other documents are not read`},
		{"canned against schema", `{"cause": "No fault."}`, `{"cause": 3}`, 18, "does not fit"},
		{"canned by unknown", `{ code = "E00" }`, `{ colour = "red" }`, 18, "no argument of this skill"},
		{"example", `{ code = "E42", value = 71.3 }`, `{ code = 42 }`, 28, "want string"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(alarm, tt.old, tt.new, 1)
			if text == alarm {
				t.Fatal("the change changes nothing")
			}
			_, err := Parse([]byte(text))
			var p *strict.Problem
			if !errors.As(err, &p) || p.Line != tt.line || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v, want line %d and %q", err, tt.line, tt.text)
			}
		})
	}
}

func TestLibraryKeepsTheLastGoodVersion(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	l := NewLibrary(dir)
	scan := func() Change {
		t.Helper()
		c, err := l.Scan()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	version := func() int {
		if s, ok := l.Get("alarm"); ok {
			return s.Version
		}
		return 0
	}
	write("alarm.toml", alarm)
	write("README.md", "not a skill")
	if c := scan(); len(c.Changed) != 1 || len(c.Bad) != 0 || version() != 3 {
		t.Fatalf("first scan: %+v, version %d", c, version())
	}
	write("alarm.toml", "name = 3")
	if c := scan(); len(c.Bad) != 1 || len(c.Changed) != 0 || version() != 3 {
		t.Errorf("bad file: %+v, version %d, want 3 to stay", c, version())
	}
	if c := scan(); len(c.Bad) != 0 {
		t.Errorf("the same bad file is reported again: %v", c.Bad)
	}
	write("alarm.toml", strings.Replace(alarm, "version = 3", "version = 4", 1))
	if c := scan(); len(c.Changed) != 1 || version() != 4 {
		t.Errorf("mended file: %+v, version %d", c, version())
	}
	write("zweite.toml", strings.Replace(alarm, "version = 3", "version = 9", 1))
	if c := scan(); len(c.Bad) != 1 || version() != 4 {
		t.Errorf("two files of one name: %+v, version %d", c, version())
	}
	for _, f := range []string{"alarm.toml", "zweite.toml"} {
		if err := os.Remove(filepath.Join(dir, f)); err != nil {
			t.Fatal(err)
		}
	}
	if c := scan(); len(c.Removed) != 1 || version() != 0 {
		t.Errorf("removed file: %+v", c)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(alarm), []byte(`{"code":"E42"}`))
	f.Add([]byte("name = \"x\"\nversion = 1\nprompt = \"{{range 3}}{{.}}{{end}}\""), []byte(`{}`))
	f.Fuzz(func(t *testing.T, text, args []byte) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		ask, err := s.Apply(args, "")
		if err == nil && ask.Canned == nil && len(ask.Prompt) > maxPrompt {
			t.Errorf("prompt of %d bytes", len(ask.Prompt))
		}
	})
}
