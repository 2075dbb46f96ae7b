package constraint

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"lineside/inference"
)

func compileSchema(t testing.TB, schema string) *Constraint {
	t.Helper()
	c, err := Compile(inference.Format{Kind: inference.FormatJSONSchema, Schema: json.RawMessage(schema)})
	if err != nil {
		t.Fatalf("compile %s: %v", schema, err)
	}
	return c
}

func compileGrammar(t testing.TB, grammar string) *Constraint {
	t.Helper()
	c, err := Compile(inference.Format{Kind: inference.FormatGrammar, Grammar: grammar})
	if err != nil {
		t.Fatalf("compile %s: %v", grammar, err)
	}
	return c
}

// takes reports whether text is a whole answer.
func takes(c *Constraint, text string) bool {
	s := c.Start()
	return s.AcceptBytes([]byte(text)) == nil && s.CanStop()
}

func TestSchemaTakes(t *testing.T) {
	tests := []struct {
		name, schema string
		good, bad    []string
	}{
		{"plant", plantSchema,
			[]string{`{"severity":"info","action":"stop_line","component":"main_spindle","within_minutes":5,"needs_technician":true}`},
			[]string{`{"severity":"info"}`, `{"severity": "info"`, `{"action":"stop_line"`, `{"severity":"infox"`}},
		{"optional", `{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"null"},"c":{"type":"boolean"}},"required":["b"]}`,
			[]string{`{"b":null}`, `{"a":1,"b":null}`, `{"b":null,"c":true}`, `{"a":-12,"b":null,"c":false}`},
			[]string{`{}`, `{"a":1}`, `{"b":null,"a":1}`, `{"b":null,}`, `{"a":01,"b":null}`, `{"a":-0,"b":null}`}},
		{"open", `{"type":"object","properties":{"a":{"type":"integer"},"ab":true},"additionalProperties":{"type":"boolean"}}`,
			[]string{`{}`, `{"a":1}`, `{"a":1,"abc":true}`, `{"b":true,"c":false}`, `{"":true}`, `{"ä":true}`, `{"\n":true}`},
			[]string{`{"a":true}`, `{"b":1}`, `{"x":true,"a":1}`, `{"\u0061":true}`}},
		{"counts", `{"type":"object","properties":{"a":{"const":1},"b":{"const":2},"c":{"const":3}},"minProperties":1,"maxProperties":2}`,
			[]string{`{"a":1}`, `{"b":2,"c":3}`}, []string{`{}`, `{"a":1,"b":2,"c":3}`}},
		{"array", `{"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":3}`,
			[]string{`[1,2]`, `[1,2,3]`}, []string{`[]`, `[1]`, `[1,2,3,4]`, `[1,]`}},
		{"tuple", `{"type":"array","prefixItems":[{"type":"string"},{"type":"integer"}],"items":{"type":"null"},"minItems":1,"maxItems":4}`,
			[]string{`["a"]`, `["a",1]`, `["a",1,null,null]`}, []string{`[]`, `[1]`, `["a",1,1]`, `["a",1,null,null,null]`}},
		{"tuple only", `{"prefixItems":[{"type":"string"}]}`, []string{`[]`, `["x"]`}, []string{`["x",1]`}},
		{"no items", `{"type":"array","items":false}`, []string{`[]`}, []string{`[1]`}},
		{"range", `{"type":"integer","minimum":-3,"maximum":112}`,
			[]string{`-3`, `0`, `9`, `99`, `112`}, []string{`-4`, `113`, `-0`, `1.0`, `1120`}},
		{"fraction", `{"type":"number","exclusiveMinimum":0.5,"maximum":2.25}`,
			[]string{`0.51`, `1`, `2.25`, `2.250`, `0.500001`}, []string{`0.5`, `0.50`, `2.251`, `3`, `-1`, `0`, `1e0`}},
		{"negative", `{"type":"number","minimum":-2.5,"exclusiveMaximum":-0.5}`,
			[]string{`-2.5`, `-1`, `-0.51`}, []string{`-0.5`, `0`, `-2.51`, `1`}},
		{"multiple", `{"type":"number","multipleOf":0.25,"minimum":0}`,
			[]string{`0`, `0.25`, `1.5`, `2`, `10.75`}, []string{`0.3`, `0.125`}},
		{"multiple of integers", `{"type":"integer","multipleOf":7}`, []string{`0`, `7`, `-14`, `7007`}, []string{`8`, `-1`}},
		{"number", `{"type":"number"}`, []string{`0`, `-0.5`, `1e10`, `1.25E-3`, `123456789012345`}, []string{`-0`, `.5`, `1.`, `01`, `1234567890123456`, `1e100`}},
		{"length", `{"type":"string","minLength":1,"maxLength":2}`,
			[]string{`"a"`, `"äö"`, `"\ud83d\ude00x"`, `"\u00e4\n"`, `"😀😀"`}, []string{`""`, `"abc"`, `"\ud83d"`, `"\udc00"`, "\"\x80\"", "\"\n\""}},
		{"pattern", `{"type":"string","pattern":"^[A-Z]{2}-\\d+$"}`, []string{`"AB-1"`, `"XY-123"`}, []string{`"AB-"`, `"aB-1"`, `"AB-1x"`}},
		{"pattern inside", `{"type":"string","pattern":"b+","maxLength":3}`, []string{`"b"`, `"abc"`, `"aab"`}, []string{`"a"`, `"abbc"`}},
		{"pattern escapes", `{"type":"string","pattern":"^[\"\\n]$"}`, []string{`"\""`, `"\n"`}, []string{`"\u000a"`, `"a"`}},
		{"date", `{"type":"string","format":"date"}`, []string{`"2024-02-29"`, `"2023-12-31"`}, []string{`"2023-02-29"`, `"2023-04-31"`}},
		{"enum", `{"enum":["a","ab",1,null,{"x":[1]}]}`, []string{`"a"`, `"ab"`, `1`, `null`, `{"x":[1]}`}, []string{`"abc"`, `2`}},
		{"enum narrowed", `{"type":"string","enum":["a","abc",1],"maxLength":2}`, []string{`"a"`}, []string{`"abc"`, `1`}},
		{"any of", `{"anyOf":[{"type":"integer"},{"type":"string","maxLength":1}]}`, []string{`12`, `"a"`}, []string{`"ab"`, `null`}},
		{"one of", `{"oneOf":[{"type":"object","properties":{"k":{"const":"a"},"x":{"type":"integer"}},"required":["k","x"]},
			{"type":"object","properties":{"k":{"const":"b"},"y":{"type":"string"}},"required":["k"]}]}`,
			[]string{`{"k":"a","x":1}`, `{"k":"b","y":""}`, `{"k":"b"}`}, []string{`{"k":"a"}`, `{"k":"b","x":1}`}},
		{"all of", `{"allOf":[{"properties":{"a":{"type":"number","minimum":1}},"required":["a"]},{"properties":{"a":{"type":"integer","maximum":3}}}]}`,
			[]string{`{"a":1}`, `{"a":3}`}, []string{`{"a":0}`, `{"a":4}`, `{"a":1.5}`, `{}`}},
		{"siblings", `{"type":"object","properties":{"a":{"const":1},"b":{"const":2}},"anyOf":[{"required":["a"]},{"required":["b"]}]}`,
			[]string{`{"a":1}`, `{"b":2}`, `{"a":1,"b":2}`}, []string{`{}`}},
		{"recursion", `{"$defs":{"n":{"type":"object","properties":{"v":{"type":"integer"},"next":{"$ref":"#/$defs/n"}},"required":["v"],"additionalProperties":false}},"$ref":"#/$defs/n"}`,
			[]string{`{"v":1}`, `{"v":1,"next":{"v":2,"next":{"v":3}}}`}, []string{`{"next":{}}`, `{"v":1,"next":{}}`}},
		{"unique", `{"type":"array","items":{"enum":["a","b",1,"c",1.0]},"uniqueItems":true,"minItems":1,"maxItems":3}`,
			[]string{`["a"]`, `["a","b",1]`, `["b","c"]`, `[1]`}, []string{`[]`, `["a","a"]`, `["a","b",1,"c"]`, `[1,1.0]`, `["b","a"]`}},
		{"types", `{"type":["integer","null"]}`, []string{`1`, `null`}, []string{`"a"`}},
		{"address", `{"$id":"https://plant.example/answer","$schema":"http://json-schema.org/draft-07/schema#","definitions":{"e":{"enum":["x",2]}},
			"type":"object","properties":{"a b":{"$ref":"#/definitions/e"},"c":{"type":"string","enum":["x",1]}}}`, []string{`{"a b":"x","c":"x"}`, `{"a b":2}`}, []string{`{"c":1}`}},
		{"anything", `{}`, []string{`1`, `[[],{"a":[null]}]`, `"x"`}, []string{` 1`, `[1, 2]`}},
		{"true", `true`, []string{`1`}, nil},
		{"forbidden property", `{"properties":{"a":false,"b":{"const":1}}}`, []string{`{"b":1}`, `{}`}, []string{`{"a":1}`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := compileSchema(t, tt.schema)
			for _, text := range tt.good {
				if !takes(c, text) {
					t.Errorf("%s is refused", text)
				}
			}
			for _, text := range tt.bad {
				if takes(c, text) {
					t.Errorf("%s is taken", text)
				}
			}
		})
	}
}

const plantSchema = `{"type":"object","additionalProperties":false,
	"required":["severity","action","component","within_minutes","needs_technician"],
	"properties":{"severity":{"enum":["info","warning","critical"]},
		"action":{"enum":["continue_production","reduce_speed","stop_line","call_maintenance"]},
		"component":{"enum":["coolant_pump","main_spindle","conveyor_drive","hydraulic_unit"]},
		"within_minutes":{"enum":[0,5,15,60,480]},
		"needs_technician":{"type":"boolean"}}}`

func TestRefusals(t *testing.T) {
	tests := []struct {
		schema string
		is     error
		says   string
	}{
		{`{"type":"object","patternProperties":{"a":{}}}`, inference.ErrUnsupported, `"patternProperties" at #/patternProperties`},
		{`{"properties":{"a/b":{"not":{}}}}`, inference.ErrUnsupported, `"not" at #/properties/a~1b/not`},
		{`{"type":"array","uniqueItems":true}`, inference.ErrUnsupported, `"uniqueItems"`},
		{`{"type":"array","uniqueItems":true,"items":{"type":"integer"}}`, inference.ErrUnsupported, `"uniqueItems" at #/uniqueItems`},
		{`{"type":"string","format":"email"}`, inference.ErrUnsupported, `"format"`},
		{`{"type":"string","pattern":"(?=a)b"}`, inference.ErrUnsupported, `"pattern" at #/pattern`},
		{`{"type":"string","pattern":"\\bx"}`, inference.ErrUnsupported, `"pattern"`},
		{`{"oneOf":[{"type":"integer"},{"type":"number"}]}`, inference.ErrUnsupported, `"oneOf" at #/oneOf: branches 0 and 1`},
		{`{"$ref":"http://example.com/x"}`, inference.ErrUnsupported, `"$ref"`},
		{`{"$ref":"#/$defs/x"}`, inference.ErrBadRequest, `points to nothing`},
		{`{"type":"integer","maxlength":3}`, inference.ErrUnsupported, `"maxlength"`},
		{`{"type":"objekt"}`, inference.ErrBadRequest, `objekt`},
		{`{"type":"string","minLength":-1}`, inference.ErrBadRequest, `minLength`},
		{`{"type":"string","minLength":3,"maxLength":2}`, inference.ErrBadRequest, `no answer`},
		{`false`, inference.ErrBadRequest, `no answer`},
		{`{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]}`, inference.ErrBadRequest, `no answer`},
		{`{"type":`, inference.ErrBadRequest, `not JSON`},
		{`[]`, inference.ErrBadRequest, `object, true or false`},
		{`{"enum":[1e999999999]}`, inference.ErrBadRequest, `out of reach`},
		{`{"multipleOf":0.12345}`, inference.ErrUnsupported, `"multipleOf"`},
		{`{"type":"string","$schema":"http://json-schema.org/draft-04/schema#"}`, inference.ErrUnsupported, `"$schema"`},
		{`{"items":[{}]}`, inference.ErrUnsupported, `"items"`},
	}
	for _, tt := range tests {
		_, err := Compile(inference.Format{Kind: inference.FormatJSONSchema, Schema: json.RawMessage(tt.schema)})
		if !errors.Is(err, tt.is) || err == nil || !bytes.Contains([]byte(err.Error()), []byte(tt.says)) {
			t.Errorf("%s: error is %v; want %v that says %s", tt.schema, err, tt.is, tt.says)
		}
	}
}

// jsonGrammar has the forms that grammars in the wild are written in.
const jsonGrammar = `
# an object at the root
root   ::= obj
any    ::= obj | list | text | num | ("true" | "false" | "null") blank

obj ::=
  "{" blank (
            text ":" blank any
    ("," blank text ":" blank any)*
  )? "}" blank

list ::= "[" blank ( any ("," blank any)* )? "]" blank
text ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) # escapes
  )* "\"" blank
num ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? blank
blank ::= | " " | "\n" [ \t]{0,20}
`

func TestGrammarTakes(t *testing.T) {
	tests := []struct {
		name, grammar string
		good, bad     []string
	}{
		{"lists", "root ::= item (\",\" item)*\nitem ::= [a-z]+ # a word\n", []string{"a", "abc,d"}, []string{"", "a,", "A"}},
		{"alternatives over lines", "root ::= \"a\" |\n  \"b\"\n\n", []string{"a", "b"}, []string{"c"}},
		{"repetition", `root ::= "x"{2} [0-9]{1,3} "y"{2,} "z"? ("ab"){0,1}`, []string{"xx1yy", "xx123yyyzab"}, []string{"x1yy", "xx1234yy", "xx1y"}},
		{"recursion", "root ::= \"(\" root \")\" | \"\"", []string{"", "()", "((()))"}, []string{"(", "(()"}},
		{"unicode", `root ::= [α-ω]+ "\u00e4" [^a-z"\n] .`, []string{"αβä😀x", "ωäA\n"}, []string{"aäAx", "αäax"}},
		{"escapes", `root ::= "\x41\n\"\\" [\]\-^]+`, []string{"A\n\"\\]-^"}, []string{"A"}},
		{"a JSON grammar", jsonGrammar, []string{`{"a": [1, -2.5e3], "b": {"c": null}}`, `{}`, "{\n\t\"\\u00e4\\\"\": \"ü\"}"},
			[]string{`[1]`, `{"a":}`, `{"a": 01}`, "{\"\x7f\": 1}"}},
		{"common beginnings", `root ::= "abc" | "abd" | "ab"`, []string{"abc", "abd", "ab"}, []string{"a", "abcd"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := compileGrammar(t, tt.grammar)
			for _, text := range tt.good {
				if !takes(c, text) {
					t.Errorf("%q is refused", text)
				}
			}
			for _, text := range tt.bad {
				if takes(c, text) {
					t.Errorf("%q is taken", text)
				}
			}
		})
	}
}

func TestGrammarRefusals(t *testing.T) {
	tests := []struct {
		grammar string
		is      error
		says    string
	}{
		{`root ::= a`, inference.ErrBadRequest, `line 1: rule "a" is used but not defined`},
		{`a ::= "x"`, inference.ErrBadRequest, `no rule named root`},
		{"root ::= root \"a\" | \"b\"", inference.ErrBadRequest, `left recursion`},
		{"root ::= x root | \"b\"\nx ::= \"a\"?", inference.ErrBadRequest, `left recursion`},
		{"root ::= \"a\n", inference.ErrBadRequest, `ends within`},
		{"root ::= (\"a\"", inference.ErrBadRequest, `) is missing`},
		{"root ::= \"a\" )", inference.ErrBadRequest, `line end`},
		{"root ::= \"a\"{3,2}", inference.ErrBadRequest, `no repetition`},
		{"root ::= \"a\"{3000}", inference.ErrUnsupported, `2000`},
		{"root ::= [z-a]", inference.ErrBadRequest, `backwards`},
		{"root ::= <[10]>", inference.ErrUnsupported, `tokens`},
		{"root ::= \"a\" root", inference.ErrBadRequest, `no answer`},
		{"root := \"a\"", inference.ErrBadRequest, `::=`},
	}
	for _, tt := range tests {
		_, err := Compile(inference.Format{Kind: inference.FormatGrammar, Grammar: tt.grammar})
		if !errors.Is(err, tt.is) || err == nil || !bytes.Contains([]byte(err.Error()), []byte(tt.says)) {
			t.Errorf("%q: error is %v; want %v that says %s", tt.grammar, err, tt.is, tt.says)
		}
	}
}

// vocabOf is a small vocabulary: every byte, some longer pieces, and an end.
func vocabOf(more ...string) *Vocab {
	var pieces [][]byte
	for b := range 256 {
		pieces = append(pieces, []byte{byte(b)})
	}
	for _, p := range more {
		pieces = append(pieces, []byte(p))
	}
	pieces = append(pieces, nil)
	return NewVocab(pieces, []int32{int32(len(pieces) - 1)})
}

func TestForcedAndClosing(t *testing.T) {
	c := compileSchema(t, plantSchema)
	s := c.Start()
	if got, want := string(s.Forced()), `{"severity":"`; got != want {
		t.Errorf("forced is %q; want %q", got, want)
	}
	if err := s.AcceptBytes(s.Forced()); err != nil {
		t.Fatal(err)
	}
	closing, ok := s.Closing(1000)
	if want := `info","action":"stop_line","component":"coolant_pump","within_minutes":0,"needs_technician":true}`; !ok || string(closing) != want {
		t.Errorf("closing is %q; want %q", closing, want)
	}
	if _, ok := s.Closing(len(closing) - 1); ok {
		t.Error("closing beyond the limit")
	}
	if err := s.AcceptBytes([]byte(`w`)); err != nil {
		t.Fatal(err)
	}
	if got, want := string(s.Forced()), `arning","action":"`; got != want {
		t.Errorf("forced is %q; want %q", got, want)
	}
}
