// Package calibrate finds how many threads a board decodes and prefills with
// fastest, and keeps the answer in a file that lineside-engine reads when it starts.
//
// It never decides anything while asks run: heat and load are the governor's.
package calibrate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"lineside/inference/engine"
)

// Step is what one number of threads brings.
type Step struct {
	Threads int     `json:"threads"`
	Decode  float64 `json:"decode_tok_per_s"`  // one answer alone
	Prefill float64 `json:"prefill_tok_per_s"` // of a prompt
}

// Result is a calibration.
type Result struct {
	Model   string    `json:"model"` // what it was measured with
	CPUs    int       `json:"cpus"`  // of the board
	At      time.Time `json:"at"`
	Decode  int       `json:"decode_threads"`
	Prefill int       `json:"prefill_threads"`
	Steps   []Step    `json:"steps"`
}

// The measure: a prompt as long as a device's ask behind a shared prefix, and
// an answer that is long enough to tell.
const (
	promptTokens = 128
	chunk        = 64
	answerTokens = 24
	rounds       = 2 // the better one counts: other work on the board only slows down
)

// enough is the part of the best speed for which fewer threads are taken: they
// leave cores to the rest of the board and make less heat.
const enough = 0.97

// Counts are the numbers of threads that are tried on a board.
func Counts(cpus int) []int {
	var list []int
	for n := 1; n < cpus; n += max(1, n/4) {
		list = append(list, n)
	}
	return append(list, max(cpus, 1))
}

// Measure tries every number of threads on a runtime that is empty and that
// nothing else uses. show is called after each.
func Measure(ctx context.Context, rt engine.Runtime, model string, cpus int, show func(Step)) (Result, error) {
	r := Result{Model: model, CPUs: cpus, At: time.Now().UTC().Truncate(time.Second)}
	for _, n := range Counts(cpus) {
		rt.SetThreads(n, n)
		s := Step{Threads: n}
		for range rounds {
			prefill, decode, err := round(ctx, rt)
			if err != nil {
				return r, fmt.Errorf("with %d threads: %w", n, err)
			}
			s.Prefill, s.Decode = max(s.Prefill, prefill), max(s.Decode, decode)
		}
		r.Steps = append(r.Steps, s)
		show(s)
	}
	r.Decode = least(r.Steps, func(s Step) float64 { return s.Decode })
	r.Prefill = least(r.Steps, func(s Step) float64 { return s.Prefill })
	return r, nil
}

// round computes a prompt and an answer once, and gives tokens a second of each.
func round(ctx context.Context, rt engine.Runtime) (prefill, decode float64, err error) {
	l := rt.Limits()
	if err := rt.RemoveSeq(-1, 0, -1); err != nil {
		return 0, 0, err
	}
	at := int32(0)
	pass := func(n int) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		batch := make([]engine.Token, n)
		for i := range batch {
			batch[i] = engine.Token{ID: (at*17 + 33) % int32(l.Vocab), Pos: at, Seqs: []int32{0}, Logits: i == n-1}
			at++
		}
		return rt.Decode(batch)
	}
	if err := pass(1); err != nil { // wakes the threads
		return 0, 0, err
	}
	start := time.Now()
	for range promptTokens / chunk {
		if err := pass(min(chunk, l.Batch)); err != nil {
			return 0, 0, err
		}
	}
	prefill = float64(at-1) / time.Since(start).Seconds()
	took := make([]time.Duration, answerTokens)
	for i := range took {
		start := time.Now()
		if err := pass(1); err != nil {
			return 0, 0, err
		}
		took[i] = time.Since(start)
	}
	slices.Sort(took)
	return prefill, 1 / took[answerTokens/2].Seconds(), rt.RemoveSeq(-1, 0, -1)
}

// least is the smallest number of threads that is about as fast as any.
func least(steps []Step, speed func(Step) float64) int {
	best := 0.0
	for _, s := range steps {
		best = max(best, speed(s))
	}
	for _, s := range steps {
		if speed(s) >= enough*best {
			return s.Threads
		}
	}
	return 1
}
