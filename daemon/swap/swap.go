// Package swap keeps the engine of the active model running and changes to another
// model on request: the new engine has to answer a warm-up question before any ask goes
// to it. Where memory allows, the old one answers until then; else asks wait. When the
// new one does not answer, the old one stays or comes back.
//
// It never decides which model: people do, with `lineside model activate` or the admin
// verb use-model, and the governor does between the active model and its smaller
// fallback.
package swap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"lineside/inference"
	"lineside/inference/model/licence"
	"lineside/inference/model/store"
)

// Engine answers asks. An *inference.Client is one.
type Engine interface {
	Generate(ctx context.Context, r *inference.Request, emit func(text string) error) (*inference.Result, error)
	Health(ctx context.Context) (*inference.Health, error)
	SetLimits(ctx context.Context, l inference.Limits) error
	Pin(ctx context.Context, messages []inference.Message) error
}

// Process keeps an engine's process running. A *supervise.Child is one, a *Unit too.
type Process interface {
	Run(ctx context.Context) error
	Down() (why string, restart time.Duration)
	Restart(why string)
}

// Models is the store's side of a change. A *store.Store is one.
type Models interface {
	Serve() (stop func(), err error)
	Proposed() (store.Item, error)
	Propose(name string) (store.Item, error)
	Fallback() (store.Item, error)
	Gate(store.Item) error
	Lead(id string) error
	Activate(id string) (store.Item, error)
	Reject(id, why string) error
	Site() (licence.Site, error)
	Adapter(name string, base store.Item) (store.Item, error)
}

// Options of New.
type Options struct {
	Models Models
	First  store.Item // the active model; zero: none yet, which only a Unit can do with
	// Start makes the engine of a model. place is 0 or 1: two engines at a time are at
	// different places.
	Start func(item store.Item, place int) (Engine, Process)
	// Room says whether memory allows the model beside the running one, and refuses one
	// that the board has no memory for at all.
	Room    func(item store.Item) (beside bool, err error)
	Changed func(Change) // told of each change, from the goroutine of Run
	Log     *slog.Logger
}

// Phase is where a change of model stands.
type Phase string

// Phases of a change.
const (
	Began   Phase = "began"
	Done    Phase = "done"
	Refused Phase = "refused" // the model stays as it was

	Withdrawn Phase = "withdrawn" // the running model may not run any more, and none does
)

// Change is one step of a change of model.
type Change struct {
	Phase    Phase
	From, To string        // names of models
	Why      string        // of Refused and Withdrawn
	Smaller  bool          // between the active model and its fallback, by the governor
	Gap      time.Duration // for which asks had to wait; 0: the models ran side by side
}

// Bounds of a change. The longest that asks wait is leave, startTime, loadTime and
// warmTime together, and as much again but for leave where the old model has to come
// back.
const (
	lookEvery = time.Second // between two looks for a proposal
	poll      = 100 * time.Millisecond
	leave     = 30 * time.Second // for asks under way, before the old engine is stopped
	warmTime  = time.Minute      // for the warm-up answer
	busyTime  = 10 * time.Second // for another command that holds the store
)

// loadTime is how long an engine may take to load a model: from a bad SD card, 10 MB a second.
func loadTime(i store.Item) time.Duration {
	return time.Minute + time.Duration(i.Manifest.WeightsFile().Bytes/10e6)*time.Second
}

// ErrNoSmaller: no smaller model is installed as fallback.
var ErrNoSmaller = errors.New("no smaller model is set as fallback")

// Swapper is the engine of whichever model runs. Its methods may be called from any
// goroutine.
type Swapper struct {
	Options
	site   atomic.Pointer[licence.Site]
	wishes chan wish

	main  store.Item // the active model, which may not be the one that runs; Run's own
	small bool       // the fallback runs; Run's own

	mu     sync.Mutex
	now    *running
	limits inference.Limits // as last set
	held   *hold            // asks wait; nil while they do not
}

// wish is the governor's for the smaller or the main model.
type wish struct {
	small bool
	done  chan error
}

// New makes the engine of the first model, or refuses it for its licence. Run starts it.
func New(o Options) (*Swapper, error) {
	s := &Swapper{Options: o, main: o.First, wishes: make(chan wish)}
	if o.First.ID != "" {
		if err := o.Models.Gate(o.First); err != nil {
			return nil, fmt.Errorf("model %s: %w", o.First.Manifest.Name, err)
		}
	}
	site, err := o.Models.Site()
	if err != nil {
		return nil, err
	}
	s.site.Store(&site)
	s.now = s.make(o.First, 0)
	return s, nil
}

// Propose asks for another model; Run takes it up.
func (s *Swapper) Propose(name string) error {
	_, err := s.Models.Propose(name)
	return err
}

// UseSmaller changes to the fallback model, and returns when it answers or the change
// has failed. It asks nothing of the store's active model, which UseMain brings back.
// The error wraps ErrNoSmaller where no fallback is set. Run must be running.
func (s *Swapper) UseSmaller(ctx context.Context) error { return s.use(ctx, true) }

// UseMain goes back from the fallback to the active model.
func (s *Swapper) UseMain(ctx context.Context) error { return s.use(ctx, false) }

// HasSmaller reports whether there is a fallback to change to.
func (s *Swapper) HasSmaller() bool {
	i, err := s.Models.Fallback()
	return err == nil && s.Models.Gate(i) == nil
}

func (s *Swapper) use(ctx context.Context, small bool) error {
	w := wish{small, make(chan error, 1)}
	select {
	case s.wishes <- w:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run runs the active model's engine and makes the changes that are asked for, until
// ctx ends.
func (s *Swapper) Run(ctx context.Context) error {
	stop, err := s.Models.Serve()
	if err != nil {
		return err
	}
	defer stop()
	s.now.run(ctx)
	defer func() { s.now.end() }()
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case w := <-s.wishes:
			w.done <- s.wished(ctx, w.small)
			continue
		case <-t.C:
		}
		if site, err := s.Models.Site(); err == nil {
			s.site.Store(&site)
		}
		if err := s.outlawed(); err != nil {
			s.withdraw(ctx, err)
		}
		if item, err := s.Models.Proposed(); err == nil {
			s.proposed(ctx, item)
		} else if !errors.Is(err, store.ErrNoModel) {
			s.Log.Error("the proposed model cannot be read", "err", err)
		}
	}
}

// proposed changes to what people have chosen.
func (s *Swapper) proposed(ctx context.Context, item store.Item) {
	err := errors.New("the board runs its smaller model to cool down: try again when it is back on the main one")
	if !s.small {
		err = s.change(ctx, item, true)
	}
	switch {
	case ctx.Err() != nil || errors.Is(err, store.ErrBusy):
		return // the proposal stays: the next look, or the next start, takes it up
	case err == nil:
		s.main = item
		return
	}
	if err := s.Models.Reject(item.ID, err.Error()); err != nil {
		s.Log.Error("the refusal cannot be noted", "err", err)
	}
}

// wished changes between the active model and the fallback.
func (s *Swapper) wished(ctx context.Context, small bool) error {
	if small == s.small {
		return nil
	}
	item := s.main
	if small {
		var err error
		if item, err = s.Models.Fallback(); err != nil {
			return fmt.Errorf("%w: %w", ErrNoSmaller, err)
		}
	}
	err := s.change(ctx, item, false)
	if err == nil {
		s.small = small
	}
	return err
}

// change brings a model into service, beside the running one or after it, and tells of it.
func (s *Swapper) change(ctx context.Context, item store.Item, lasting bool) error {
	old := s.now
	if item.ID == old.item.ID {
		if lasting {
			return s.last(ctx, item)
		}
		return nil
	}
	c := Change{Phase: Began, From: old.item.Manifest.Name, To: item.Manifest.Name, Smaller: !lasting}
	beside, err := s.permit(item)
	if err == nil {
		s.tell(c)
		c.Gap, err = s.bring(ctx, item, beside, lasting)
	}
	if ctx.Err() != nil {
		if beside && err == nil {
			old.end()
		}
		return ctx.Err()
	}
	c.Phase = Done
	if err != nil {
		c.Phase, c.Why = Refused, err.Error()
		s.lead(ctx, old.item)
	}
	s.tell(c)
	if err == nil && beside {
		s.idle(ctx, old)
		old.end()
	}
	return err
}

// permit asks licence and memory.
func (s *Swapper) permit(item store.Item) (beside bool, err error) {
	if err := s.Models.Gate(item); err != nil {
		return false, err
	}
	return s.Room(item)
}

func (s *Swapper) bring(ctx context.Context, item store.Item, beside, lasting bool) (gap time.Duration, err error) {
	if beside {
		return 0, s.beside(ctx, item, lasting)
	}
	return s.after(ctx, item, lasting)
}

func (s *Swapper) tell(c Change) {
	s.Log.Info("change of model", "phase", string(c.Phase), "from", c.From, "to", c.To, "gap", c.Gap, "why", c.Why)
	if s.Changed != nil {
		s.Changed(c)
	}
}

// beside proves the new engine while the old one answers, which change ends. There is no gap.
func (s *Swapper) beside(ctx context.Context, item store.Item, lasting bool) error {
	if err := s.lead(ctx, item); err != nil {
		return err
	}
	next := s.make(item, 1-s.now.place)
	next.run(ctx)
	if err := s.prove(ctx, next, lasting); err != nil {
		next.end()
		return err
	}
	s.put(ctx, next)
	return nil
}

// after stops the old engine first. Asks wait meanwhile, for the returned time.
func (s *Swapper) after(ctx context.Context, item store.Item, lasting bool) (gap time.Duration, err error) {
	release := s.hold()
	defer release()
	start := time.Now()
	old := s.now
	s.idle(ctx, old)
	if err := s.lead(ctx, item); err != nil { // systemd may start the engine anew from here on
		return time.Since(start), err
	}
	old.end()
	next := s.make(item, old.place)
	next.run(ctx)
	failed := s.prove(ctx, next, lasting)
	if failed == nil {
		s.put(ctx, next)
		return time.Since(start), nil
	}
	next.end()
	if ctx.Err() != nil {
		return time.Since(start), ctx.Err()
	}
	s.lead(ctx, old.item)
	back := old
	if old.item.ID != "" {
		back = s.make(old.item, old.place)
	} else {
		back.ended = make(chan struct{})
	}
	back.run(ctx)
	s.put(ctx, back)
	if old.item.ID != "" {
		if err := s.loaded(ctx, back); err != nil {
			failed = fmt.Errorf("%w; and the model before does not come back: %w", failed, err)
		}
	}
	return time.Since(start), failed
}

// prove waits until a new engine has answered, and makes the change last.
func (s *Swapper) prove(ctx context.Context, next *running, lasting bool) error {
	if err := s.loaded(ctx, next); err != nil {
		return err
	}
	if err := warm(ctx, next); err != nil {
		return err
	}
	if lasting {
		return s.last(ctx, next.item)
	}
	return nil
}

// last makes a model the active one.
func (s *Swapper) last(ctx context.Context, item store.Item) error {
	return patiently(ctx, func() error {
		_, err := s.Models.Activate(item.ID)
		return err
	})
}

// lead has the link that systemd's engine follows lead to a model.
func (s *Swapper) lead(ctx context.Context, item store.Item) error {
	id := item.ID
	if id == s.main.ID {
		id = ""
	}
	err := patiently(ctx, func() error { return s.Models.Lead(id) })
	if err != nil && ctx.Err() == nil {
		s.Log.Error("the link to the model that shall run cannot be set", "model", item.Manifest.Name, "err", err)
	}
	return err
}

// patiently does what another command may keep from being done for a moment.
func patiently(ctx context.Context, do func() error) error {
	ctx, cancel := context.WithTimeout(ctx, busyTime)
	defer cancel()
	for {
		err := do()
		if !errors.Is(err, store.ErrBusy) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(poll):
		}
	}
}

// loaded waits until an engine has loaded its model.
func (s *Swapper) loaded(ctx context.Context, r *running) error {
	within := loadTime(r.item)
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	t := time.NewTicker(poll)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s has not loaded within %s", r.item.Manifest.Name, within)
		case <-t.C:
		}
		if why, _ := r.Down(); why != "" {
			return errors.New(why)
		}
		h, err := r.Health(ctx)
		switch {
		case err != nil: // not listening yet
		case h.State == "failed":
			return errors.New(h.Why)
		case h.State == "ok":
			return nil
		}
	}
}

// warm asks a question whose answer is not looked at, only that there is one.
func warm(ctx context.Context, r *running) error {
	ctx, cancel := context.WithTimeout(ctx, warmTime)
	defer cancel()
	res, err := r.Generate(ctx, &inference.Request{ID: "warm-up", Client: "linesided", MaxTokens: 4,
		Messages: []inference.Message{{Role: inference.RoleUser, Content: "Ready?"}}}, nil)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s has not answered the warm-up within %s", r.item.Manifest.Name, warmTime)
	case err != nil:
		return fmt.Errorf("%s did not answer the warm-up: %w", r.item.Manifest.Name, err)
	case res.Usage.Completion == 0:
		return fmt.Errorf("%s answered the warm-up with nothing", r.item.Manifest.Name)
	}
	return nil
}
