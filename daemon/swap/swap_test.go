package swap

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aead.dev/minisign"

	"lineside/daemon/supervise"
	"lineside/inference"
	"lineside/inference/inferencetest"
	"lineside/inference/model/bundle"
	"lineside/inference/model/gguf"
	"lineside/inference/model/licence"
	"lineside/inference/model/modeltest"
	"lineside/inference/model/store"
)

// board is an engine and its process in one: which model it runs follows from the
// last command, and models named bad do not load.
type board struct {
	inferencetest.Engine
	mu     sync.Mutex
	path   string
	starts int
	mute   bool // loads for ever
}

func (b *board) Replace(c supervise.Command) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.path = c.Program
	b.starts++
}

func (b *board) Starts() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.starts
}

func (b *board) bad() bool { return strings.Contains(b.path, "bad") }

func (b *board) Down() (string, time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bad() {
		return "bad.gguf: not enough memory", time.Second
	}
	return "", 0
}

func (b *board) Health(context.Context) (*inference.Health, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.bad():
		return nil, inference.ErrUnavailable
	case b.mute:
		return &inference.Health{State: "loading"}, nil
	}
	return &inference.Health{State: "ok"}, nil
}

// installed makes a store with models of these names, the first one active.
func installed(t *testing.T, names ...string) *store.Store {
	t.Helper()
	pub, priv, err := minisign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.TempDir(), store.Options{Keys: []minisign.PublicKey{pub}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		src := bundle.Source{
			Weights: modeltest.Small(t, func(l *gguf.Layout) { l.Set("general.name", name) }), Texts: modeltest.Apache(t), Name: name,
			Origin: "a test", Override: &bundle.Override{Reason: "made for a test", By: "A. Muster", Date: "2026-11-24"}, Now: time.Unix(100, 0), Key: priv,
		}
		out := filepath.Join(t.TempDir(), name)
		if _, err := bundle.Make(t.Context(), src, out); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Install(t.Context(), out, store.InstallOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Activate(names[0]); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSwap(t *testing.T) {
	for _, tt := range []struct {
		name, to string
		mute     bool
		runs     string
		why      string
	}{
		{"good", "two", false, "two", ""},
		{"engine refuses", "bad", false, "one", "not enough memory"},
		{"never answers", "two", true, "one", "has not answered within"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			models := installed(t, "one", "two", "bad")
			synctest.Test(t, func(t *testing.T) {
				b := &board{mute: tt.mute}
				s, err := New(Options{Store: models, Child: b, Engine: b, Patience: time.Minute, Log: slog.New(slog.DiscardHandler),
					Command: func(path string) supervise.Command {
						for _, n := range []string{"one", "two", "bad"} { // the weights' files have one name
							if i, err := models.Find(n); err == nil && i.Path == path {
								return supervise.Command{Program: n}
							}
						}
						return supervise.Command{}
					}})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- s.Run(ctx) }()
				time.Sleep(2 * time.Second)
				if !models.Served() {
					t.Error("commands do not hear that a daemon runs the model")
				}
				if err := s.Propose(tt.to); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				if got := s.Active().Manifest.Name; got != tt.runs || b.path != tt.runs {
					t.Errorf("%s is active and %s runs, want %s", got, b.path, tt.runs)
				}
				last, err := models.LastSwap()
				if err != nil || last == nil || last.OK != (tt.why == "") || !strings.Contains(last.Why, tt.why) {
					t.Errorf("last swap: %+v %v", last, err)
				}
				if _, err := models.Proposed(); !errors.Is(err, store.ErrNoModel) {
					t.Errorf("still proposed: %v", err)
				}
				if err := s.Permit(licence.Safety); err == nil {
					t.Error("a safety function was permitted")
				}
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
