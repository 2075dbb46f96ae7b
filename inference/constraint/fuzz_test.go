package constraint

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"lineside/inference"
	"lineside/inference/constraint/constrainttest"
)

// mustBeKind fails on an error that callers could not tell apart.
func mustBeKind(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, inference.ErrUnsupported) && !errors.Is(err, inference.ErrBadRequest) {
		t.Fatalf("error is neither bad request nor unsupported: %v", err)
	}
}

// finish walks at random, closes and returns the answer.
func finish(t *testing.T, r *rand.Rand, c *Constraint, limit int) ([]byte, bool) {
	s := c.Start()
	text := walk(t, r, &s, limit)
	closing, ok := s.Closing(1 << 12)
	if !ok {
		return nil, false // far away, or cut off by the limit of nesting
	}
	if err := s.AcceptBytes(closing); err != nil || !s.CanStop() {
		t.Fatalf("closing %q after %q: %v", closing, text, err)
	}
	return append(text, closing...), true
}

// inTime fails when a format has cost more than it may.
func inTime(t *testing.T, begin time.Time) {
	if d := time.Since(begin); d > 20*time.Second { // a second or two, on a machine that is not busy
		t.Errorf("took %v", d)
	}
}

func FuzzSchema(f *testing.F) {
	for seed := range uint64(40) {
		f.Add([]byte(constrainttest.Schema(rand.New(rand.NewPCG(seed, 9)))), seed)
	}
	f.Add([]byte(plantSchema), uint64(1))
	f.Fuzz(func(t *testing.T, schema []byte, seed uint64) {
		defer inTime(t, time.Now())
		c, err := Compile(inference.Format{Kind: inference.FormatJSONSchema, Schema: json.RawMessage(schema)})
		if err != nil {
			mustBeKind(t, err)
			return
		}
		sch := oracle(t, string(schema))
		r := rand.New(rand.NewPCG(seed, 1))
		for range 3 {
			if text, ok := finish(t, r, c, 60); ok {
				validate(t, sch, string(schema), text)
			}
		}
	})
}

func FuzzGrammar(f *testing.F) {
	f.Add("root ::= item (\",\" item)*\nitem ::= [a-z]+ # a word\n", uint64(1))
	f.Add(`root ::= "x"{2} [0-9]{1,3} "y"{2,} "z"? ("ab"){0,1}`, uint64(2))
	f.Add("root ::= \"(\" root \")\" | \"\"", uint64(3))
	f.Add(`root ::= [^a-z"\n] . | "\u00e4" ("\x41" | root "a")`, uint64(4))
	f.Add("root ::= a | b\na ::= \"x\" a \"y\" | \"x\" a \"z\" | \"w\"\nb ::= (a){3,7}", uint64(5))
	f.Fuzz(func(t *testing.T, grammar string, seed uint64) {
		defer inTime(t, time.Now())
		c, err := Compile(inference.Format{Kind: inference.FormatGrammar, Grammar: grammar})
		if err != nil {
			mustBeKind(t, err)
			return
		}
		r := rand.New(rand.NewPCG(seed, 1))
		for range 3 {
			finish(t, r, c, 60)
		}
	})
}

func FuzzTokens(f *testing.F) {
	f.Add(uint64(1), []byte("\x01\x02\x03"))
	f.Add(uint64(7), []byte{200, 1, 7, 99, 3})
	voc := smallVocab()
	f.Fuzz(func(t *testing.T, seed uint64, choices []byte) {
		schema := constrainttest.Schema(rand.New(rand.NewPCG(seed, 2)))
		c, err := Compile(inference.Format{Kind: inference.FormatJSONSchema, Schema: json.RawMessage(schema)})
		if err != nil {
			mustBeKind(t, err)
			return
		}
		mask := make([]uint64, voc.Words())
		s := c.Start()
		var text []byte
		for _, b := range choices {
			s.Mask(voc, mask)
			id := int32(int(b) * voc.Size() / 256)
			legal := mask[id>>6]>>(id&63)&1 != 0
			if legal != s.AllowsToken(voc, id) || legal != (s.AcceptToken(voc, id) == nil) {
				t.Fatalf("mask, question and step differ on %q after %q", voc.pieces[id], text)
			}
			if s.Done() {
				return
			}
			if legal {
				text = append(text, voc.pieces[id]...)
			}
		}
	})
}

// TestHostile gives formats that are made to cost: none may take long, whatever
// comes of them.
func TestHostile(t *testing.T) {
	deep := func(open, inner, end string, n int) string {
		s := inner
		for range n {
			s = open + s + end
		}
		return s
	}
	list := func(one string, n int) string { return strings.TrimSuffix(strings.Repeat(one+",", n), ",") }
	double := `{"$defs":{"d0":{"type":"integer"}`
	for i := 1; i < 60; i++ {
		one := fmt.Sprintf(`{"type":"object","properties":{"a":{"$ref":"#/$defs/d%d"}},"required":["a"]}`, i-1)
		double += fmt.Sprintf(`,"d%d":{"anyOf":[%s,{"allOf":[%s],"additionalProperties":true}]}`, i, one, one)
	}
	double += `},"$ref":"#/$defs/d59"}`
	formats := map[string]inference.Format{}
	for name, schema := range map[string]string{
		"doubling":        double,
		"deep":            deep(`{"items":`, `{}`, `}`, 5000),
		"nested":          deep(`{"type":"array","minItems":2,"items":`, `{"type":"string"}`, `}`, 90),
		"huge count":      `{"type":"array","items":{"type":"string","minLength":999999},"minItems":999999}`,
		"classes":         `{"type":"string","pattern":"^(\\p{L}|\\p{N}){1,300}(\\p{L}{1,300}|x){1,3}$","maxLength":5000}`,
		"regexp":          `{"type":"string","pattern":"(a|b)*a(a|b){60}"}`,
		"product":         `{"allOf":[{"pattern":"(a|b)*a(a|b){9}$"},{"pattern":"(b|c)*b(a|c){9}$"},{"pattern":"(a|c)*c(b|c){9}"}],"maxLength":1000}`,
		"combined":        `{"allOf":[` + list(`{"anyOf":[{"minimum":1},{"maximum":2},{"minimum":3},{"maximum":4}]}`, 12) + `]}`,
		"one of":          `{"oneOf":[` + list(`{"type":"object","properties":{"a":{"enum":[1,2,3]}},"required":["a"]}`, 300) + `]}`,
		"many properties": `{"type":"object","minProperties":16000000,"maxProperties":16000000}`,
		"many different":  `{"type":"array","items":{"enum":[1,2]},"uniqueItems":true,"minItems":16000000}`,
		"long text":       `{"type":"string","pattern":"a","minLength":16000000}`,
		"divisor":         `{"type":"number","multipleOf":0.997,"minimum":-1e30,"maximum":1e30}`,
	} {
		formats[name] = inference.Format{Kind: inference.FormatJSONSchema, Schema: json.RawMessage(schema)}
	}
	for name, grammar := range map[string]string{
		"ambiguous": "root ::= \"a\" root \"b\" | \"a\" root \"c\" | \"a\" root \"d\" | \"e\"",
		"silent":    "root ::= a a a a a a a a \"x\"\na ::= b b b b b b\nb ::= c c c c c\nc ::= \"z\"? \"y\"?",
		"groups":    "root ::= " + deep("(", `"a"`, ")*", 80),
		"repeats":   "root ::= " + deep("(", `"a"?`, "){0,2000}", 20),
	} {
		formats[name] = inference.Format{Kind: inference.FormatGrammar, Grammar: grammar}
	}
	for name, format := range formats {
		t.Run(name, func(t *testing.T) {
			defer inTime(t, time.Now())
			c, err := Compile(format)
			if err != nil {
				mustBeKind(t, err)
			} else {
				finish(t, rand.New(rand.NewPCG(1, 1)), c, 300)
			}
			t.Log(err)
		})
	}
}

// TestManyAtOnce lets answers share one constraint from several goroutines,
// with so many states that it forgets in between.
func TestManyAtOnce(t *testing.T) {
	c := compileSchema(t, `{"type":"array","items":{"type":"object","properties":{"a":{"type":"string","maxLength":90},"b":{"type":"number"}},"required":["a"]},"maxItems":500}`)
	c.dfa.budget = 64 << 10
	voc := smallVocab()
	var wg sync.WaitGroup
	for g := range uint64(4) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(g, 1))
			mask := make([]uint64, voc.Words())
			for range 20 {
				s := c.Start()
				var text []byte
				for range 60 {
					s.Mask(voc, mask)
					id := pick(r, mask)
					if err := s.AcceptToken(voc, id); err != nil {
						t.Error(err)
						return
					}
					text = append(text, voc.pieces[id]...)
					if s.Done() {
						break
					}
				}
				if !s.CanStop() {
					closing, _ := s.Closing(1 << 12)
					text = append(text, closing...)
				}
				if !json.Valid(text) {
					t.Errorf("answer %q", text)
				}
			}
		})
	}
	wg.Wait()
}

// TestForgets keeps memory in bounds, however many states answers visit.
func TestForgets(t *testing.T) {
	c := compileSchema(t, `{"type":"array","items":{"type":"string","maxLength":3000}}`)
	c.dfa.budget = 64 << 10
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for range 3 {
		s := c.Start()
		if err := s.AcceptBytes([]byte(`["` + strings.Repeat("ä", 2900))); err != nil {
			t.Fatal(err)
		}
	}
	if grown := int64(heap()) - int64(before); grown > 1<<20 {
		t.Errorf("%d bytes more are in use", grown)
	}
	runtime.KeepAlive(c)
}

// TestLongLists: none of many alternatives may get lost.
func TestLongLists(t *testing.T) {
	var words []string
	for i := range 3000 {
		words = append(words, fmt.Sprintf(`"part-%d"`, i*7919%100000))
	}
	schema := compileSchema(t, `{"enum":[`+strings.Join(words, ",")+`]}`)
	grammar := compileGrammar(t, "root ::= "+strings.Join(words, " | "))
	for _, w := range words {
		if !takes(schema, w) || !takes(grammar, strings.Trim(w, `"`)) {
			t.Fatalf("%s is lost", w)
		}
	}
}
