package engine

import (
	"cmp"
	"fmt"
	"runtime/debug"

	"lineside/inference"
)

// fullLimits are those that an engine starts with.
func (e *Engine) fullLimits() inference.Limits {
	return inference.Limits{
		DecodeThreads: e.opt.DecodeThreads, PrefillThreads: e.opt.PrefillThreads,
		Slots: e.opt.Slots, PacePercent: 100, Batch: aloneChunks * e.opt.Chunk,
		PrefixBytes: int64(e.opt.PrefixCells) * int64(e.limits.CellBytes),
	}
}

// SetLimits changes what may be changed while asks run, from the next pass on.
// A smaller prefix cache shrinks at once, also while nothing runs; whoever asks
// for it needs memory, so compiled formats and Go's spare pages go with it.
func (e *Engine) SetLimits(l inference.Limits) error {
	if min(l.DecodeThreads, l.PrefillThreads, l.Slots, l.PacePercent, l.Batch) < 0 || l.PacePercent > 100 || l.PrefixBytes < 0 {
		return fmt.Errorf("%w: limits %+v: want 1 or more of each, pace of at most 100 percent; 0 leaves a value as it is", inference.ErrBadRequest, l)
	}
	if e.setDials(l) {
		e.formats.forget()
		debug.FreeOSMemory()
	}
	e.wake()
	return nil
}

// setDials takes limits over and reports whether the prefix cache has to shrink.
func (e *Engine) setDials(l inference.Limits) (shrinks bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	d, full := &e.dials, e.fullLimits()
	before := d.PrefixBytes
	set(&d.DecodeThreads, atMost(l.DecodeThreads, full.DecodeThreads))
	set(&d.PrefillThreads, atMost(l.PrefillThreads, full.PrefillThreads))
	set(&d.Slots, min(l.Slots, full.Slots))
	set(&d.PacePercent, l.PacePercent)
	set(&d.Batch, min(l.Batch, full.Batch))
	set(&d.PrefixBytes, min(l.PrefixBytes, full.PrefixBytes))
	if d.DecodeThreads > 0 || d.PrefillThreads > 0 { // one alone stands for both
		e.rt.SetThreads(cmp.Or(d.DecodeThreads, d.PrefillThreads), cmp.Or(d.PrefillThreads, d.DecodeThreads))
	}
	return d.PrefixBytes < before
}

// atMost is n, but no more than a bound that is there.
func atMost(n, bound int) int {
	if bound > 0 {
		return min(n, bound)
	}
	return n
}

// set takes over a limit that was given.
func set[T int | int64](v *T, to T) {
	if to > 0 {
		*v = to
	}
}

// dial is the limits as they stand.
func (e *Engine) dial() inference.Limits {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.dials
}

// compact gives the cache's memory back to the system, all but what pinned
// prefixes take, once nothing else is in it.
func (e *Engine) compact() error {
	if !e.idle || len(e.slots) > 0 || e.tree.size > e.tree.pinnedSize() {
		return nil
	}
	e.idle = false
	if err := e.park(); err != nil {
		return err
	}
	if err := e.rt.Release(); err != nil || e.worn != "" { // pinned prefixes are the model's alone
		return err
	}
	return e.unpark()
}

// shrink drops what ended asks left in the cache beyond its limits.
func (e *Engine) shrink() error {
	kept := e.dial().PrefixBytes
	e.idle = e.idle || kept < e.kept
	e.kept = kept
	cells := int(e.kept / int64(e.limits.CellBytes))
	return e.tree.shrink(cells, min(cells, e.opt.TailCells))
}
