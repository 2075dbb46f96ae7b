package swap_test

import (
	"cmp"
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lineside/daemon/swap"
	"lineside/inference"
	"lineside/inference/model/store"
)

// unit is a service manager with one engine: it starts what the link leads to two seconds
// after an engine has ended. The engine of "bad" ends in mid-load, again and again, that of "gone" before it listens.
type unit struct {
	fake
	dir     string
	watches bool // another unit starts the engine anew when the link changes
	exits   int
}

// Health starts the engine when it is time, as nothing else happens in between.
func (u *unit) Health(context.Context) (*inference.Health, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.watches && u.name != "" && u.name != u.w.leads() {
		u.name, u.since = "", time.Now()
	}
	age := time.Since(u.since)
	if l := u.w.leads(); u.name == "" && l != "gone" && age > 2*time.Second {
		u.name = l
	}
	h := &inference.Health{State: "ok", Model: u.name, File: filepath.Join(u.dir, u.name)}
	switch {
	case u.name == "":
		return nil, inference.ErrUnavailable
	case age < 3*time.Second:
		h.State = "loading"
	case u.name == "bad":
		u.name, u.since = "", time.Now()
		return nil, inference.ErrUnavailable
	}
	return h, nil
}

// leads is the model that the store's link leads to.
func (w *world) leads() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return cmp.Or(w.lead, w.active)
}

func (u *unit) Exit(context.Context) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.name, u.since = "", time.Now()
	u.exits++
	return nil
}

func (u *unit) Generate(context.Context, *inference.Request, func(string) error) (*inference.Result, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.name == "" {
		return nil, inference.ErrUnavailable
	}
	return &inference.Result{Model: u.name, Usage: inference.Usage{Completion: 1}}, nil
}

// TestUnit changes the model of an engine that the service manager runs.
func TestUnit(t *testing.T) {
	dir := shelf(t)
	for _, tt := range []struct {
		name, from, to, runs, why string
		watches                   bool
	}{
		{"changed", "old", "new", "new", "", false},
		{"changed by a unit that watches", "old", "new", "new", "", true},
		{"the first", "", "new", "new", "", false},
		{"does not load", "old", "bad", "old", "ended while it loaded bad", false},
		{"does not load, watched", "old", "bad", "old", "ended while it loaded bad", true},
		{"never comes", "old", "gone", "old", "has not come back", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, log := &world{active: tt.from, at: dir}, slog.New(slog.DiscardHandler)
				u := &unit{dir: dir, watches: tt.watches, fake: fake{w: w, name: "new"}} // whatever runs at first
				s, err := swap.New(swap.Options{Models: w, First: w.item(tt.from), Room: w.room, Log: log, Changed: w.note,
					Start: func(i store.Item, _ int) (swap.Engine, swap.Process) { v := swap.NewUnit(u, i, log); return v, v }})
				if err != nil {
					t.Fatal(err)
				}
				run(t, w, s)
				time.Sleep(10 * time.Second)
				if h, err := s.Health(t.Context()); tt.from != "" && (err != nil || h.State != "ok" || u.name != tt.from) {
					t.Fatalf("the engine of %s does not come: %+v %v", tt.from, h, err)
				}
				propose(t, s, tt.to)
				time.Sleep(1500 * time.Millisecond)
				models, longest := asks(t, s, 1)
				t.Logf("an ask waited %s", longest)
				synctest.Wait() // until the change is told of
				c := w.last()
				if models[0] != tt.runs || s.Running().ID != tt.runs || w.active != tt.runs || w.lead != "" || c.To != tt.to {
					t.Errorf("%v answers, %s is active, the link leads to %q, last change %+v", models, w.active, w.lead, c)
				}
				if (c.Phase == swap.Done) != (tt.why == "") || !strings.Contains(c.Why, tt.why) || c.Gap == 0 {
					t.Errorf("last change: %+v", c)
				}
				if longest > 50*time.Second || tt.watches && u.exits > 0 {
					t.Errorf("an ask waited %s; the engine was asked to end %d times", longest, u.exits)
				}
			})
		})
	}
}
