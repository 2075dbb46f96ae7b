// Package swap changes the model while the daemon runs: it has the engine
// started with the model that was proposed, waits for its first word, and makes the
// change last, or goes back to the model that ran before and says why.
//
// It never decides which model; people do, with `lineside model activate` or
// the admin verb use-model. Two models never run at once: the board has memory
// for one.
package swap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"lineside/daemon/supervise"
	"lineside/inference"
	"lineside/inference/model/licence"
	"lineside/inference/model/store"
)

// Engine is the engine, as far as a swap needs it.
type Engine interface {
	Health(ctx context.Context) (*inference.Health, error)
	Generate(ctx context.Context, r *inference.Request, emit func(text string) error) (*inference.Result, error)
}

// Child is the engine's process.
type Child interface {
	Replace(supervise.Command)
	Starts() int
	Down() (why string, restart time.Duration)
}

// Options of New.
type Options struct {
	Store    *store.Store
	Child    Child // nil: systemd runs the engine, and nothing is changed here
	Engine   Engine
	Command  func(path string) supervise.Command // starts the engine with a model
	Patience time.Duration                       // until a new model must have answered
	Log      *slog.Logger
}

// Swapper knows the active model and changes it.
type Swapper struct {
	Options
	now atomic.Pointer[running]
}

type running struct {
	item store.Item
	site licence.Site
}

// New starts from the store's active model. The error wraps store.ErrNoModel
// where there is none, or is the licence's refusal.
func New(o Options) (*Swapper, error) {
	s := &Swapper{Options: o}
	item, err := o.Store.Active()
	if err != nil {
		return nil, err
	}
	if err := o.Store.Gate(item); err != nil {
		return nil, fmt.Errorf("model %s: %w", item.Manifest.Name, err)
	}
	site, err := o.Store.Site()
	if err != nil {
		return nil, err
	}
	s.now.Store(&running{item, site})
	return s, nil
}

// Active is the model that runs.
func (s *Swapper) Active() store.Item { return s.now.Load().item }

// Permit asks the running model's licence whether it may be used for a class.
func (s *Swapper) Permit(c licence.Class) error {
	r := s.now.Load()
	return r.site.Use(r.item.Manifest.Licence, c)
}

// Propose asks for another model; Run takes it up.
func (s *Swapper) Propose(name string) error {
	_, err := s.Store.Propose(name)
	return err
}

const lookEvery = time.Second // for proposals, and for what people accept or except

// Run takes up proposals until ctx ends.
func (s *Swapper) Run(ctx context.Context) error {
	if s.Child != nil {
		stop, err := s.Store.Serve()
		if err != nil {
			return err
		}
		defer stop()
	}
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if site, err := s.Store.Site(); err == nil {
			s.now.Store(&running{s.Active(), site})
		}
		if s.Child == nil {
			continue
		}
		if item, err := s.Store.Proposed(); err == nil {
			s.change(ctx, item)
		} else if !errors.Is(err, store.ErrNoModel) {
			s.Log.Warn("proposals of models cannot be read", "err", err)
		}
	}
}

// change tries the proposed model.
func (s *Swapper) change(ctx context.Context, item store.Item) {
	old := s.Active()
	s.Log.Info("changing the model", "from", old.Manifest.Name, "to", item.Manifest.Name)
	err := s.Store.Gate(item)
	if err == nil {
		if err = s.try(ctx, item); err == nil {
			_, err = s.Store.Activate(item.ID)
		}
		if ctx.Err() != nil {
			return // the proposal stays: the next start takes it up
		}
		if err != nil {
			s.Child.Replace(s.Command(old.Path))
		}
	}
	if err != nil {
		s.Log.Error("the model stays as it was", "model", old.Manifest.Name, "refused", item.Manifest.Name, "err", err)
		if err := s.Store.Reject(item.ID, err.Error()); err != nil {
			s.Log.Error("the refusal is not noted", "err", err)
		}
		return
	}
	s.now.Store(&running{item, s.now.Load().site})
	s.Log.Info("the model has changed", "model", item.Manifest.Name)
}

// try starts the engine with the model and waits for its first word.
func (s *Swapper) try(ctx context.Context, item store.Item) error {
	ctx, cancel := context.WithTimeout(ctx, s.Patience)
	defer cancel()
	before := s.Child.Starts()
	s.Child.Replace(s.Command(item.Path))
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("it has not answered within %s", s.Patience)
		case <-t.C:
		}
		if s.Child.Starts() == before {
			continue // the old engine is still ending
		}
		if why, _ := s.Child.Down(); why != "" {
			return errors.New(why)
		}
		h, err := s.Engine.Health(ctx)
		switch {
		case err != nil || h.State == "loading":
		case h.State == "failed":
			return errors.New(h.Why)
		default:
			return s.warm(ctx)
		}
	}
}

// warm has the model say one word.
func (s *Swapper) warm(ctx context.Context) error {
	_, err := s.Engine.Generate(ctx, &inference.Request{
		ID: "warm-up", Client: "linesided", MaxTokens: 1,
		Messages: []inference.Message{{Role: inference.RoleUser, Content: "Ready?"}},
	}, nil)
	if err != nil {
		return fmt.Errorf("its first answer failed: %w", err)
	}
	return nil
}
