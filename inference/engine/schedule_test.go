package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lineside/inference"
	"lineside/inference/engine"
	"lineside/inference/engine/enginetest"
)

// long is a prompt text of about n tokens that has nothing in common with others.
func long(seed string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%s%d ", seed, i)
		if b.Len() > 3*n {
			break
		}
	}
	return b.String()
}

// perToken makes a pass as long as it has tokens.
func perToken(d time.Duration) func([]engine.Token) time.Duration {
	return func(batch []engine.Token) time.Duration { return d * time.Duration(len(batch)) }
}

// passes remembers the batches that were computed.
type passes struct {
	mu  sync.Mutex
	all [][]engine.Token
}

func (p *passes) add(b []engine.Token) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, slices.Clone(b))
}

// take returns them once.
func (p *passes) take() [][]engine.Token {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.all
	p.all = nil
	return all
}

// asks is how many sequences the last pass served.
func (p *passes) asks() int {
	all := p.take()
	seqs := map[int32]bool{}
	for _, tok := range all[len(all)-1] {
		seqs[tok.Seqs[0]] = true
	}
	return len(seqs)
}

// finished names asks in the order in which they end.
type finished struct {
	sync.Mutex
	sync.WaitGroup
	names []string
}

func (f *finished) ask(t *testing.T, h *house, name, client string, priority int) {
	f.Go(func() {
		r := text("", name)
		r.Client, r.Priority, r.MaxTokens = client, priority, 5
		if _, err := h.Generate(t.Context(), r, nil); err != nil {
			t.Errorf("ask %s: %v", name, err)
		}
		f.Lock()
		f.names = append(f.names, name)
		f.Unlock()
	})
	synctest.Wait() // it is in the queue
}

func TestOrderOfService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, enginetest.Config{EndOneIn: -1, PassTime: every(time.Second)}, engine.Options{Slots: 1})
		var f finished
		f.ask(t, h, "first", "a", 0) // takes the slot
		for i := range 4 {
			f.ask(t, h, fmt.Sprint("a", i), "a", 0)
		}
		f.ask(t, h, "b0", "b", 0)
		f.ask(t, h, "alarm", "c", 10)
		f.Wait()
		if got := strings.Join(f.names, " "); got != "first alarm a0 b0 a1 a2 a3" {
			t.Errorf("served %s", got)
		}
		h.stop()
	})
}

// TestAlarmFindsASlot: all slots are taken by answers that never end, and an
// alarm is answered all the same.
func TestAlarmFindsASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, enginetest.Config{EndOneIn: -1, PassTime: every(time.Second)}, engine.Options{Slots: 2})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				r := text("", fmt.Sprint("go on ", i))
				r.MaxTokens = 500
				_, _ = h.Generate(ctx, r, nil)
			})
		}
		time.Sleep(2 * time.Second)
		alarm := text("", "fire")
		alarm.Priority, alarm.MaxTokens = 10, 5
		if res := h.ask(t, alarm); res.Timings.Total > 8*time.Second {
			t.Errorf("the alarm took %s", res.Timings.Total)
		}
		if s := h.Stats(); s.Waiting != 1 {
			t.Errorf("%d asks wait, want the third ordinary one", s.Waiting)
		}
		cancel()
		wg.Wait()
		h.stop()
	})
}

// TestGap holds passes to their stated size while an answer runs, and the
// answer to a token in every one of them, however long the prompts beside it.
func TestGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const chunk, span = 32, 8
		var log passes
		h := open(t, enginetest.Config{EndOneIn: -1, PassTime: every(time.Millisecond), OnPass: log.add},
			engine.Options{Chunk: chunk, Span: span})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			r := text("", "run on")
			r.MaxTokens = 1000
			if _, err := h.Generate(ctx, r, nil); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		time.Sleep(10 * time.Millisecond)
		log.take()
		seq := int32(-1)
		for i := range 3 {
			wg.Go(func() {
				r := text("", long(fmt.Sprint("p", i), 400))
				r.MaxTokens = 1
				if _, err := h.Generate(t.Context(), r, nil); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(50 * time.Millisecond)
		beside := log.take()
		cancel()
		wg.Wait()
		total := 0
		for i, b := range beside {
			if seq < 0 {
				seq = b[0].Seqs[0] // answers come first
			}
			if b[0].Seqs[0] != seq {
				t.Fatalf("pass %d has no token of the running answer", i)
			}
			if len(b) > chunk+4*span+16 {
				t.Errorf("pass %d has %d tokens", i, len(b))
			}
			total += len(b)
		}
		if total < 1000 {
			t.Errorf("only %d tokens in the passes: the prompts were not there", total)
		}
		h.stop()
	})
}

// TestCancelInPrefill: a pass that nobody waits for ends at once.
func TestCancelInPrefill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, enginetest.Config{PassTime: perToken(time.Millisecond)}, engine.Options{})
		want := h.ask(t, text("", "and then?")).Text
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		var res *inference.Result
		var err error
		done := make(chan struct{})
		go func() {
			res, err = h.Generate(ctx, text("", long("x", 900)), nil)
			close(done)
		}()
		time.Sleep(100 * time.Millisecond)
		cancel()
		<-done
		if took := time.Since(start); took > 120*time.Millisecond {
			t.Errorf("ended %s after the start, was cancelled after 100 ms", took)
		}
		if !errors.Is(err, context.Canceled) || res.Finish != inference.FinishCancelled {
			t.Errorf("%+v, %v", res, err)
		}
		if got := h.ask(t, text("", "and then?")).Text; got != want {
			t.Errorf("after an aborted pass %q, before %q", got, want)
		}
		h.stop()
	})
}

// TestCancelBesideOthers: a cancelled ask ends within one pass, its neighbours never notice.
func TestCancelBesideOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := enginetest.Config{EndOneIn: -1, PassTime: every(10 * time.Millisecond)}
		h := open(t, cfg, engine.Options{})
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				r := text("A common system text.", fmt.Sprint("ask ", i))
				r.MaxTokens = 30
				ctx, cancel := context.WithTimeout(t.Context(), 155*time.Millisecond)
				defer cancel()
				if i == 0 {
					start := time.Now()
					res, err := h.Generate(ctx, r, nil)
					if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took > 165*time.Millisecond {
						t.Errorf("after %s: %+v, %v", took, res, err)
					}
					return
				}
				got, err := h.Generate(t.Context(), r, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if want := alone(t, cfg, r); got.Text != want {
					t.Errorf("ask %d: %q, alone %q", i, got.Text, want)
				}
			})
		}
		wg.Wait()
		h.stop()
	})
}

// alone is the answer of an engine that does nothing else, and nothing clever.
func alone(t *testing.T, cfg enginetest.Config, r *inference.Request) string {
	t.Helper()
	cfg.PassTime, cfg.OnPass, cfg.Fault = nil, nil, nil
	h := open(t, cfg, engine.Options{Slots: 1, NoPrefixSharing: true, NoLookup: true})
	defer h.stop()
	return h.ask(t, r).Text
}

func TestBrokenEmit(t *testing.T) {
	h := open(t, enginetest.Config{EndOneIn: -1}, engine.Options{})
	gone := errors.New("the device went away")
	res, err := h.Generate(t.Context(), text("", "hello"), func(string) error { return gone })
	if !errors.Is(err, gone) {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, enginetest.Config{EndOneIn: -1, PassTime: every(100 * time.Millisecond)}, engine.Options{Slots: 1, NoJumpForward: true})
		in := func(d time.Duration, r *inference.Request) *inference.Request {
			r.Deadline, r.MaxTokens = time.Now().Add(d), 0
			return r
		}
		res := h.ask(t, in(time.Second, text("", "go on")))
		if res.Finish != inference.FinishDeadline || res.Text == "" || res.Timings.Total > 1200*time.Millisecond {
			t.Errorf("free text: %+v", res)
		}
		res = h.ask(t, in(time.Second, schema(text("", "what now?"), plantSchema)))
		if res.Finish != inference.FinishDeadline || !json.Valid([]byte(res.Text)) || res.Timings.Total > 1200*time.Millisecond {
			t.Errorf("under a schema: %+v", res)
		}
		go func() {
			if _, err := h.Generate(t.Context(), in(2*time.Second, text("", "takes the slot")), nil); err != nil {
				t.Error(err)
			}
		}()
		time.Sleep(10 * time.Millisecond)
		res = h.ask(t, in(time.Second, text("", "waits")))
		if res.Finish != inference.FinishDeadline || res.Text != "" || res.Timings.Total > 1200*time.Millisecond {
			t.Errorf("in the queue: %+v", res)
		}
		if _, err := h.Generate(t.Context(), in(500*time.Millisecond, schema(text("", "waits"), plantSchema)), nil); !errors.Is(err, inference.ErrSchema) {
			t.Errorf("in the queue, under a schema: %v, want ErrSchema", err)
		}
		time.Sleep(3 * time.Second)
		h.stop()
	})
}
