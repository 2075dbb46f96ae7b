package main

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"lineside/inference/engine"
	"lineside/inference/llama"
)

// The raw loop's measure: enough tokens for a steady figure, few enough to repeat it.
const (
	rawPrompt = 32
	rawTokens = 96
)

// rawLoop decodes streams side by side with nothing around the passes: what the
// engine's own decode is held against.
func rawLoop(ctx context.Context, s settings, stdout, stderr io.Writer) error {
	rt, err := llama.Open(ctx, s.model, s.options(progress(stderr, func(float64) {})))
	if err != nil {
		return err
	}
	defer rt.Close()
	next := make([]int32, s.rawStreams)
	for i := range next {
		for p := range int32(rawPrompt) {
			id := (int32(i)*131 + p*17 + 33) % int32(rt.Limits().Vocab)
			if err := rt.Decode([]engine.Token{{ID: id, Pos: p, Seqs: []int32{int32(i)}, Logits: p == rawPrompt-1}}); err != nil {
				return err
			}
		}
		l, err := rt.Logits(0)
		if err != nil {
			return err
		}
		next[i] = argmax(l)
	}
	start, tokens := time.Now(), 0
	batch := make([]engine.Token, s.rawStreams)
	for p := int32(rawPrompt); p < rawPrompt+rawTokens && ctx.Err() == nil; p++ {
		for i := range batch {
			batch[i] = engine.Token{ID: next[i], Pos: p, Seqs: []int32{int32(i)}, Logits: true}
		}
		if err := rt.Decode(batch); err != nil {
			return err
		}
		for i := range batch {
			l, err := rt.Logits(i)
			if err != nil {
				return err
			}
			next[i] = argmax(l)
			tokens++
		}
	}
	return json.NewEncoder(stdout).Encode(map[string]any{
		"streams": s.rawStreams, "tokens": tokens, "tok_per_s": float64(tokens) / time.Since(start).Seconds(),
	})
}

func argmax(l []float32) int32 {
	best := 0
	for i, v := range l {
		if v > l[best] {
			best = i
		}
	}
	return int32(best)
}
