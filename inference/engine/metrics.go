package engine

import (
	"time"

	"lineside/inference"
)

// Stats are the engine's figures since it was made. Counters only grow.
type Stats struct {
	Running, Waiting int // asks in slots, asks in the queue
	Slots            int // asks answered at once, as the limits stand

	Answered map[inference.Finish]uint64 // asks by the end they came to
	Failed   uint64                      // asks that ended in an error
	Refused  uint64                      // asks turned away because the queue was full

	Passes         uint64        // batches computed
	PassTokens     uint64        // tokens in them, drafts included
	PassSizes      [10]uint64    // passes of at most 1, 2, 4, ... 512 tokens
	Busy           time.Duration // time spent in passes
	PrefillTokens  uint64        // prompt tokens computed
	PrefillBusy    time.Duration // share of Busy that they took, by tokens
	DecodeTokens   uint64        // answer tokens computed
	DecodeBusy     time.Duration // the rest of Busy
	CachedTokens   uint64        // prompt tokens that needed no work
	AnswerTokens   uint64        // tokens of finished answers
	ForcedTokens   uint64        // of them without a choice
	DraftedTokens  uint64
	AcceptedTokens uint64
	Faults         uint64 // passes that failed

	Queued  time.Duration // sum over finished asks: waiting for a slot
	Elapsed time.Duration // sum over finished asks: from arrival to the end

	Cells, CellsUsed int // of the KV cache
	PrefixTokens     int // in the prefix tree
	PinnedTokens     int // of them pinned

	recent float64 // answer tokens per second, lately
}

// Stats returns the figures as of the last pass.
func (e *Engine) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.stats
	s.Answered = map[inference.Finish]uint64{}
	for k, v := range e.stats.Answered {
		s.Answered[k] = v
	}
	s.Waiting, s.Slots, s.Cells = len(e.queue.asks), e.dials.Slots, e.limits.Cells
	return s
}

// Health is the engine's state in short. The server adds whether it is well.
func (e *Engine) Health() inference.Health {
	s := e.Stats()
	return inference.Health{
		Model: e.opt.Model, Context: e.opt.Context, Slots: s.Slots, Steps: s.Passes,
		Running: s.Running, Waiting: s.Waiting, TokenSec: s.recent, Limits: e.dial(),
	}
}

// publish books a pass; p is nil where none was computed.
func (e *Engine) publish(p *pass, took time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := &e.stats
	s.Running = len(e.slots)
	s.CellsUsed, s.PrefixTokens, s.PinnedTokens = e.cells.used(), e.tree.size, e.tree.pinnedSize()
	if p == nil {
		return
	}
	answers := len(p.batch) - p.prompt
	s.Passes++
	s.PassTokens += uint64(len(p.batch))
	s.PassSizes[sizeClass(len(p.batch))]++
	s.Busy += took
	s.PrefillTokens += uint64(p.prompt)
	s.DecodeTokens += uint64(answers)
	part := took * time.Duration(p.prompt) / time.Duration(len(p.batch))
	s.PrefillBusy += part
	s.DecodeBusy += took - part
	if took > 0 {
		const weight = 0.1
		s.recent += weight * (float64(answers)/took.Seconds() - s.recent)
	}
}

// sizeClass is the smallest i with size <= 1<<i.
func sizeClass(size int) int {
	i := 0
	for i < len(Stats{}.PassSizes)-1 && size > 1<<i {
		i++
	}
	return i
}

// count books an ask that came to its end.
func (e *Engine) count(s *slot) {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	t := &e.stats
	if s.failed != nil {
		t.Failed++
	} else {
		if t.Answered == nil {
			t.Answered = map[inference.Finish]uint64{}
		}
		t.Answered[s.finish]++
	}
	t.CachedTokens += uint64(s.usage.Cached)
	t.AnswerTokens += uint64(s.answered())
	t.ForcedTokens += uint64(s.usage.Forced)
	t.DraftedTokens += uint64(s.usage.Drafted)
	t.AcceptedTokens += uint64(s.usage.Accepted)
	t.Queued += s.started.Sub(s.arrived)
	t.Elapsed += now.Sub(s.arrived)
	e.took += (now.Sub(s.started) - e.took) / 8
}
