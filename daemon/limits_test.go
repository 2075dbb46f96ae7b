package daemon

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lineside/inference"
)

// onSensor is a daemon with 4 threads and 4 slots on a board with that sensor.
func onSensor(t *testing.T, s *sensor, change func(*Options)) *house {
	return open(t, func(o *Options) {
		o.Sensor = s
		o.Config.Engine.Threads, o.Config.Engine.Slots = 4, 4
		if change != nil {
			change(o)
		}
	})
}

var fullLimits = inference.Limits{DecodeThreads: 4, PrefillThreads: 4, PacePercent: 100, Batch: 128, Slots: 4, PrefixBytes: math.MaxInt64}

// TestLimits: what the governor decides reaches the engine, all of it, and is taken
// back when the board has cooled down.
func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sensor{temp: 50}
		h := onSensor(t, s, nil)
		after(5 * time.Second)
		if l, _ := h.engine.limited(); l != fullLimits {
			t.Errorf("at the start: %+v", l)
		}
		s.set(78.6) // above the guarded 78, below refusing
		after(2 * time.Minute)
		if l, _ := h.engine.limited(); l.DecodeThreads != 1 || l.PrefillThreads != 1 || l.PacePercent != 25 || l.Batch != 16 || l.Slots != 1 {
			t.Errorf("just above the guarded temperature: %+v", l)
		}
		s.set(50)
		after(10 * time.Minute)
		l, n := h.engine.limited()
		if l != fullLimits {
			t.Errorf("cooled down: %+v", l)
		}
		after(10 * time.Minute)
		if _, again := h.engine.limited(); again != n {
			t.Errorf("told %d times more although nothing changed", again-n)
		}
		h.stop()
	})
}

// TestLimitsOfANewEngine: one that was started anew knows none, and one that did not
// take them is told again.
func TestLimitsOfANewEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := onSensor(t, &sensor{temp: 50}, nil)
		after(5 * time.Second)
		_, before := h.engine.limited()
		h.engine.set(inference.Health{}, inference.ErrUnavailable)
		after(5 * time.Second)
		h.engine.mu.Lock()
		h.engine.deaf = true
		h.engine.mu.Unlock()
		h.engine.set(inference.Health{State: "ok", Model: "scripted"}, nil)
		after(10 * time.Second)
		h.engine.mu.Lock()
		h.engine.deaf = false
		h.engine.mu.Unlock()
		after(3 * time.Second)
		if l, n := h.engine.limited(); l != fullLimits || n != before+1 {
			t.Errorf("told %d times: %+v", n-before, l)
		}
		h.stop()
	})
}

// TestMemoryTakesTheCacheFirst, before anything is refused.
func TestMemoryTakesTheCacheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sensor{temp: 50}
		h := onSensor(t, s, nil)
		after(5 * time.Second)
		s.mu.Lock()
		s.free = 480e6 // below twice the reserve of 250 MB
		s.mu.Unlock()
		after(time.Minute)
		h.mu.Lock()
		admit := h.board.Climate.Admit
		h.mu.Unlock()
		if l, _ := h.engine.limited(); l.PrefixBytes != 1 || l.DecodeThreads != 4 || !admit {
			t.Errorf("admits: %v, with %+v", admit, l)
		}
		s.mu.Lock()
		s.free = 4e9
		s.mu.Unlock()
		after(20 * time.Second)
		if l, _ := h.engine.limited(); l != fullLimits {
			t.Errorf("with memory again: %+v", l)
		}
		h.stop()
	})
}

// sizes is a board with a smaller model.
type sizes struct {
	mu    sync.Mutex
	none  bool
	fail  error
	calls []string
}

func (s *sizes) HasSmaller() bool { return !s.none }

func (s *sizes) use(what string) error {
	time.Sleep(20 * time.Second) // it takes a while
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, what)
	return s.fail
}

func (s *sizes) UseSmaller(context.Context) error { return s.use("smaller") }
func (s *sizes) UseMain(context.Context) error    { return s.use("main") }

func (s *sizes) said() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// TestSmallerModel: where the owner has set one, it answers before asks are refused, and
// the main one comes back when the board has cooled down.
func TestSmallerModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, z := &sensor{temp: 50}, &sizes{}
		h := onSensor(t, s, func(o *Options) { o.Sizes = z })
		after(time.Minute)
		if got := z.said(); len(got) != 0 {
			t.Fatalf("changed without need: %v", got)
		}
		s.set(78.6)
		after(2 * time.Minute)
		if got := z.said(); len(got) != 1 || got[0] != "smaller" {
			t.Fatalf("hot: %v", got)
		}
		s.set(50)
		after(4 * time.Minute)
		if got := z.said(); len(got) != 1 {
			t.Errorf("back too soon: %v", got)
		}
		after(5 * time.Minute)
		if got := z.said(); len(got) != 2 || got[1] != "main" {
			t.Errorf("cooled down: %v", got)
		}
		h.stop()
	})
}

// TestSmallerModelFails: it is tried again after a while, and the board goes on.
func TestSmallerModelFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, z := &sensor{temp: 78.6}, &sizes{fail: errors.New("it does not load")}
		h := onSensor(t, s, func(o *Options) { o.Sizes = z })
		after(4 * time.Minute)
		if got := z.said(); len(got) != 1 {
			t.Fatalf("tried %v", got)
		}
		z.mu.Lock()
		z.fail = nil
		z.mu.Unlock()
		after(5 * time.Minute)
		if got := z.said(); len(got) != 2 || got[1] != "smaller" {
			t.Errorf("tried %v", got)
		}
		h.stop()
	})
}

// TestNoSmallerModel: the rung is left out.
func TestNoSmallerModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &sizes{none: true}
		h := onSensor(t, &sensor{temp: 78.6}, func(o *Options) { o.Sizes = z })
		after(10 * time.Minute)
		if got := z.said(); len(got) != 0 {
			t.Errorf("changed to a model that is not there: %v", got)
		}
		h.stop()
	})
}
