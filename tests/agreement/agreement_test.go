// Package agreement_test holds the engine's arithmetic against a witness that
// shares no code with it: the demo model's forward pass in plain Go. It needs cgo.
package agreement_test

import (
	"errors"
	"math"
	"slices"
	"testing"

	"lineside/inference/engine"
	"lineside/inference/llama"
	"lineside/inference/model/demo"
	"lineside/tools/demomodel/bpe"
	"lineside/tools/demomodel/corpus"
	"lineside/tools/demomodel/forward"
)

// heldOutAsks draws asks of all kinds that the model never saw.
func heldOutAsks(n int) []corpus.Ask {
	w := corpus.NewWriter(50, true)
	asks := make([]corpus.Ask, n)
	for i := range asks {
		asks[i] = w.Next()
	}
	return asks
}

// written is the whole conversation as a chat template would write it.
func written(a corpus.Ask) string {
	text := bpe.BeginOfText
	turn := func(role, body string) { text += bpe.StartHeader + role + bpe.EndHeader + "\n\n" + body }
	if a.System != "" {
		turn("system", a.System+bpe.EndOfTurn)
	}
	turn("user", a.User+bpe.EndOfTurn)
	turn("assistant", a.Answer)
	return text
}

func open(t *testing.T) (*llama.Runtime, *forward.Model, *bpe.Tokenizer) {
	t.Helper()
	path, err := demo.Write(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	run, err := llama.Open(t.Context(), path, llama.Options{Cells: 1024, Sequences: 1, Threads: 2})
	if errors.Is(err, llama.ErrNoCgo) {
		t.Skip("needs cgo: run make test-engine")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(run.Close)
	witness, err := forward.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := bpe.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return run, witness, tok
}

// TestTokens: the engine splits every text as training did.
func TestTokens(t *testing.T) {
	run, _, tok := open(t)
	texts := []string{"", " ", "  a   b", "E317, e-317 (71.3 °C)\r\n\n x", "1234567 it's I'LL über 你好 🙂\t\tend "}
	for _, a := range heldOutAsks(300) {
		texts = append(texts, a.System, a.User, a.Answer)
	}
	for _, text := range texts {
		got, err := run.Vocabulary().Tokenize(text, false)
		if err != nil {
			t.Fatal(err)
		}
		var want []int32
		for _, id := range tok.Encode(text) {
			want = append(want, int32(id))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: engine %v, training %v", text, got, want)
		}
	}
}

// TestLogits: engine and witness put the same token first at 99 of 100 places.
// The engine multiplies with activations rounded to 8 bits, so the logits
// themselves differ a little; the largest difference is reported.
func TestLogits(t *testing.T) {
	run, witness, _ := open(t)
	var places, same int
	var worst float64
	for _, a := range heldOutAsks(50) {
		ids, err := run.Vocabulary().Tokenize(written(a), true)
		if err != nil {
			t.Fatal(err)
		}
		if err := run.RemoveSeq(0, 0, -1); err != nil {
			t.Fatal(err)
		}
		batch := make([]engine.Token, len(ids))
		for i, id := range ids {
			batch[i] = engine.Token{ID: id, Pos: int32(i), Seqs: []int32{0}, Logits: true}
		}
		if err := run.Decode(batch); err != nil {
			t.Fatal(err)
		}
		s := witness.NewSequence()
		for i, id := range ids {
			got, err := run.Logits(i)
			if err != nil {
				t.Fatal(err)
			}
			want := s.Next(int(id))
			places++
			if top(got) == top(want) {
				same++
			}
			for j := range want {
				worst = max(worst, math.Abs(float64(got[j]-want[j])))
			}
		}
	}
	t.Logf("%d of %d places have the same first token (%.2f %%), largest difference of a logit %.3f",
		same, places, 100*float64(same)/float64(places), worst)
	if 100*same < 99*places {
		t.Errorf("only %d of %d places agree, want 99 %%", same, places)
	}
}

func top(logits []float32) int {
	best := 0
	for i, v := range logits {
		if v > logits[best] {
			best = i
		}
	}
	return best
}
