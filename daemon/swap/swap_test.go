package swap_test

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lineside/daemon/swap"
	"lineside/inference"
	"lineside/inference/model/bundle"
	"lineside/inference/model/licence"
	"lineside/inference/model/store"
)

// fake is an engine and its process: it loads for a second and answers after one.
type fake struct {
	w      *world
	name   string
	broken string // "load", "die", "mute" or "slow"
	limits inference.Limits
	mu     sync.Mutex
	since  time.Time // of its start; zero while it does not run
}

func (f *fake) Run(ctx context.Context) error {
	f.set(time.Now())
	<-ctx.Done()
	f.set(time.Time{})
	return nil
}

func (f *fake) set(t time.Time) {
	f.mu.Lock()
	f.since = t
	f.mu.Unlock()
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	if t.IsZero() {
		f.w.up--
	} else if f.w.up++; f.w.up > f.w.most {
		f.w.most = f.w.up
	}
}

func (f *fake) started() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.since
}

func (f *fake) Down() (string, time.Duration) {
	if f.broken == "die" && !f.started().IsZero() {
		return "killed", time.Second
	}
	return "", 0
}
func (f *fake) Restart(string) {}

func (f *fake) Health(context.Context) (*inference.Health, error) {
	switch since := f.started(); {
	case since.IsZero():
		return nil, inference.ErrUnavailable
	case f.broken == "load":
		return &inference.Health{State: "failed", Why: "truncated"}, nil
	case time.Since(since) < time.Second:
		return &inference.Health{State: "loading"}, nil
	}
	return &inference.Health{State: "ok", Model: f.name}, nil
}

func (f *fake) Generate(ctx context.Context, _ *inference.Request, _ func(string) error) (*inference.Result, error) {
	pause := time.Second
	if f.broken == "slow" {
		pause = time.Hour
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(pause):
	}
	if f.started().IsZero() {
		return nil, inference.ErrUnavailable
	}
	if f.broken == "mute" {
		return &inference.Result{}, nil
	}
	return &inference.Result{Model: f.name, Usage: inference.Usage{Completion: 1}}, nil
}

func (f *fake) SetLimits(_ context.Context, l inference.Limits) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limits = l
	return nil
}
func (f *fake) Pin(context.Context, []inference.Message) error { return nil }

// world is the store and everything that was started.
type world struct {
	mu       sync.Mutex
	proposed store.Item
	fallback store.Item
	active   string
	lead     string
	why      string
	up, most int // engines that run, and the most that ever did
	broken   string
	beside   bool
	purged   bool
	at       string // folder of the models
	made     []*fake
	changes  []swap.Change
}

func item(name string) store.Item { return (&world{}).item(name) }

func (w *world) item(name string) store.Item {
	return store.Item{ID: name, Path: filepath.Join(w.at, name), Manifest: bundle.Manifest{Name: name, Licence: licence.Apache20}}
}

func (w *world) Serve() (func(), error) { return func() {}, nil }

func (w *world) Propose(name string) (store.Item, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.proposed = w.item(name)
	return w.proposed, nil
}

func (w *world) Proposed() (store.Item, error) { return w.pointed(&w.proposed) }
func (w *world) Fallback() (store.Item, error) { return w.pointed(&w.fallback) }

func (w *world) pointed(i *store.Item) (store.Item, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i.ID == "" {
		return store.Item{}, store.ErrNoModel
	}
	return *i, nil
}

func (w *world) Gate(i store.Item) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken == "licence" && i.ID == "new" || w.purged {
		return licence.ErrRefused
	}
	return nil
}

func (w *world) Adapter(name string, base store.Item) (store.Item, error) {
	if base.ID != "old" {
		return store.Item{}, errors.New("made for other weights")
	}
	i := w.item(name)
	i.Manifest.Licence = map[string]licence.ID{"own": licence.Apache20, "meta": licence.Llama32}[name]
	return i, nil
}

func (w *world) Site() (licence.Site, error) { return licence.Site{}, nil }

func (w *world) Lead(id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lead = id
	return nil
}

func (w *world) Activate(name string) (store.Item, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken == "activate" {
		return store.Item{}, errors.New("the disk is full")
	}
	w.active, w.lead, w.proposed = name, "", store.Item{}
	return item(name), nil
}

func (w *world) Reject(_, why string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.why, w.lead, w.proposed = why, "", store.Item{}
	return nil
}

func (w *world) room(store.Item) (bool, error) {
	if w.broken == "memory" {
		return false, errors.New("it does not fit this board")
	}
	return w.beside, nil
}

func (w *world) note(c swap.Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changes = append(w.changes, c)
}

func (w *world) state() (active, why string, up, most int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.active, w.why, w.up, w.most
}

// last is the last step of a change.
func (w *world) last() swap.Change {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.changes) == 0 {
		return swap.Change{}
	}
	return w.changes[len(w.changes)-1]
}

// begin runs a swapper on the model "old"; "new" is broken as told.
func begin(t *testing.T, broken string, beside bool) (*world, *swap.Swapper) {
	t.Helper()
	w := &world{active: "old", broken: broken, beside: beside, at: shelf(t)}
	gated := w.broken
	w.broken = ""
	s, err := swap.New(swap.Options{
		Models: w, First: w.item("old"), Room: w.room, Log: slog.New(slog.DiscardHandler),
		Start: func(i store.Item, _ int) (swap.Engine, swap.Process) {
			f := &fake{w: w, name: i.ID}
			if i.ID == "new" {
				f.broken = broken
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			w.made = append(w.made, f)
			return f, f
		},
		Changed: w.note,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.broken = gated
	run(t, w, s)
	return w, s
}

// run runs the swapper until the test ends.
func run(t *testing.T, w *world, s *swap.Swapper) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
		if _, _, up, _ := w.state(); up != 0 {
			t.Errorf("%d engines run on after the end", up)
		}
	})
	time.Sleep(2100 * time.Millisecond) // virtual: the first model has loaded, and no look is due
}

func propose(t *testing.T, s *swap.Swapper, name string) {
	t.Helper()
	if err := s.Propose(name); err != nil {
		t.Fatal(err)
	}
}

// asks asks once a second and returns which models answered, and the longest wait.
func asks(t *testing.T, s *swap.Swapper, n int) (models []string, longest time.Duration) {
	t.Helper()
	for range n {
		start := time.Now()
		r, err := s.Generate(t.Context(), &inference.Request{}, nil)
		if err != nil {
			t.Fatalf("an ask failed: %v", err)
		}
		models = append(models, r.Model)
		longest = max(longest, time.Since(start))
	}
	return models, longest
}

func TestChange(t *testing.T) {
	for _, beside := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w, s := begin(t, "", beside)
			propose(t, s, "new")
			models, longest := asks(t, s, 20)
			if models[0] != "old" || models[19] != "new" {
				t.Errorf("beside %v: answered by %v", beside, models)
			}
			active, why, up, most := w.state()
			c := w.last()
			if active != "new" || why != "" || up != 1 || c.Phase != swap.Done || c.From != "old" || c.To != "new" || (c.Gap == 0) != beside {
				t.Errorf("beside %v: active %s, why %q, %d up, last change %+v", beside, active, why, up, c)
			}
			if beside && (most != 2 || longest > time.Second) {
				t.Errorf("beside: %d engines at most, an ask waited %s", most, longest)
			}
			if !beside && (most != 1 || longest > 6*time.Second) {
				t.Errorf("after: %d engines at most, an ask waited %s", most, longest)
			}
		})
	}
}

func TestFailedChangeKeepsTheOldModel(t *testing.T) {
	for _, broken := range []string{"load", "die", "mute", "slow", "activate", "licence", "memory"} {
		for _, beside := range []bool{true, false} {
			t.Run(broken, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w, s := begin(t, broken, beside)
					propose(t, s, "new")
					for range 120 { // longer than the warm-up's bound
						time.Sleep(time.Second)
					}
					models, _ := asks(t, s, 3)
					active, why, up, _ := w.state()
					if c := w.last(); active != "old" || why == "" || up != 1 || models[2] != "old" || w.lead != "" || c.Phase != swap.Refused || c.Why != why {
						t.Errorf("beside %v: active %s, why %q, %d up, answered by %v, lead %q, last change %+v", beside, active, why, up, models, w.lead, c)
					}
				})
			})
		}
	}
}

// TestChangeDoesNotCutAsks lets an ask that is under way end on the old engine.
func TestChangeDoesNotCutAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := begin(t, "", false)
		propose(t, s, "new")
		time.Sleep(500 * time.Millisecond)
		models, _ := asks(t, s, 1)
		if models[0] != "old" {
			t.Errorf("answered by %v", models)
		}
		time.Sleep(500 * time.Millisecond)
		if h, err := s.Health(t.Context()); err != nil || h.State != "ok" {
			t.Errorf("asks are not taken in while a change begins: %+v %v", h, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := s.Generate(ctx, &inference.Request{}, nil); !errors.Is(err, inference.ErrNotReady) {
			t.Errorf("an ask that cannot wait: %v", err)
		}
		asks(t, s, 1)
		if why, _ := s.Down(); why != "" {
			t.Errorf("after the change Down says %q", why)
		}
	})
}

// TestLongChangeRefusesNewAsks says after a while that no model is there, so that other
// boards of a pool are asked.
func TestLongChangeRefusesNewAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := begin(t, "slow", false)
		propose(t, s, "new")
		time.Sleep(15 * time.Second)
		if h, err := s.Health(t.Context()); err != nil || h.State != "loading" {
			t.Errorf("%+v %v", h, err)
		}
	})
}

// shelf is a folder with models' files.
func shelf(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"old", "new", "small", "bad", "gone"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestWithdrawn ends a model that was purged, or whose licence does not hold any more, and
// takes the next.
func TestWithdrawn(t *testing.T) {
	for _, how := range []string{"licence", "removed"} {
		for _, next := range []string{"", "load"} { // the next model is good, or does not load
			synctest.Test(t, func(t *testing.T) {
				w, s := begin(t, next, false)
				w.mu.Lock()
				w.purged = how == "licence"
				w.mu.Unlock()
				if how == "removed" {
					if err := os.Remove(filepath.Join(w.at, "old")); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(2 * time.Second)
				h, err := s.Health(t.Context())
				if _, _, up, _ := w.state(); up != 0 || err != nil || h.State != "failed" || s.Running().ID != "" || w.last().Phase != swap.Withdrawn {
					t.Errorf("%s: %d engines, %+v %v, %+v", how, up, h, err, w.last())
				}
				if _, err := s.Generate(t.Context(), &inference.Request{}, nil); !errors.Is(err, inference.ErrNotReady) {
					t.Errorf("%s: it still answers: %v", how, err)
				}
				w.mu.Lock()
				w.purged = false
				w.mu.Unlock()
				propose(t, s, "new")
				time.Sleep(10 * time.Second)
				if got := s.Running().ID; (got == "new") != (next == "") {
					t.Errorf("%s: afterwards %q runs", how, got)
				}
			})
		}
	}
}

// TestPermitAdapter asks the licence of an adapter too, and whether it belongs to the model.
func TestPermitAdapter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{active: "old", at: shelf(t)}
		first := w.item("old")
		first.Manifest.Licence = licence.Apache20
		s, err := swap.New(swap.Options{Models: w, First: first, Room: w.room, Log: slog.New(slog.DiscardHandler),
			Start: func(i store.Item, _ int) (swap.Engine, swap.Process) { f := &fake{w: w, name: i.ID}; return f, f }})
		if err != nil {
			t.Fatal(err)
		}
		run(t, w, s)
		if err := s.Permit(licence.Lookup, "own"); err != nil {
			t.Error(err)
		}
		if err := s.Permit(licence.Lookup, "meta"); !errors.Is(err, licence.ErrRefused) {
			t.Errorf("an adapter whose licence was not accepted: %v", err)
		}
		if err := s.Permit(licence.Safety, ""); !errors.Is(err, licence.ErrRefused) {
			t.Errorf("a safety function: %v", err)
		}
		propose(t, s, "new")
		time.Sleep(10 * time.Second)
		if err := s.Permit(licence.Lookup, "own"); err == nil || s.Running().ID != "new" {
			t.Errorf("an adapter of the model before, under %s: %v", s.Running().ID, err)
		}
	})
}

func TestSmaller(t *testing.T) {
	for _, beside := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w, s := begin(t, "", beside)
			if err := s.UseSmaller(t.Context()); !errors.Is(err, swap.ErrNoSmaller) || s.HasSmaller() {
				t.Errorf("without a fallback: %v", err)
			}
			w.mu.Lock()
			w.fallback = w.item("small")
			w.mu.Unlock()
			limits := inference.Limits{DecodeThreads: 2}
			if err := s.SetLimits(t.Context(), limits); err != nil {
				t.Fatal(err)
			}
			if err := s.UseSmaller(t.Context()); err != nil || !s.HasSmaller() {
				t.Fatal(err)
			}
			models, _ := asks(t, s, 1)
			if c := w.last(); models[0] != "small" || s.Running().ID != "small" || w.active != "old" || w.lead != "small" || !c.Smaller || c.Phase != swap.Done {
				t.Errorf("%v answers, %s is active, the link leads to %q, %+v", models, w.active, w.lead, c)
			}
			if got := w.made[len(w.made)-1].limits; got != limits {
				t.Errorf("the smaller model runs with the limits %+v", got)
			}
			propose(t, s, "new")
			time.Sleep(3 * time.Second)
			if _, why, _, _ := w.state(); why == "" {
				t.Error("a model was activated on a board that cools down")
			}
			if err := s.UseMain(t.Context()); err != nil {
				t.Fatal(err)
			}
			if models, _ := asks(t, s, 1); models[0] != "old" || w.active != "old" || w.lead != "" {
				t.Errorf("%v answers, %s is active, the link leads to %q", models, w.active, w.lead)
			}
		})
	}
}

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
