package main

import (
	"testing"

	"lineside/inference/model/demo"
)

// TestGoldenWords: the shipped model, by the witness, says the golden answers
// to the letter, and they are the plant's own.
func TestGoldenWords(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	path, err := demo.Write(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	answer, err := witness(path)
	if err != nil {
		t.Fatal(err)
	}
	asks := demo.Golden()
	if len(asks) < 5 {
		t.Fatalf("only %d golden asks", len(asks))
	}
	for _, g := range asks {
		a, err := asAsked(g)
		if err != nil {
			t.Fatal(err)
		}
		got, err := answer(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		if got != g.Answer {
			t.Errorf("%q: %q, want %q", a.User, got, g.Answer)
		}
	}
}
