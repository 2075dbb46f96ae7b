package daemon

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lineside/inference"
	"lineside/mqtt"
)

// mortal is an engine that some asks kill. While it is dead, asks and looks fail as they
// do at a socket whose process is ending.
type mortal struct {
	*engine
	mu   sync.Mutex
	life int // a new number after each death
	lost int // asks that were sent to it while it was dead
	back time.Time
	seen time.Duration // from its end to when the ask that killed it hears of it
	slow time.Duration // how long its report on itself is under way
	look func()        // asks for one, as an ask that kills begins
}

const (
	dying = 40 * time.Millisecond  // from the start of an ask that kills to the end of the engine
	death = 700 * time.Millisecond // until it is started again
)

// miss counts an ask that found it dead.
func (m *mortal) miss() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lost++
}

// alive is which life this is, or why it is none.
func (m *mortal) alive() (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Now().Before(m.back) {
		return 0, fmt.Errorf("%w: connection reset by peer", inference.ErrUnavailable)
	}
	return m.life, nil
}

func (m *mortal) kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.life, m.back = m.life+1, time.Now().Add(death)
}

func (m *mortal) Health(ctx context.Context) (*inference.Health, error) {
	if _, err := m.alive(); err != nil {
		return nil, err
	}
	time.Sleep(m.slow)
	return m.engine.Health(ctx)
}

func (m *mortal) Generate(ctx context.Context, r *inference.Request, emit func(string) error) (*inference.Result, error) {
	born, err := m.alive()
	if err != nil {
		m.miss()
		return nil, err
	}
	if r.Messages[len(r.Messages)-1].Content == "poison" {
		m.look()
		time.Sleep(dying)
		m.kill()
		time.Sleep(m.seen)
	} else {
		time.Sleep(2 * dying)
	}
	if life, err := m.alive(); err != nil || life != born {
		return nil, unavailable()
	}
	return m.engine.Generate(ctx, r, emit)
}

// TestPoisonTakesNoOther: an ask that kills the engine each time is answered 33, and what
// ran beside it, or would have run next, is not sent to the engine that is ending.
func TestPoisonTakesNoOther(t *testing.T) {
	poison := `{"id":"poison","prompt":"poison"}`
	for _, tt := range []struct {
		name string
		seen time.Duration // the ask that failed last is tried again first
		slow time.Duration
	}{
		{"the other goes first", 0, 0},
		{"poison goes first", 2 * dying, 0},
		{"a report is older than the end", 2 * dying, 5 * dying},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var m *mortal
				h := open(t, func(o *Options) {
					m = &mortal{engine: o.Engine.(*engine), seen: tt.seen, slow: tt.slow}
					o.Engine = m
				})
				m.look = func() { nudge(h.look) }
				after(time.Second)
				for _, ask := range []string{poison, prompt("a"), prompt("b")} {
					h.send(topics.AskText("plc"), ask)
				}
				after(10 * time.Second)
				if a := h.one("plc", "poison"); a.Code != mqtt.Fault {
					t.Errorf("poison: %+v", a)
				}
				for _, id := range []string{"a", "b"} {
					if a := h.one("plc", id); a.Code != mqtt.OK {
						t.Errorf("%s: code %d %s", id, a.Code, a.Text)
					}
				}
				if m.life != crashes || m.lost != 0 {
					t.Errorf("the engine died %d times, want %d; %d asks went to a dead one", m.life, crashes, m.lost)
				}
				h.stop()
			})
		})
	}
}
