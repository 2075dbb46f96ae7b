package governor

import (
	"math"
	"time"
)

// notch is one setting of the ladder.
type notch struct {
	rung    Rung
	threads int
	duty    float64
	batch   int
	slots   int
	small   bool
}

// ladder is all settings from full speed down. Each takes less power than the
// one before.
type ladder []notch

const (
	paceStep = 0.05 // of duty, per notch
	kneeDuty = 0.65 // below it, fewer threads give more tokens for the same heat
	minDuty  = 0.25
)

// ladder of the configuration: threads down to LowThreads, pauses down to the
// knee, fewer threads with pauses down to the least, then smaller batches, then the
// smaller model. Fewer threads come first because memory, not the processor, ends
// decoding: the fourth thread adds much heat and few tokens.
func (c Config) ladder() ladder {
	var l ladder
	add := func(r Rung, threads int, duty float64) {
		l = append(l, notch{rung: r, threads: threads, duty: math.Round(duty*100) / 100, batch: c.Batch, slots: c.Slots})
	}
	add(Full, c.Threads, 1)
	low := min(max(c.LowThreads, 1), c.Threads)
	for t := c.Threads - 1; t >= low; t-- {
		add(Threads, t, 1)
	}
	duty := 1 - paceStep
	for ; duty > kneeDuty-paceStep/2; duty -= paceStep {
		add(Pace, low, duty)
	}
	if deep := max(int(float64(low)*kneeDuty), 1); deep < low {
		low, duty = deep, 1
	}
	for ; duty > minDuty-paceStep/2; duty -= paceStep {
		add(Pace, low, duty)
	}
	last := l[len(l)-1]
	for _, shift := range []int{1, 3} {
		last.rung, last.batch = Batch, max(c.Batch>>shift, min(c.Batch, 16))
		last.slots = max(c.Slots>>shift, min(c.Slots, 1))
		l = append(l, last)
	}
	if c.SmallModel {
		last.rung, last.small = Smaller, true
		l = append(l, last)
	}
	return l
}

func (l ladder) lowest() int { return len(l) - 1 }

// first notch of a rung, or of the next one that there is.
func (l ladder) first(r Rung) int {
	for i := range l {
		if l[i].rung >= r {
			return i
		}
	}
	return len(l)
}

func (l ladder) set(at int, d *Decision) {
	n := l[at]
	d.Rung, d.Threads, d.Duty, d.Batch, d.Slots, d.Small = n.rung, n.threads, n.duty, n.batch, n.slots, n.small
}

// threadUp reports whether going up from there is a step that heats a lot.
func (l ladder) threadUp(at int) bool { return at > 0 && l[at-1].threads > l[at].threads }

// need is the forecast headroom in °C that one notch up wants, and how long it
// must last.
func (l ladder) need(at int, headroom float64) (float64, time.Duration) {
	switch {
	case l[at].small:
		return coolDown, modelWait
	case headroom >= plenty:
		return plenty, raiseSoon
	case l.threadUp(at):
		return threadNeed, threadWait
	}
	return paceNeed, raiseAfter
}

// raise is how many notches up spare headroom in °C allows at once: several of pace, one
// of threads.
func (l ladder) raise(at int, spare float64) int {
	n := 1
	for n < 1+int(spare/4) && n < at && !l[at].small && !l.threadUp(at) && !l.threadUp(at-n) {
		n++
	}
	return n
}

// patience doubles the wait for threads that had to be taken back.
func (l ladder) patience(s State) int {
	if l.threadUp(s.notch) {
		return s.patience
	}
	return 0
}

// drop is how many notches a forecast below zero asks for: one thread at a
// time, pace in proportion.
func (l ladder) drop(at int, headroom float64) int {
	if at+1 < len(l) && l[at+1].rung <= Threads {
		return 1
	}
	return 1 + int(math.Min(-headroom/1.5, 4))
}
