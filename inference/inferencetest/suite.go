// Package inferencetest holds the suite that everything which answers asks must
// pass, and a scripted Engine that passes it without a model.
//
// It is for tests only and never ships.
package inferencetest

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"lineside/inference"
)

// Generator is what the suite tests: an engine, or a client of one.
type Generator interface {
	Generate(ctx context.Context, r *inference.Request, emit func(text string) error) (*inference.Result, error)
}

// Schema is a schema that the suite asks for; every Generator must hold to it.
const Schema = `{"type":"object","additionalProperties":false,"required":["severity","minutes","ok"],"properties":{"severity":{"enum":["info","warning","critical"]},"minutes":{"type":"integer","minimum":0,"maximum":99},"ok":{"type":"boolean"}}}`

// ask is a request that any model can answer.
func ask(text string, tokens int) *inference.Request {
	return &inference.Request{
		ID:        "t",
		Messages:  []inference.Message{{Role: inference.RoleSystem, Content: "You answer for line 4."}, {Role: inference.RoleUser, Content: text}},
		MaxTokens: tokens,
	}
}

// Suite runs every rule of the contract against the generator that open
// returns. Each rule gets a fresh one.
func Suite(t *testing.T, open func(t *testing.T) Generator) {
	rules := map[string]func(t *testing.T, g Generator){
		"emitted pieces are the answer": emitted,
		"length ends an answer":         length,
		"greedy is repeatable":          repeatable,
		"a seed is repeatable":          seeded,
		"a stop text ends and hides":    stopText,
		"cancel ends with ctx's error":  cancelled,
		"emit's error ends the answer":  emitError,
		"a past deadline is a deadline": deadline,
		"bad requests are refused":      badRequests,
		"too long is refused by number": tooLong,
		"a schema holds":                schema,
		"a schema holds when cut":       schemaCut,
		"unsupported schemas are named": unsupported,
		"many at once":                  many,
		"usage counts":                  usage,
	}
	for name, rule := range rules {
		t.Run(name, func(t *testing.T) { rule(t, open(t)) })
	}
}

func generate(t *testing.T, g Generator, r *inference.Request, emit func(string) error) *inference.Result {
	t.Helper()
	res, err := g.Generate(t.Context(), r, emit)
	if err != nil {
		t.Fatalf("generate: %v", err)
	}
	return res
}

func emitted(t *testing.T, g Generator) {
	var b strings.Builder
	res := generate(t, g, ask("What does alarm E101 mean?", 24), func(s string) error {
		if s == "" || !utf8.ValidString(s) {
			t.Errorf("emitted %q: want non-empty valid UTF-8", s)
		}
		b.WriteString(s)
		return nil
	})
	if b.String() != res.Text {
		t.Errorf("pieces make %q, the answer is %q", b.String(), res.Text)
	}
}

func length(t *testing.T, g Generator) {
	res := generate(t, g, ask("Count the machines of line 1, all of them, slowly.", 3), nil)
	if res.Usage.Completion > 3 {
		t.Errorf("%d tokens, want at most 3", res.Usage.Completion)
	}
	if res.Usage.Completion == 3 && res.Finish != inference.FinishLength && res.Finish != inference.FinishStop {
		t.Errorf("finish %q", res.Finish)
	}
}

func repeatable(t *testing.T, g Generator) {
	a := generate(t, g, ask("What does alarm E102 mean?", 16), nil)
	b := generate(t, g, ask("What does alarm E102 mean?", 16), nil)
	if a.Text != b.Text {
		t.Errorf("two greedy answers differ:\n%q\n%q", a.Text, b.Text)
	}
}

func seeded(t *testing.T, g Generator) {
	r := ask("Say something.", 16)
	r.Sampling = inference.Sampling{Temperature: 0.9, TopP: 0.95, Seed: 42}
	r.Deterministic = true
	a, b := generate(t, g, r, nil), generate(t, g, r, nil)
	if a.Text != b.Text {
		t.Errorf("two answers with one seed differ:\n%q\n%q", a.Text, b.Text)
	}
}

func stopText(t *testing.T, g Generator) {
	whole := generate(t, g, ask("What does alarm E103 mean?", 24), nil)
	runes := []rune(whole.Text)
	if len(runes) < 4 {
		t.Skipf("the answer %q is too short to stop in", whole.Text)
	}
	r := ask("What does alarm E103 mean?", 24)
	stop := string(runes[len(runes)/2 : len(runes)/2+2])
	r.Stop = []string{stop}
	var b strings.Builder
	res := generate(t, g, r, func(s string) error { b.WriteString(s); return nil })
	want, _, _ := strings.Cut(whole.Text, stop)
	if res.Text != want || b.String() != want || res.Finish != inference.FinishStop {
		t.Errorf("stop %q: got %q (emitted %q, %s), want %q", stop, res.Text, b.String(), res.Finish, want)
	}
}

func cancelled(t *testing.T, g Generator) {
	ctx, cancel := context.WithCancel(t.Context())
	var once sync.Once
	_, err := g.Generate(ctx, ask("Tell a very long story of the press line.", 200), func(string) error {
		once.Do(cancel)
		return nil
	})
	if err == nil {
		return // it ended before the cancel reached it
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	generate(t, g, ask("Are you still there?", 4), nil)
}

func emitError(t *testing.T, g Generator) {
	gone := errors.New("the reader went away")
	_, err := g.Generate(t.Context(), ask("Tell a very long story.", 200), func(string) error { return gone })
	if !errors.Is(err, gone) {
		t.Errorf("error %v, want emit's own", err)
	}
	generate(t, g, ask("Are you still there?", 4), nil)
}

func deadline(t *testing.T, g Generator) {
	r := ask("Tell a very long story.", 2000)
	r.Messages[1].Content = strings.Repeat("Write on and on. ", 40)
	r.MaxTokens = 100
	r.Deadline = time.Now().Add(time.Millisecond)
	res, err := g.Generate(t.Context(), r, nil)
	if err != nil {
		t.Fatalf("error %v, want an answer with finish %q", err, inference.FinishDeadline)
	}
	if res.Finish != inference.FinishDeadline {
		t.Errorf("finish %q after %d tokens, want %q", res.Finish, res.Usage.Completion, inference.FinishDeadline)
	}
}

func badRequests(t *testing.T, g Generator) {
	for name, spoil := range map[string]func(*inference.Request){
		"no messages":     func(r *inference.Request) { r.Messages = nil },
		"unknown role":    func(r *inference.Request) { r.Messages[1].Role = "robot" },
		"late system":     func(r *inference.Request) { r.Messages[1].Role = inference.RoleSystem },
		"hot":             func(r *inference.Request) { r.Sampling.Temperature = 9 },
		"negative tokens": func(r *inference.Request) { r.MaxTokens = -1 },
		"empty stop":      func(r *inference.Request) { r.Stop = []string{""} },
		"schema not JSON": func(r *inference.Request) {
			r.Format = inference.Format{Kind: inference.FormatJSONSchema, Schema: []byte("{")}
		},
		"unknown format":   func(r *inference.Request) { r.Format.Kind = "xml" },
		"empty grammar":    func(r *inference.Request) { r.Format.Kind = inference.FormatGrammar },
		"assistant speaks": func(r *inference.Request) { r.Messages[1].Role = inference.RoleAssistant },
	} {
		r := ask("hello", 4)
		spoil(r)
		if _, err := g.Generate(t.Context(), r, nil); !errors.Is(err, inference.ErrBadRequest) {
			t.Errorf("%s: error %v, want ErrBadRequest", name, err)
		}
	}
}

func tooLong(t *testing.T, g Generator) {
	_, err := g.Generate(t.Context(), ask(strings.Repeat("pump valve drive ", 20000), 8), nil)
	long, ok := errors.AsType[*inference.TooLongError](err)
	if !ok {
		t.Fatalf("error %v, want a TooLongError", err)
	}
	if long.Prompt < 1000 || long.Context <= 0 || long.Prompt+long.Answer <= long.Context {
		t.Errorf("numbers do not add up: %+v", *long)
	}
}

// holds checks an answer to Schema without a validator's help.
func holds(t *testing.T, text string) {
	t.Helper()
	var v struct {
		Severity *string `json:"severity"`
		Minutes  *int    `json:"minutes"`
		OK       *bool   `json:"ok"`
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		t.Errorf("answer %q: %v", text, err)
		return
	}
	if v.Severity == nil || v.Minutes == nil || v.OK == nil || *v.Minutes < 0 || *v.Minutes > 99 ||
		!strings.Contains(" info warning critical ", " "+*v.Severity+" ") || dec.More() {
		t.Errorf("answer %q does not fit the schema", text)
	}
}

func schema(t *testing.T, g Generator) {
	r := ask("Alarm E104, value 7. Judge it.", 96)
	r.Format = inference.Format{Kind: inference.FormatJSONSchema, Schema: []byte(Schema)}
	res := generate(t, g, r, nil)
	holds(t, res.Text)
	if strings.ContainsAny(res.Text, " \n\t") {
		t.Errorf("answer %q has blanks that the schema does not need", res.Text)
	}
}

func schemaCut(t *testing.T, g Generator) {
	for tokens := 1; tokens < 12; tokens++ {
		r := ask("Alarm E105, value 7. Judge it.", tokens)
		r.Format = inference.Format{Kind: inference.FormatJSONSchema, Schema: []byte(Schema)}
		res, err := g.Generate(t.Context(), r, nil)
		switch {
		case errors.Is(err, inference.ErrSchema):
		case err != nil:
			t.Errorf("%d tokens: %v", tokens, err)
		default:
			holds(t, res.Text)
		}
	}
}

func unsupported(t *testing.T, g Generator) {
	r := ask("hello", 8)
	r.Format = inference.Format{Kind: inference.FormatJSONSchema, Schema: []byte(`{"type":"object","patternProperties":{"^a":{"type":"string"}}}`)}
	_, err := g.Generate(t.Context(), r, nil)
	if !errors.Is(err, inference.ErrUnsupported) || !strings.Contains(err.Error(), "patternProperties") {
		t.Errorf("error %v, want ErrUnsupported that names patternProperties", err)
	}
}

func many(t *testing.T, g Generator) {
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			r := ask(strings.Repeat("drive ", i)+"what now?", 8)
			if i%2 == 1 {
				r.MaxTokens = 96
				r.Format = inference.Format{Kind: inference.FormatJSONSchema, Schema: []byte(Schema)}
			}
			res, err := g.Generate(t.Context(), r, nil)
			if err != nil {
				t.Errorf("ask %d: %v", i, err)
			} else if i%2 == 1 {
				holds(t, res.Text)
			}
		})
	}
	wg.Wait()
}

func usage(t *testing.T, g Generator) {
	res := generate(t, g, ask("What does alarm E106 mean?", 8), nil)
	if res.Usage.Prompt < 5 || res.Usage.Cached > res.Usage.Prompt || res.Usage.Completion > 8 {
		t.Errorf("usage %+v", res.Usage)
	}
	if res.Text != "" && res.Usage.Completion == 0 {
		t.Errorf("text %q out of no tokens", res.Text)
	}
	if res.Timings.Total < res.Timings.First || res.Timings.Total <= 0 {
		t.Errorf("timings %+v", res.Timings)
	}
}
