package engine_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"lineside/inference"
	"lineside/inference/engine"
	"lineside/inference/engine/enginetest"
)

const plantSchema = `{"type":"object","additionalProperties":false,
 "required":["severity","action","component","within_minutes","needs_technician"],
 "properties":{"severity":{"enum":["info","warning","critical"]},
  "action":{"enum":["continue_production","reduce_speed","stop_line","call_maintenance"]},
  "component":{"enum":["coolant_pump","main_spindle","conveyor_drive","hydraulic_unit"]},
  "within_minutes":{"enum":[0,5,15,60,480]},
  "needs_technician":{"type":"boolean"}}}`

func schema(r *inference.Request, s string) *inference.Request {
	r.Format = inference.Format{Kind: inference.FormatJSONSchema, Schema: json.RawMessage(s)}
	return r
}

// TestPlantPasses holds the plant's answers to little more than a pass for each of
// the five decisions; some values begin with the same token, which makes two.
func TestPlantPasses(t *testing.T) {
	h := open(t, enginetest.Config{}, engine.Options{})
	for i := range 8 {
		r := schema(text("You answer for line 4.", "alarm "+string(rune('a'+i))), plantSchema)
		r.MaxTokens = 96
		before := h.Stats().Passes
		res := h.ask(t, r)
		if !json.Valid([]byte(res.Text)) {
			t.Errorf("answer %q", res.Text)
		}
		if n := h.Stats().Passes - before; n > 7 {
			t.Errorf("%d passes for %q, want at most 7", n, res.Text)
		}
	}
}

// TestSameTextEitherWay is the exactness of jump-forward: with it, without it,
// and with drafts or without, an answer under a format is the same text, and it
// validates; greedy and sampled, whole and cut by max_tokens.
func TestSameTextEitherWay(t *testing.T) {
	schemas := 2500
	if testing.Short() {
		schemas = 300
	}
	cfg := enginetest.Config{EndOneIn: 8, Order: 3}
	fast := open(t, cfg, engine.Options{})
	slow := open(t, cfg, engine.Options{NoJumpForward: true, NoLookup: true})
	rng := rand.New(rand.NewPCG(4, 2))
	passes, refused := [2]uint64{}, 0
	forced := 0
	for i := range schemas {
		doc := randomSchema(rng, 3)
		r := schema(text("A system.", fmt.Sprint("ask ", i)), doc)
		r.MaxTokens = 30 + rng.IntN(200)
		if i%3 == 0 {
			r.Sampling = inference.Sampling{Temperature: 1, Seed: uint64(i), TopP: 0.9}
		}
		a, errA := fast.Generate(t.Context(), r, nil)
		b, errB := slow.Generate(t.Context(), r, nil)
		if errors.Is(errA, inference.ErrSchema) && errors.Is(errB, inference.ErrSchema) {
			refused++ // no room for any valid answer
			continue
		}
		if errA != nil || errB != nil {
			t.Fatalf("schema %s: %v, %v", doc, errA, errB)
		}
		if a.Text != b.Text || a.Finish != b.Finish {
			t.Fatalf("schema %s\n fast %s %q\n slow %s %q", doc, a.Finish, a.Text, b.Finish, b.Text)
		}
		if a.Usage.Completion > r.MaxTokens {
			t.Errorf("%d tokens, %d were allowed", a.Usage.Completion, r.MaxTokens)
		}
		validate(t, doc, a.Text)
		forced += a.Usage.Forced
	}
	passes[0], passes[1] = fast.Stats().Passes, slow.Stats().Passes
	if forced == 0 || refused > schemas/5 || passes[0]*2 > passes[1] {
		t.Errorf("%d of %d refused, %d forced tokens, %d passes with jump-forward and %d without", refused, schemas, forced, passes[0], passes[1])
	}
}

func validate(t *testing.T, doc, answer string) {
	t.Helper()
	parsed, err := jsonschema.UnmarshalJSON(strings.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("a.json", parsed); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("a.json")
	if err != nil {
		t.Fatalf("schema %s: %v", doc, err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(answer))
	if err != nil {
		t.Fatalf("schema %s: answer %q: %v", doc, answer, err)
	}
	if err := s.Validate(value); err != nil {
		t.Fatalf("schema %s: answer %q: %v", doc, answer, err)
	}
}

// randomSchema is what factories might write: objects of enums, numbers, strings, lists.
func randomSchema(rng *rand.Rand, depth int) string {
	words := []string{"info", "warning", "warn", "critical", "stop_line", "stop", "call", "call_maintenance", "main_spindle", "a", "ab", "abc", `quo\"te`, "Grüße", ""}
	pick := func(n int) string {
		var list []string
		for _, i := range rng.Perm(len(words))[:n] {
			list = append(list, `"`+words[i]+`"`)
		}
		return strings.Join(list, ",")
	}
	kinds := 9
	if depth > 0 {
		kinds = 13
	}
	switch rng.IntN(kinds) {
	case 0, 1, 2:
		return `{"enum":[` + pick(1+rng.IntN(6)) + `]}`
	case 3:
		return `{"enum":[0,5,15,60,480,null,true]}`
	case 4:
		return `{"type":"boolean"}`
	case 5:
		low := rng.IntN(50)
		return fmt.Sprintf(`{"type":"integer","minimum":%d,"maximum":%d}`, low, low+rng.IntN(300))
	case 6:
		return fmt.Sprintf(`{"type":"string","maxLength":%d}`, rng.IntN(30))
	case 7:
		return `{"const":"fixed text of some length"}`
	case 8:
		return `{"type":"string","pattern":"^E[0-9]{3}$"}`
	case 9:
		low := rng.IntN(2)
		return fmt.Sprintf(`{"type":"array","minItems":%d,"maxItems":%d,"items":%s}`, low, low+rng.IntN(3), randomSchema(rng, depth-1))
	case 10:
		return `{"anyOf":[{"type":"null"},` + randomSchema(rng, depth-1) + `]}`
	}
	var props, required []string
	for i := range 1 + rng.IntN(4) {
		name := fmt.Sprintf(`"%s%d"`, words[rng.IntN(10)], i)
		props = append(props, name+":"+randomSchema(rng, depth-1))
		if rng.IntN(3) > 0 {
			required = append(required, name)
		}
	}
	return fmt.Sprintf(`{"type":"object","additionalProperties":false,"properties":{%s},"required":[%s]}`, strings.Join(props, ","), strings.Join(required, ","))
}

// BenchmarkPlantAsk is the engine's own work for one answer of the plant, with a
// model that costs next to nothing.
func BenchmarkPlantAsk(b *testing.B) {
	h := open(b, enginetest.Config{}, engine.Options{})
	r := schema(text("You answer for line 4.", "alarm E104 on axis 3, what now?"), plantSchema)
	r.MaxTokens = 96
	for b.Loop() {
		if _, err := h.Generate(b.Context(), r, nil); err != nil {
			b.Fatal(err)
		}
	}
}
