package swap_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"lineside/daemon/swap"
	"lineside/inference"
	"lineside/inference/model/licence"
	"lineside/inference/model/store"
)

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
