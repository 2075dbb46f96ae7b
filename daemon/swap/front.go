package swap

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lineside/inference"
	"lineside/inference/model/licence"
	"lineside/inference/model/store"
)

// errChanging is what an ask gets that cannot wait for the change.
var errChanging = fmt.Errorf("the model is being changed: %w", inference.ErrNotReady)

// grace is how long a change keeps from the daemon that no engine answers: asks are taken
// in and wait. Afterwards new ones are refused with the time to come back, so that
// another board of their pool can take them.
const grace = 10 * time.Second

// running is one engine with its model.
type running struct {
	Engine
	Process
	item  store.Item
	place int
	stop  context.CancelFunc
	ended chan struct{}

	asks int           // under way; guarded by the Swapper
	idle chan struct{} // closed when the last ask leaves, where somebody waits
}

// hold is the time in which asks wait for an engine.
type hold struct {
	since time.Time
	over  chan struct{}
}

func (s *Swapper) make(item store.Item, place int) *running {
	e, p := s.Start(item, place)
	return &running{Engine: e, Process: p, item: item, place: place, ended: make(chan struct{})}
}

// run starts the process, until end.
func (r *running) run(ctx context.Context) {
	ctx, r.stop = context.WithCancel(ctx)
	go func() {
		defer close(r.ended)
		_ = r.Process.Run(ctx) // it ends with its context only, and says nothing then
	}()
}

// end stops the process and waits until its memory is free.
func (r *running) end() {
	r.stop()
	<-r.ended
}

// put lets asks go to an engine from now on.
func (s *Swapper) put(ctx context.Context, r *running) {
	s.mu.Lock()
	s.now = r
	limits := s.limits
	s.mu.Unlock()
	if limits == (inference.Limits{}) {
		return
	}
	if err := r.SetLimits(ctx, limits); err != nil && ctx.Err() == nil {
		s.Log.Debug("the new engine did not take its limits", "err", err)
	}
}

// hold keeps new asks waiting until free is called.
func (s *Swapper) hold() (free func()) {
	h := &hold{time.Now(), make(chan struct{})}
	s.mu.Lock()
	s.held = h
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		s.held = nil
		s.mu.Unlock()
		close(h.over)
	}
}

// idle lets the asks of an engine end, for a bounded time.
func (s *Swapper) idle(ctx context.Context, r *running) {
	s.mu.Lock()
	if r.asks == 0 {
		s.mu.Unlock()
		return
	}
	idle := make(chan struct{})
	r.idle = idle
	s.mu.Unlock()
	t := time.NewTimer(leave)
	defer t.Stop()
	select {
	case <-idle:
	case <-t.C:
		s.Log.Warn("asks are cut off by the change of model, and asked again", "model", r.item.Manifest.Name)
	case <-ctx.Done():
	}
}

// enter counts an ask in at the engine that answers it.
func (s *Swapper) enter(ctx context.Context) (*running, error) {
	for {
		s.mu.Lock()
		held := s.held
		if held == nil {
			r := s.now
			r.asks++
			s.mu.Unlock()
			return r, nil
		}
		s.mu.Unlock()
		select {
		case <-held.over:
		case <-ctx.Done():
			return nil, errors.Join(errChanging, ctx.Err())
		}
	}
}

func (s *Swapper) exit(r *running) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.asks--
	if r.asks == 0 && r.idle != nil {
		close(r.idle)
		r.idle = nil
	}
}

func (s *Swapper) current() (*running, *hold) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now, s.held
}

// Running is the model that answers, which is the fallback in hard times. Its ID is empty
// before the first.
func (s *Swapper) Running() store.Item {
	r, _ := s.current()
	return r.item
}

// Permit asks the running model's licence whether it may be used for a class; and, where
// adapter is not empty, whether that belongs to the model and what its own licence says.
func (s *Swapper) Permit(c licence.Class, adapter string) error {
	i, site := s.Running(), s.site.Load()
	if i.ID == "" {
		return nil // nothing answers
	}
	if err := site.Use(i.Manifest.Licence, c); err != nil || adapter == "" {
		return err
	}
	a, err := s.Models.Adapter(adapter, i)
	if err != nil {
		return err
	}
	if err := site.Activate(licence.Model{Name: a.Manifest.Name, Licence: a.Manifest.Licence, TextHash: a.TextHash}); err != nil {
		return err
	}
	return site.Use(a.Manifest.Licence, c)
}

// Generate has the running model answer. While models change, it waits.
func (s *Swapper) Generate(ctx context.Context, r *inference.Request, emit func(text string) error) (*inference.Result, error) {
	e, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer s.exit(e)
	res, err := e.Engine.Generate(ctx, r, emit)
	if res != nil {
		res.Weights = e.item.Weights()
	}
	return res, err
}

// Health is the running engine's, with the model's name as it is installed.
func (s *Swapper) Health(ctx context.Context) (*inference.Health, error) {
	r, held := s.current()
	if held != nil {
		if time.Since(held.since) < grace {
			return &inference.Health{State: "ok", Model: r.item.Manifest.Name}, nil
		}
		return &inference.Health{State: "loading"}, nil
	}
	h, err := r.Engine.Health(ctx)
	if err == nil && r.item.ID != "" {
		h.Model = r.item.Manifest.Name
	}
	return h, err
}

// SetLimits sets those of the running engine, and of those that come after it.
func (s *Swapper) SetLimits(ctx context.Context, l inference.Limits) error {
	s.mu.Lock()
	r := s.now
	s.limits = l
	s.mu.Unlock()
	return r.Engine.SetLimits(ctx, l)
}

// Pin pins a prefix in the running engine.
func (s *Swapper) Pin(ctx context.Context, messages []inference.Message) error {
	r, _ := s.current()
	return r.Engine.Pin(ctx, messages)
}

// Down is why no engine answers, as its process says.
func (s *Swapper) Down() (why string, restart time.Duration) {
	r, held := s.current()
	if held != nil {
		return "", 0
	}
	return r.Process.Down()
}

// Restart ends the running engine, which is then started anew.
func (s *Swapper) Restart(why string) {
	if r, held := s.current(); held == nil {
		r.Process.Restart(why)
	}
}
