package engine_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lineside/inference"
	"lineside/inference/engine"
	"lineside/inference/engine/enginetest"
)

// together asks all at once and returns the answers in the order of the asks.
func (h *house) together(t *testing.T, asks ...*inference.Request) []*inference.Result {
	t.Helper()
	all := make([]*inference.Result, len(asks))
	var wg sync.WaitGroup
	for i, r := range asks {
		wg.Go(func() {
			res, err := h.Generate(t.Context(), r, nil)
			if err != nil {
				t.Errorf("ask %d: %v", i, err)
			}
			all[i] = res
		})
	}
	wg.Wait()
	return all
}

// TestOneComputesForAll: of many asks with the same new prefix, one computes it.
func TestOneComputesForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := enginetest.Config{PassTime: perToken(time.Millisecond)}
		h := open(t, cfg, engine.Options{})
		manual := long("manual", 600)
		var asks []*inference.Request
		prompts := 0
		for i := range 8 {
			asks = append(asks, text(manual, fmt.Sprint(i, " what now?")))
		}
		cached := 0
		for i, res := range h.together(t, asks...) {
			prompts += res.Usage.Prompt
			cached += res.Usage.Cached
			if want := alone(t, cfg, asks[i]); res.Text != want {
				t.Errorf("ask %d: %q, alone %q", i, res.Text, want)
			}
		}
		done := int(h.Stats().PrefillTokens)
		if one := prompts / 8; done > one+8*40 {
			t.Errorf("%d prompt tokens computed for 8 asks of %d with all but a few in common", done, one)
		}
		if done+cached != prompts {
			t.Errorf("%d computed and %d cached of %d", done, cached, prompts)
		}
		h.stop()
	})
}

// TestLeaderGoes: when the ask that computes a common prefix is cancelled, the next takes over.
func TestLeaderGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := enginetest.Config{PassTime: perToken(time.Millisecond), Batch: 64}
		h := open(t, cfg, engine.Options{})
		manual := long("manual", 600)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _, _ = h.Generate(ctx, text(manual, "leader"), nil) }()
		time.Sleep(time.Millisecond)
		time.AfterFunc(200*time.Millisecond, cancel)
		var asks []*inference.Request
		for i := range 4 {
			asks = append(asks, text(manual, fmt.Sprint(i, " follows")))
		}
		prompts := 0
		for i, res := range h.together(t, asks...) {
			prompts += res.Usage.Prompt
			if want := alone(t, cfg, asks[i]); res.Text != want {
				t.Errorf("ask %d: %q, alone %q", i, res.Text, want)
			}
		}
		if done := int(h.Stats().PrefillTokens); done > prompts/4+5*40+64 {
			t.Errorf("%d prompt tokens computed, one prompt has %d", done, prompts/4)
		}
		h.stop()
	})
}

// TestSharedWhileRunning: a prefix is of use while the answer behind it still grows.
func TestSharedWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, enginetest.Config{EndOneIn: -1, PassTime: every(time.Millisecond)}, engine.Options{})
		manual := long("manual", 300)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			r := text(manual, "runs on")
			r.MaxTokens = 2000
			_, _ = h.Generate(ctx, r, nil)
		}()
		time.Sleep(50 * time.Millisecond)
		res := h.ask(t, text(manual, "second"))
		if res.Usage.Cached < res.Usage.Prompt*9/10 {
			t.Errorf("%d of %d tokens cached", res.Usage.Cached, res.Usage.Prompt)
		}
		cancel()
		<-done
		h.stop()
	})
}

// TestCacheUnderPressure: whatever is evicted, answers stay those of an engine without a cache.
func TestCacheUnderPressure(t *testing.T) {
	cfg := enginetest.Config{Cells: 700, Sequences: 6}
	h := open(t, cfg, engine.Options{Slots: 3, PrefixCells: 400})
	plain := open(t, cfg, engine.Options{Slots: 1, NoPrefixSharing: true, NoLookup: true})
	cached := 0
	for round := range 40 {
		var asks []*inference.Request
		for i := range 3 {
			asks = append(asks, text(long(fmt.Sprint("m", (round+i*i)%5), 60), fmt.Sprint("question ", round%7, i)))
		}
		for i, res := range h.together(t, asks...) {
			cached += res.Usage.Cached
			if want := plain.ask(t, asks[i]); res.Text != want.Text || want.Usage.Cached != 0 {
				t.Fatalf("round %d, ask %d: %q, without a cache %q", round, i, res.Text, want.Text)
			}
		}
	}
	if cached == 0 {
		t.Error("nothing was ever cached")
	}
	if s := h.Stats(); s.PrefixTokens > 400 {
		t.Errorf("%d tokens kept, 400 were allowed", s.PrefixTokens)
	}
}

func TestPin(t *testing.T) {
	h := open(t, enginetest.Config{Cells: 1500}, engine.Options{PrefixCells: 200})
	skill := []inference.Message{{Role: inference.RoleSystem, Content: long("skill", 120)}}
	if err := h.Pin(t.Context(), skill); err != nil {
		t.Fatal(err)
	}
	pinned := h.Stats().PinnedTokens
	if pinned < 100 || h.Stats().PrefillTokens == 0 {
		t.Errorf("stats %+v", h.Stats())
	}
	for i := range 20 {
		h.ask(t, text(long(fmt.Sprint("other", i), 200), "presses"))
	}
	if err := h.Pin(t.Context(), skill); err != nil { // again: nothing to do
		t.Fatal(err)
	}
	if n := h.Stats().PinnedTokens; n != pinned {
		t.Errorf("%d tokens pinned, were %d", n, pinned)
	}
	if res := h.ask(t, text(skill[0].Content, "new")); res.Usage.Cached < pinned {
		t.Errorf("%d tokens cached, %d are pinned", res.Usage.Cached, pinned)
	}
	if err := h.Unpin(skill); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		h.ask(t, text(long(fmt.Sprint("more", i), 200), "presses"))
	}
	if res := h.ask(t, text(skill[0].Content, "newer")); res.Usage.Cached > 10 || h.Stats().PinnedTokens != 0 {
		t.Errorf("%d tokens cached after unpin, %d pinned", res.Usage.Cached, h.Stats().PinnedTokens)
	}
}

func TestPinByRequest(t *testing.T) {
	h := open(t, enginetest.Config{Cells: 1500}, engine.Options{PrefixCells: 100})
	r := text(long("skill", 120), "first")
	r.Pin = true
	h.ask(t, r)
	for i := range 10 {
		h.ask(t, text(long(fmt.Sprint("other", i), 200), "presses"))
	}
	if res := h.ask(t, text(r.Messages[0].Content, "second")); res.Usage.Cached < res.Usage.Prompt*8/10 {
		t.Errorf("%d of %d tokens cached", res.Usage.Cached, res.Usage.Prompt)
	}
}

func TestPinTooMuch(t *testing.T) {
	h := open(t, enginetest.Config{Cells: 400}, engine.Options{})
	skill := func(i int) []inference.Message {
		return []inference.Message{{Role: inference.RoleSystem, Content: long(fmt.Sprint("skill", i), 50)}}
	}
	if err := h.Pin(t.Context(), skill(1)); err != nil {
		t.Fatal(err)
	}
	if err := h.Pin(t.Context(), skill(2)); err == nil || !strings.Contains(err.Error(), "pinned") {
		t.Errorf("second pin: %v", err)
	}
	if err := h.Pin(t.Context(), []inference.Message{{Role: inference.RoleSystem, Content: long("x", 900)}}); err == nil {
		t.Error("a prefix larger than the cache was pinned")
	}
	h.ask(t, text("", "still answers"))
}

// TestDeterministic: with jitter as real hardware has it, answers under load
// differ from those alone, except for asks that want the same bytes.
func TestDeterministic(t *testing.T) {
	cfg := enginetest.Config{Jitter: 3, Order: 4}
	h := open(t, cfg, engine.Options{})
	skill := []inference.Message{{Role: inference.RoleSystem, Content: long("skill", 100)}}
	if err := h.Pin(t.Context(), skill); err != nil {
		t.Fatal(err)
	}
	exact := func(i int) *inference.Request {
		r := text(skill[0].Content, fmt.Sprint("exact ", i%3))
		r.Deterministic = true
		if i%2 == 0 {
			schema(r, plantSchema).MaxTokens = 90
		}
		return r
	}
	var want []string
	for i := range 6 {
		want = append(want, h.ask(t, exact(i)).Text)
	}
	moved := false
	free := h.ask(t, text(skill[0].Content, "free 0")).Text
	for round := range 10 {
		var asks []*inference.Request
		for i := range 6 {
			asks = append(asks, exact(i), text(skill[0].Content, fmt.Sprint("free ", i)), text(long(fmt.Sprint(round, i), 80), "noise"))
		}
		for i, res := range h.together(t, asks...) {
			if i%3 == 0 && res.Text != want[i/3] {
				t.Fatalf("round %d: %q under load, %q alone", round, res.Text, want[i/3])
			}
			if i == 1 && res.Text != free {
				moved = true
			}
		}
	}
	if !moved {
		t.Error("the jitter moved nothing: this test shows nothing")
	}
	if res := h.ask(t, text(skill[0].Content, "after")); res.Usage.Cached < 90 {
		t.Errorf("only %d tokens cached: the pinned prefix was lost", res.Usage.Cached)
	}
}
