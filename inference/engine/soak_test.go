package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lineside/inference"
	"lineside/inference/engine"
	"lineside/inference/engine/enginetest"
)

// TestSoak sends thousands of asks of every kind from many clients at once,
// cancelled, cut, refused, failed, and then counts what is left.
func TestSoak(t *testing.T) {
	asks := 10_000
	if testing.Short() {
		asks = 1500
	}
	goroutines := runtime.NumGoroutine()
	var passes atomic.Uint64
	var calm atomic.Bool // no faults any more
	cfg := enginetest.Config{Cells: 1200, Sequences: 12, Fault: func(b []engine.Token) error {
		if passes.Add(1)%997 == 0 && !calm.Load() {
			return errors.New("cosmic ray")
		}
		return nil
	}}
	h := open(t, cfg, engine.Options{Slots: 6, Queue: 20, PrefixCells: 300})
	var wg sync.WaitGroup
	const clients = 24
	for c := range clients {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(c), 9))
			for range asks / clients {
				random(t, h, rng, c)
			}
		})
	}
	wg.Wait()
	calm.Store(true)
	for i := range 3 { // idle: everything in use belongs to the tree
		h.ask(t, text("", fmt.Sprint("last ", i)))
	}
	s := h.idle(t)
	if s.CellsUsed != h.fake.Used() || s.PrefixTokens != s.CellsUsed || s.Running != 0 || s.Waiting != 0 {
		t.Errorf("%d cells by the books, %d in truth, %d tokens in the tree, %d running, %d waiting", s.CellsUsed, h.fake.Used(), s.PrefixTokens, s.Running, s.Waiting)
	}
	for _, end := range []inference.Finish{inference.FinishStop, inference.FinishLength, inference.FinishCancelled, inference.FinishDeadline} {
		if s.Answered[end] == 0 {
			t.Errorf("no ask ended with %q: %v", end, s.Answered)
		}
	}
	h.stop()
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > goroutines; runtime.Gosched() {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<16)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), goroutines, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// random makes one ask of any kind and checks that its end is a legal one.
func random(t *testing.T, h *house, rng *rand.Rand, client int) {
	r := text(long(fmt.Sprint("manual", rng.IntN(4)), rng.IntN(90)), fmt.Sprint("ask ", rng.IntN(1000)))
	r.Client, r.Priority, r.MaxTokens = fmt.Sprint(client), rng.IntN(3)*5, 1+rng.IntN(60)
	r.Pin = rng.IntN(20) == 0
	r.Deterministic = rng.IntN(40) == 0
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	emit := func(string) error { return nil }
	doc := ""
	switch rng.IntN(10) {
	case 0:
		cancel()
	case 1:
		time.AfterFunc(time.Duration(rng.IntN(20))*time.Millisecond, cancel)
	case 2:
		r.Deadline = time.Now().Add(time.Duration(rng.IntN(30)) * time.Millisecond)
	case 3:
		n := rng.IntN(4)
		emit = func(string) error {
			if n--; n < 0 {
				return errors.New("gone")
			}
			return nil
		}
	case 4:
		r.MaxTokens = 0
	case 5:
		r.Messages[len(r.Messages)-1].Content = long("huge", 2000)
	case 6:
		r.Sampling = inference.Sampling{Temperature: 1, TopP: .9, Seed: uint64(client)}
	case 7:
		r.Stop = []string{"e", "\n"}
	}
	if rng.IntN(2) == 0 {
		doc = randomSchema(rng, 2)
		schema(r, doc)
	}
	if rng.IntN(50) == 0 {
		r = &inference.Request{Messages: []inference.Message{{Role: "robot"}}}
	}
	res, err := h.Generate(ctx, r, emit)
	switch {
	case err == nil && doc != "":
		validate(t, doc, res.Text)
	case err == nil:
	case errors.Is(err, inference.ErrBadRequest), errors.Is(err, inference.ErrTooLong), errors.Is(err, inference.ErrSchema),
		errors.Is(err, inference.ErrBusy), errors.Is(err, inference.ErrUnavailable), errors.Is(err, context.Canceled), err.Error() == "hand out the answer: gone":
	default:
		t.Errorf("ask ended with %v", err)
	}
}
