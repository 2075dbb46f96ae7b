package swap

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"lineside/inference"
	"lineside/inference/model/licence"
	"lineside/inference/model/store"
)

// none stands where no model may run: it says why.
type none struct{ why error }

func (n none) Generate(context.Context, *inference.Request, func(string) error) (*inference.Result, error) {
	return nil, fmt.Errorf("%w: %w", inference.ErrNotReady, n.why)
}

func (n none) Health(context.Context) (*inference.Health, error) {
	return &inference.Health{State: "failed", Why: n.why.Error()}, nil
}

func (none) SetLimits(context.Context, inference.Limits) error { return nil }

func (none) Pin(context.Context, []inference.Message) error { return nil }

func (none) Run(ctx context.Context) error { <-ctx.Done(); return nil }

func (none) Down() (string, time.Duration) { return "", 0 }

func (none) Restart(string) {}

// outlawed is why the running model may not go on: its licence does not hold here any more,
// or it was purged.
func (s *Swapper) outlawed() error {
	i := s.now.item
	if i.ID == "" {
		return nil
	}
	if err := s.Models.Gate(i); errors.Is(err, licence.ErrRefused) {
		return err
	}
	if _, err := os.Stat(i.Path); errors.Is(err, fs.ErrNotExist) {
		return errors.New("it was removed from this board: install and activate another")
	}
	return nil
}

// withdraw ends the running model's engine, so that its weights leave the memory too.
func (s *Swapper) withdraw(ctx context.Context, why error) {
	old := s.now
	n := none{fmt.Errorf("model %s does not answer any more: %w", old.item.Manifest.Name, why)}
	r := &running{Engine: n, Process: n, place: old.place, ended: make(chan struct{})}
	r.run(ctx)
	s.put(ctx, r)
	s.main, s.small = store.Item{}, false
	old.Restart(n.why.Error()) // one that the service manager runs ends, and finds no model
	old.end()
	s.tell(Change{Phase: Withdrawn, From: old.item.Manifest.Name, Why: n.why.Error()})
}
