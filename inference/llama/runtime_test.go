package llama_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"lineside/inference/engine"
	"lineside/inference/engine/enginetest"
	"lineside/inference/llama"
	"lineside/inference/model/modeltest"
	"lineside/inference/model/shape"
	"lineside/inference/model/synth"
)

// small are options for tests: every limit can be reached.
var small = llama.Options{Cells: 256, Sequences: 4, Batch: 32, Chunk: 16, Threads: 2}

func open(t testing.TB, path string, o llama.Options) *llama.Runtime {
	t.Helper()
	r, err := llama.Open(t.Context(), path, o)
	skipWithoutCgo(t, err)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// TestRuntime runs the engine's suite over every family in every way it is stored.
func TestRuntime(t *testing.T) {
	for _, c := range []struct {
		name string
		mix  shape.Mixture
		o    llama.Options
	}{
		{"tiny", shape.Q4_0, small},
		{"tiny", shape.F16, llama.Options{Cells: 256, Sequences: 4, Batch: 32, Mapped: true}},
		{"tiny-llama2", shape.Q8_0, small},
		{"tiny-llama4", shape.Q4_K_M, small},
		{"tiny-mistral", shape.Q4_0, small},
	} {
		t.Run(c.name+"-"+string(c.mix), func(t *testing.T) {
			path := modeltest.Tiny(t, c.name, c.mix)
			enginetest.TestRuntime(t, func(t *testing.T) (engine.Runtime, engine.Vocabulary) {
				r := open(t, path, c.o)
				return r, r.Vocabulary()
			})
		})
	}
}

// TestMistral3 loads the newest Mistral architecture, which is Llama's under
// another name.
func TestMistral3(t *testing.T) {
	m, err := synth.New("tiny", shape.Q4_0, nil)
	if err != nil {
		t.Fatal(err)
	}
	m.Shape.Arch = "mistral3"
	path := filepath.Join(t.TempDir(), "mistral3.gguf")
	if err := m.Create(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	r := open(t, path, small)
	answer(t, r, 0, "ready?", 4)
}

// answer decodes a text greedily and returns the tokens that follow it.
func answer(t testing.TB, r *llama.Runtime, seq int32, text string, n int) []int32 {
	t.Helper()
	ids, err := r.Vocabulary().Tokenize(text, false)
	if err != nil {
		t.Fatal(err)
	}
	var out []int32
	for pos := 0; len(out) < n; {
		batch := make([]engine.Token, len(ids))
		for i, id := range ids {
			batch[i] = engine.Token{ID: id, Pos: int32(pos + i), Seqs: []int32{seq}, Logits: i == len(ids)-1}
		}
		if err := r.Decode(batch); err != nil {
			t.Fatal(err)
		}
		l, err := r.Logits(len(batch) - 1)
		if err != nil {
			t.Fatal(err)
		}
		best := int32(0)
		for i, v := range l {
			if v > l[best] {
				best = int32(i)
			}
		}
		out = append(out, best)
		pos, ids = pos+len(ids), []int32{best}
	}
	return out
}

// TestAbortMidway lets a pass run and stops it after a while: within one step,
// and with the sequence as it was before.
func TestAbortMidway(t *testing.T) {
	r := open(t, modeltest.Tiny(t, "tiny", shape.Q4_0), llama.Options{Cells: 8192, Batch: 4096, Chunk: 512, Sequences: 2, Threads: 2})
	batch := make([]engine.Token, 4096)
	for i := range batch {
		batch[i] = engine.Token{ID: int32(i % 200), Pos: int32(i), Seqs: []int32{0}, Logits: i == len(batch)-1}
	}
	want := answer(t, r, 1, "before", 3)
	var asked atomic.Int32
	r.SetAbort(func() bool { return asked.Add(1) > 5 })
	if err := r.Decode(batch); !errors.Is(err, engine.ErrAborted) {
		t.Fatalf("Decode: %v, want ErrAborted", err)
	}
	if n := asked.Load(); n > 8 {
		t.Errorf("asked %d times: went on after the first yes", n)
	}
	r.SetAbort(nil)
	if _, err := r.Logits(len(batch) - 1); err == nil {
		t.Error("an aborted pass has logits")
	}
	if got := answer(t, r, 0, "before", 3); !slices.Equal(got, want) {
		t.Errorf("after the abort: %v, want %v", got, want)
	}
}

func TestStatesOfOthers(t *testing.T) {
	path := modeltest.Tiny(t, "tiny", shape.Q4_0)
	r := open(t, path, small)
	answer(t, r, 0, "The pump is hot.", 4)
	state, err := r.SaveSeq(0)
	if err != nil {
		t.Fatal(err)
	}
	m, err := synth.New("tiny", shape.Q4_0, nil)
	if err != nil {
		t.Fatal(err)
	}
	m.Seed++
	sibling := filepath.Join(t.TempDir(), "sibling.gguf")
	if err := m.Create(t.Context(), sibling); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, sibling, small).LoadSeq(0, state); !errors.Is(err, llama.ErrState) {
		t.Errorf("state of a model with other weights: %v, want ErrState", err)
	}
	for i := range state {
		if i > 64 && i < len(state)-64 && i%977 != 0 {
			continue
		}
		bad := slices.Clone(state)
		bad[i] ^= 0x10
		if _, err := r.LoadSeq(1, bad); !errors.Is(err, llama.ErrState) {
			t.Fatalf("byte %d of %d changed: %v, want ErrState", i, len(state), err)
		}
	}
	if _, err := r.LoadSeq(0, state); err == nil {
		t.Error("a sequence in use was overwritten")
	}
	if _, err := r.SaveSeq(3); err == nil {
		t.Error("an empty sequence was saved")
	}
	again := open(t, path, small) // another context of the same model
	if n, err := again.LoadSeq(3, state); err != nil || n == 0 {
		t.Errorf("after a restart: %d tokens, %v", n, err)
	}
}

func TestStateWithoutRoom(t *testing.T) {
	r := open(t, modeltest.Tiny(t, "tiny", shape.Q4_0), small)
	answer(t, r, 0, strings.Repeat("hot pump ", 10), 60)
	state, err := r.SaveSeq(0)
	if err != nil {
		t.Fatal(err)
	}
	loaded := 0
	for seq := int32(1); seq < 4 && err == nil; seq++ {
		if _, err = r.LoadSeq(seq, state); err == nil {
			loaded++
		}
	}
	if !errors.Is(err, engine.ErrNoCells) || loaded == 0 {
		t.Errorf("%d loads, then %v; want some, then ErrNoCells", loaded, err)
	}
}

func TestLoadCancelled(t *testing.T) {
	path := modeltest.Tiny(t, "tiny", shape.F16)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the plant is closing")
	r, err := llama.Open(ctx, path, llama.Options{Progress: func(float64) { cancel(cause) }})
	skipWithoutCgo(t, err)
	if err == nil {
		r.Close()
	}
	if !errors.Is(err, cause) {
		t.Errorf("Open: %v, want %v", err, cause)
	}
}

func TestProgress(t *testing.T) {
	o := small
	var parts []float64
	o.Progress = func(p float64) { parts = append(parts, p) }
	open(t, modeltest.Tiny(t, "tiny", shape.Q8_0), o)
	if len(parts) < 2 || !slices.IsSorted(parts) || parts[len(parts)-1] != 1 {
		t.Errorf("progress %v: want it to rise to 1", parts)
	}
}

func TestClosedRuntime(t *testing.T) {
	r := open(t, modeltest.Tiny(t, "tiny", shape.Q4_0), small)
	r.Close()
	if err := r.Decode([]engine.Token{{Seqs: []int32{0}}}); err == nil {
		t.Error("a closed runtime decoded")
	}
	if err := r.RemoveSeq(-1, 0, -1); err == nil {
		t.Error("a closed runtime emptied its cache")
	}
	if _, err := r.SaveSeq(0); err == nil {
		t.Error("a closed runtime saved")
	}
}

func TestOptions(t *testing.T) {
	path := modeltest.Tiny(t, "tiny", shape.Q4_0)
	for name, o := range map[string]llama.Options{
		"sequences": {Sequences: 257}, "negative batch": {Batch: -1}, "threads": {Threads: 1000}, "cells": {Cells: 1 << 30},
	} {
		r, err := llama.Open(t.Context(), path, o)
		skipWithoutCgo(t, err)
		if err == nil {
			r.Close()
			t.Errorf("%s: opened", name)
		}
	}
}
