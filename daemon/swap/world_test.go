package swap_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
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
