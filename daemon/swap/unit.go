package swap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"lineside/inference"
	"lineside/inference/model/store"
)

// Ender is an engine that ends when it is asked to. An *inference.Client asks one.
type Ender interface {
	Engine
	Exit(ctx context.Context) error
}

// Times of an engine that the service manager runs.
const (
	startTime = 30 * time.Second // to bring an engine back
	byItself  = 3 * time.Second  // for units that watch the link: they size the engine's memory, and may start it anew
	mostEnds  = 2                // in loading, before the model is to blame: the first may be a restart
)

// Unit is an engine that the service manager runs. It cannot be given another model: the
// store's link leads to it, and the service manager starts the engine anew by itself, or
// because the engine ends when it is asked to.
// One such engine runs at a time.
//
// It is Engine and Process of one model in one: until the engine runs that model, its
// health is "loading".
type Unit struct {
	Ender
	item store.Item
	log  *slog.Logger

	mu  sync.Mutex
	why string
}

// NewUnit makes the engine of a model, to which the store's link must lead. One without
// an ID takes the engine as it is.
func NewUnit(e Ender, item store.Item, log *slog.Logger) *Unit {
	return &Unit{Ender: e, item: item, log: log}
}

// Run has the engine come with the model, and watches until it has loaded.
func (u *Unit) Run(ctx context.Context) error {
	if u.item.ID != "" {
		u.come(ctx)
	}
	<-ctx.Done()
	return nil
}

// come asks engines with other models to end, until the right one is there.
func (u *Unit) come(ctx context.Context) {
	t := time.NewTicker(poll)
	defer t.Stop()
	start, seen, ends := time.Now(), false, 0
	here := false // at the last look
	for {
		h, err := u.look(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && u.runs(h):
			if seen, here = true, true; h.State != "loading" {
				u.set("")
				return
			}
		case err == nil && time.Since(start) < byItself:
		case err == nil:
			if err := u.Exit(ctx); err != nil && ctx.Err() == nil {
				u.log.Debug("the engine is asked to end", "err", err)
			}
		case here && !errors.Is(err, context.DeadlineExceeded):
			here = false
			ends++
		}
		switch {
		case ends >= mostEnds:
			u.set("the engine ended while it loaded " + u.item.Manifest.Name + ": see journalctl -u lineside-engine")
		case !seen && time.Since(start) > startTime:
			u.set(fmt.Sprintf("the engine has not come back with %s within %s: see journalctl -u lineside-engine", u.item.Manifest.Name, startTime))
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func (u *Unit) look(ctx context.Context) (*inference.Health, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return u.Ender.Health(ctx)
}

// runs reports whether the engine has this model's file.
func (u *Unit) runs(h *inference.Health) bool {
	want, err := filepath.EvalSymlinks(u.item.Path)
	return err == nil && h.File == want
}

// Health is the engine's once it runs the model.
func (u *Unit) Health(ctx context.Context) (*inference.Health, error) {
	h, err := u.Ender.Health(ctx)
	if err == nil && u.item.ID != "" && !u.runs(h) {
		return &inference.Health{State: "loading"}, nil
	}
	return h, err
}

// Down is why the engine does not come with the model.
func (u *Unit) Down() (why string, restart time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.why == "" {
		return "", 0
	}
	return u.why, 5 * time.Second
}

func (u *Unit) set(why string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.why = why
}

// Restart asks the engine to end; the service manager starts it anew.
func (u *Unit) Restart(why string) {
	u.log.Warn("the engine is asked to end, to be started again", "why", why)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := u.Exit(ctx); err != nil {
		u.log.Error("the engine does not end", "err", err)
	}
}
