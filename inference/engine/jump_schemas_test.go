package engine_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"lineside/inference"
	"lineside/inference/constraint/constrainttest"
	"lineside/inference/engine"
	"lineside/inference/engine/enginetest"
)

// TestSameTextForEveryKeyword is TestSameTextEitherWay over schemas that use all
// that a constraint holds: patterns, formats, tuples, references, choices.
func TestSameTextForEveryKeyword(t *testing.T) {
	schemas := 2500
	if testing.Short() {
		schemas = 200
	}
	cfg := enginetest.Config{EndOneIn: 8, Order: 3}
	fast := open(t, cfg, engine.Options{})
	slow := open(t, cfg, engine.Options{NoJumpForward: true, NoLookup: true})
	held := 0
	for i := range schemas {
		rng := rand.New(rand.NewPCG(uint64(i), 77))
		doc := constrainttest.Schema(rng)
		r := schema(text("A system.", fmt.Sprint("ask ", i)), doc)
		r.MaxTokens = 30 + rng.IntN(200)
		if i%3 == 0 {
			r.Sampling = inference.Sampling{Temperature: 1, Seed: uint64(i), TopP: 0.9}
		}
		a, errA := fast.Generate(t.Context(), r, nil)
		b, errB := slow.Generate(t.Context(), r, nil)
		for _, refusal := range []error{inference.ErrSchema, inference.ErrUnsupported, inference.ErrBadRequest} {
			if errors.Is(errA, refusal) && errors.Is(errB, refusal) {
				errA, errB, a = nil, nil, nil
			}
		}
		if errA != nil || errB != nil {
			t.Fatalf("schema %s: %v, %v", doc, errA, errB)
		}
		if a == nil {
			continue // too long for max_tokens, or more than can be held
		}
		held++
		if a.Text != b.Text || a.Finish != b.Finish {
			t.Fatalf("schema %s\n fast %s %q\n slow %s %q", doc, a.Finish, a.Text, b.Finish, b.Text)
		}
		validate(t, doc, a.Text)
	}
	if held < schemas/2 {
		t.Errorf("only %d of %d schemas were answered", held, schemas)
	}
}
