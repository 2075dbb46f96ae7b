package daemon

import (
	"context"
	"errors"
	"math"
	"time"

	"lineside/daemon/governor"
	"lineside/inference"
)

// Sizes changes between the active model and the smaller one that the owner has set
// as its fallback. A change takes as long as the model takes to load; the calls return
// when it is done or has failed.
type Sizes interface {
	HasSmaller() bool
	UseSmaller(ctx context.Context) error
	UseMain(ctx context.Context) error
}

// Bounds of what the engine is told.
const (
	limitTime  = 2 * time.Second // for the engine to take its limits
	sizeAgain  = 5 * time.Minute // between two tries to change the model's size
	everything = math.MaxInt64   // more than the engine has means all that it has
	nothing    = 1               // byte of prefix cache: none, as 0 would leave it as it is
)

// limits is a decision in the engine's words. Every field is set, so that what was taken
// away comes back.
func limits(is governor.Decision) inference.Limits {
	l := inference.Limits{
		DecodeThreads: is.Threads, PrefillThreads: is.Threads, PacePercent: max(int(math.Round(is.Duty*100)), 1),
		Batch: is.Batch, Slots: is.Slots, PrefixBytes: everything,
	}
	if is.ShrinkCache {
		l.PrefixBytes = nothing
	}
	return l
}

// limit tells the engine how hard it may work, where that has changed, the last time failed, or
// another engine runs by now. Only watchBoard calls it.
func (d *Daemon) limit(ctx context.Context, w *boardWatch) {
	want := limits(w.decision)
	if d.unlimited.Swap(false) {
		w.limits = inference.Limits{}
	}
	if want == w.limits {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, limitTime)
	defer cancel()
	if err := d.Engine.SetLimits(ctx, want); err != nil {
		d.Log.Debug("the engine did not take its limits", "err", err)
		return
	}
	w.limits = want
}

// watchSize has the model that the governor wants answer, until ctx ends. A change that
// failed is tried again after a while; the other rungs keep the board safe meanwhile.
func (d *Daemon) watchSize(ctx context.Context) error {
	small := false // answers now
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		case <-d.size:
		}
		want := d.wantSmall.Load()
		if want == small {
			continue
		}
		change := d.Sizes.UseMain
		if want {
			change = d.Sizes.UseSmaller
		}
		if err := change(ctx); err == nil {
			small = want
			nudge(d.size) // it may be wanted back by now
		} else if ctx.Err() == nil && !errors.Is(err, context.Canceled) {
			d.Log.Warn("the model's size stays as it is", "smaller", small, "err", err)
			again.Reset(sizeAgain)
		}
	}
}
