package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lineside/inference"
	"lineside/inference/engine"
	"lineside/inference/engine/enginetest"
)

func TestLimitsWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log passes
		h := open(t, enginetest.Config{EndOneIn: -1, PassTime: every(10 * time.Millisecond), OnPass: log.add}, engine.Options{Slots: 4, DecodeThreads: 2, PrefillThreads: 4})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				r := text("", fmt.Sprint(i, " go on"))
				r.MaxTokens = 20
				_, _ = h.Generate(ctx, r, nil)
			})
		}
		time.Sleep(100 * time.Millisecond)
		if n := log.asks(); n != 4 {
			t.Errorf("%d asks in a pass, want 4", n)
		}
		if err := h.SetLimits(inference.Limits{Slots: 2, DecodeThreads: 1, PrefillThreads: 3}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond)
		if n := log.asks(); n != 2 {
			t.Errorf("%d asks in a pass, want 2", n)
		}
		if d, p := h.fake.Threads(); d != 1 || p != 3 {
			t.Errorf("threads %d and %d, want 1 and 3", d, p)
		}
		if err := h.SetLimits(inference.Limits{DecodeThreads: 64, PrefillThreads: 64}); err != nil {
			t.Fatal(err)
		}
		if d, p := h.fake.Threads(); d != 2 || p != 4 {
			t.Errorf("threads %d and %d, want the 2 and 4 that it was started with", d, p)
		}
		before, at := h.Stats().Passes, time.Now()
		if err := h.SetLimits(inference.Limits{PacePercent: 25}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(400 * time.Millisecond)
		if n := h.Stats().Passes - before; n < 9 || n > 12 {
			t.Errorf("%d passes of 10 ms in %s at a pace of 25%%", n, time.Since(at))
		}
		for _, bad := range []inference.Limits{{Slots: -1}, {PacePercent: 101}, {DecodeThreads: -2}} {
			if err := h.SetLimits(bad); !errors.Is(err, inference.ErrBadRequest) {
				t.Errorf("limits %+v: %v", bad, err)
			}
		}
		cancel()
		wg.Wait()
		h.stop()
	})
}

// TestPaceHoldsNobody: a rest between passes does not delay a cancel.
func TestPaceHoldsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, enginetest.Config{EndOneIn: -1, PassTime: every(100 * time.Millisecond)}, engine.Options{})
		if err := h.SetLimits(inference.Limits{PacePercent: 1}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := h.Generate(ctx, text("", "hello"), nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if took := time.Since(start); took > 1200*time.Millisecond {
			t.Errorf("cancelled after a second, ended after %s", took)
		}
		h.stop()
	})
}

// TestBatchLimit: smaller passes of prompt tokens, from the next one on, and the full ones again after.
func TestBatchLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log passes
		h := open(t, enginetest.Config{EndOneIn: -1, PassTime: every(10 * time.Millisecond), OnPass: log.add}, engine.Options{Chunk: 64})
		largest := func(seed string) (n int) {
			h.ask(t, text("", long(seed, 600)))
			for _, p := range log.take() {
				n = max(n, len(p))
			}
			return n
		}
		for _, step := range []struct{ limit, want int }{{0, 128}, {16, 16}, {1, 16}, {1 << 20, 128}} {
			if err := h.SetLimits(inference.Limits{Batch: step.limit}); err != nil {
				t.Fatal(err)
			}
			if got := largest(fmt.Sprint("p", step.limit)); got > step.want || step.limit != 1 && got < step.want {
				t.Errorf("limit %d: largest pass has %d tokens, want %d", step.limit, got, step.want)
			}
		}
		h.stop()
	})
}

// TestPrefixBytes: the cache shrinks at once, also while nothing runs; pinned prefixes
// stay, and later asks keep to the new limit.
func TestPrefixBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, enginetest.Config{Cells: 2048}, engine.Options{PrefixCells: 1000})
		for i := range 4 {
			h.ask(t, text(long(fmt.Sprint("skill", i), 65), "what now?"))
		}
		if err := h.Pin(t.Context(), text(long("skill0", 65), "").Messages[:1]); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		before := h.Stats()
		if before.PrefixTokens < 500 || before.PinnedTokens < 150 {
			t.Fatalf("before: %+v", before)
		}
		if err := h.SetLimits(inference.Limits{PrefixBytes: 250 * enginetest.CellBytes}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		after := h.Stats()
		if n := after.PrefixTokens - after.PinnedTokens; n > 250 || n == 0 || after.PinnedTokens != before.PinnedTokens {
			t.Errorf("after: %d tokens kept, %d of them pinned, %d before", after.PrefixTokens, after.PinnedTokens, before.PinnedTokens)
		}
		if err := h.SetLimits(inference.Limits{PrefixBytes: 1}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s := h.Stats(); s.PrefixTokens != s.PinnedTokens || s.PinnedTokens != before.PinnedTokens || s.CellsUsed != h.fake.Used() {
			t.Errorf("%d tokens kept, %d of them pinned, %d before", s.PrefixTokens, s.PinnedTokens, before.PinnedTokens)
		}
		if n := h.fake.Released(); n != 1 {
			t.Errorf("memory was given back %d times, want once: when nothing but pinned prefixes was left", n)
		}
		h.ask(t, text(long("other", 65), "what now?"))
		synctest.Wait()
		if s := h.Stats(); s.PrefixTokens != s.PinnedTokens {
			t.Errorf("a later ask left %d tokens", s.PrefixTokens-s.PinnedTokens)
		}
		if err := h.SetLimits(inference.Limits{PrefixBytes: 1 << 40}); err != nil {
			t.Fatal(err)
		}
		h.ask(t, text(long("another", 65), "what now?"))
		synctest.Wait()
		if s := h.Stats(); s.PrefixTokens-s.PinnedTokens < 150 {
			t.Errorf("with the limit taken back, %d tokens are kept", s.PrefixTokens-s.PinnedTokens)
		}
		if l := h.Health().Limits; l.PrefixBytes != 1000*enginetest.CellBytes || l.PacePercent != 100 || l.Slots != 8 || l.Batch != 128 {
			t.Errorf("limits as they stand: %+v", l)
		}
		h.stop()
	})
}

// TestLimitsUnderLoad turns every dial while asks of all kinds run: each still gets its answer.
func TestLimitsUnderLoad(t *testing.T) {
	h := open(t, enginetest.Config{Cells: 1200, Sequences: 12}, engine.Options{Slots: 6, PrefixCells: 300})
	ctx, cancel := context.WithCancel(t.Context())
	turned := make(chan int)
	go func() {
		n := 0
		for rng := rand.New(rand.NewPCG(1, 2)); ctx.Err() == nil; n++ {
			l := inference.Limits{DecodeThreads: rng.IntN(4), PrefillThreads: rng.IntN(4), Slots: rng.IntN(8), PacePercent: 60 + rng.IntN(41),
				Batch: rng.IntN(200), PrefixBytes: rng.Int64N(400 * enginetest.CellBytes)}
			if err := h.SetLimits(l); err != nil {
				t.Error(err)
			}
			runtime.Gosched()
		}
		turned <- n
	}()
	var wg sync.WaitGroup
	for c := range 10 {
		wg.Go(func() {
			for i := range 20 {
				r := text(long(fmt.Sprint("skill", i%3), 80), fmt.Sprint(c, " asks ", i))
				r.MaxTokens = 80
				want := ""
				if i%2 == 0 {
					want = plantSchema
					schema(r, want)
				}
				res := h.ask(t, r)
				if want != "" {
					validate(t, want, res.Text)
				}
			}
		})
	}
	wg.Wait()
	cancel()
	if n := <-turned; n < 10 {
		t.Errorf("limits were turned only %d times", n)
	}
	if s := h.idle(t); s.CellsUsed != h.fake.Used() || s.CellsUsed != s.PrefixTokens {
		t.Errorf("%d cells by the books, %d in truth, %d tokens in the tree", s.CellsUsed, h.fake.Used(), s.PrefixTokens)
	}
}
