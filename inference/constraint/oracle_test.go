package constraint

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"math/rand/v2"
	"testing"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"lineside/inference"
	"lineside/inference/constraint/constrainttest"
)

var rounds = flag.Int("rounds", 3000, "random schemas to try")

// tries is the number of random schemas to try, fewer in short tests.
func tries() int {
	if testing.Short() {
		return *rounds / 10
	}
	return *rounds
}

// oracle is an independent validator of a schema.
func oracle(t testing.TB, schema string) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(schema)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("oracle", doc); err != nil {
		t.Fatal(err)
	}
	sch, err := c.Compile("oracle")
	if err != nil {
		t.Fatalf("%s: %v", schema, err)
	}
	return sch
}

// walk goes on at random from s, mostly by plain bytes so that strings end,
// until the answer is whole or limit bytes are written.
func walk(t testing.TB, r *rand.Rand, s *State, limit int) []byte {
	t.Helper()
	var text []byte
	for len(text) < limit && !s.Done() {
		if s.CanStop() && r.IntN(3) == 0 {
			break
		}
		var legal []byte
		for b := range 256 {
			if s.at.allows(byte(b)) {
				legal = append(legal, byte(b))
			}
		}
		if len(legal) == 0 {
			t.Fatalf("dead end after %q", text)
		}
		b := legal[r.IntN(len(legal))]
		if bytes.IndexByte(legal, '"') >= 0 && r.IntN(4) == 0 {
			b = '"'
		}
		if err := s.AcceptBytes([]byte{b}); err != nil {
			t.Fatalf("after %q: %v", text, err)
		}
		text = append(text, b)
	}
	return text
}

func validate(t testing.TB, sch *jsonschema.Schema, schema string, text []byte) {
	t.Helper()
	if !utf8.Valid(text) {
		t.Fatalf("schema %s\nanswer %q is not UTF-8", schema, text)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil || !bytes.Equal(compact.Bytes(), text) {
		t.Fatalf("schema %s\nanswer %s is not compact JSON: %v", schema, text, err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("schema %s\nanswer %s: %v", schema, text, err)
	}
	if err := sch.Validate(v); err != nil {
		t.Fatalf("schema %s\nanswer %s\n%v", schema, text, err)
	}
}

// TestAnswersValidate walks random schemas at random, cuts the walks, closes
// them, and puts every answer to an independent validator.
func TestAnswersValidate(t *testing.T) {
	n := tries()
	held := 0
	for seed := range uint64(n) {
		r := rand.New(rand.NewPCG(seed, 4))
		schema := constrainttest.Schema(r)
		c, err := Compile(inference.Format{Kind: inference.FormatJSONSchema, Schema: json.RawMessage(schema)})
		if err != nil {
			if !errors.Is(err, inference.ErrUnsupported) && !errors.Is(err, inference.ErrBadRequest) {
				t.Fatalf("seed %d: %v", seed, err)
			}
			continue
		}
		held++
		sch := oracle(t, schema)
		for range 8 {
			s := c.Start()
			text := walk(t, r, &s, r.IntN(120))
			closing, ok := s.Closing(1 << 20)
			if !ok {
				t.Fatalf("seed %d: schema %s\nno closing after %q", seed, schema, text)
			}
			if err := s.AcceptBytes(closing); err != nil || !s.CanStop() {
				t.Fatalf("seed %d: closing %q after %q: %v", seed, closing, text, err)
			}
			validate(t, sch, schema, append(text, closing...))
		}
	}
	t.Logf("%d of %d schemas held", held, n)
	if held < n/2 {
		t.Errorf("only %d of %d random schemas are held", held, n)
	}
}
