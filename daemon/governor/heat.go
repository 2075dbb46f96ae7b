package governor

import (
	"fmt"
	"math"
	"time"
)

// State is what a decision remembers for the next one.
type State struct {
	at       time.Time
	temp     float64 // °C, smoothed
	slope    float64 // °C per second, smoothed
	notch    int     // place on the ladder, 0 is full speed
	moved    time.Time
	calm     time.Time // since when the forecast has room for one notch up
	patience int       // notches up that had to be taken back lately: the next waits longer
	raised   time.Time

	refusing bool
	aborting bool
	lowered  time.Time // when Rung was last needed, so that its report does not flicker
	shown    Rung

	lostSince time.Time // sensors
	weakUntil time.Time

	mem       float64 // bytes available, smoothed
	memSlope  float64 // bytes per second
	ours      float64
	oursSlope float64
	memAt     time.Time
	lowMem    bool
	abortMem  bool
	shrinking bool
}

const (
	smoothTemp  = 2 * time.Second // of the temperature
	smoothSlope = 6 * time.Second // of its slope

	dropEvery  = 2 * time.Second // between notches down
	raiseAfter = 6 * time.Second // calm before one pace notch up
	raiseSoon  = 3 * time.Second // where there is plenty
	threadWait = 20 * time.Second
	modelWait  = 5 * time.Minute

	threadNeed = 3.0  // °C of forecast headroom before another thread
	plenty     = 12.0 // °C of it that nothing heats through soon: no need to wait long
	paceNeed   = 0.8  // °C before a pace notch
	coolDown   = 5.0  // °C below the guarded temperature before refusing ends

	holdRung = 30 * time.Second // how long a rung is reported after it was needed
	holdWeak = time.Minute      // how long a weak supply keeps the low rung
)

// observe smooths the readings. A gap or a step back in time starts anew.
func (s State) observe(c Config, in Input) State {
	dt := in.At.Sub(s.at)
	switch {
	case !heatKnown(c, in):
		s.at = time.Time{}
	case s.at.IsZero() || dt <= 0 || dt > c.MaxAge+smoothSlope:
		s.at, s.temp, s.slope = in.At, in.Temp, 0
	default:
		t := s.temp + (in.Temp-s.temp)*blend(dt, smoothTemp)
		s.slope += ((t-s.temp)/dt.Seconds() - s.slope) * blend(dt, smoothSlope)
		s.at, s.temp = in.At, t
	}
	return s
}

// blend is the weight of a new value after dt for a time constant.
func blend(dt, constant time.Duration) float64 {
	return 1 - math.Exp(-dt.Seconds()/constant.Seconds())
}

func heatKnown(c Config, in Input) bool {
	return in.HeatOK && in.Age <= c.MaxAge && !math.IsNaN(in.Temp)
}

// limit of the zone, with the fallback where the board names none.
func limit(c Config, in Input) float64 {
	if in.Limit > 0 {
		return in.Limit
	}
	return c.Fallback
}

// heat walks the ladder by the forecast.
func heat(c Config, s State, in Input, d *Decision) State {
	if !in.Sensors {
		return s // a machine without sensors guards itself
	}
	if !heatKnown(c, in) {
		return lost(c, s, in, d)
	}
	s.lostSince = time.Time{}
	top := limit(c, in)
	guard := top - c.Margin
	ahead := guard - (s.temp + math.Max(s.slope, 0)*c.Horizon.Seconds())
	now := guard - in.Temp
	d.Headroom = ahead

	l := c.ladder()
	s.notch = min(s.notch, l.lowest()) // the smaller model may have been taken away
	s = s.walk(l, in.At, math.Min(ahead, now+1))
	s = s.gate(c, s.notch >= l.first(Batch), in.Temp, guard, top, in.Slowed)
	l.set(s.notch, d)

	hot := fmt.Sprintf("%s is at %.0f °C, its limit is %.0f °C", in.Zone, in.Temp, top)
	switch {
	case s.aborting:
		d.Abort, d.TooHot = true, true
		d.Reason = hot + ": all work stopped until it cools down"
	case s.refusing:
		d.Admit, d.TooHot = false, true
		d.Reason = hot + ": no new work until it cools down"
	case d.Rung > Full:
		d.Reason = hot + ": working more slowly"
	}
	d.Retry = s.retry(guard, in.Temp)
	return s.report(in.At, d)
}

// walk moves at most a few notches.
func (s State) walk(l ladder, at time.Time, headroom float64) State {
	need, wait := l.need(s.notch, headroom)
	if s.notch == 0 || headroom < need {
		s.calm = at
	}
	switch {
	case headroom < 0 && s.notch < l.lowest() && at.Sub(s.moved) >= dropEvery:
		if !s.raised.IsZero() && at.Sub(s.raised) < 2*time.Minute {
			s.patience = min(s.patience+1, 4) // the last thread up was one too many
		}
		s.raised = time.Time{}
		s.notch = min(s.notch+l.drop(s.notch, headroom), l.lowest())
		s.moved, s.calm = at, at
	case s.notch > 0 && headroom >= need && at.Sub(s.calm) >= wait<<l.patience(s):
		if l.threadUp(s.notch) {
			s.raised = at
		}
		s.notch -= l.raise(s.notch, headroom-need)
		s.moved, s.calm = at, at
	}
	if s.notch == 0 && at.Sub(s.moved) > 10*time.Minute {
		s.patience = 0
	}
	return s
}

// gate decides about refusing and aborting, each with its own threshold and way back.
func (s State) gate(c Config, low bool, temp, guard, top float64, slowed bool) State {
	switch {
	case temp >= guard+c.RefuseOver && low || temp >= top-0.5 || slowed && temp >= guard:
		s.refusing = true
	case temp <= guard-coolDown:
		s.refusing = false
	}
	switch {
	case temp >= top:
		s.aborting = true
	case temp <= guard-coolDown/2:
		s.aborting = false
	}
	return s
}

// retry is when the board will probably have cooled down.
func (s State) retry(guard, temp float64) time.Duration {
	if s.slope < -0.02 {
		left := (temp - (guard - coolDown)) / -s.slope
		return clamp(time.Duration(left*float64(time.Second)), 2*time.Second, 2*time.Minute)
	}
	return 30 * time.Second
}

func clamp(d, lo, hi time.Duration) time.Duration { return min(max(d, lo), hi) }

// report keeps a rung on show for a while after it was needed.
func (s State) report(at time.Time, d *Decision) State {
	if d.Rung >= s.shown || at.Sub(s.lowered) >= holdRung {
		if d.Rung != s.shown || d.Rung > Full {
			s.lowered = at
		}
		s.shown = d.Rung
		return s
	}
	d.Rung = s.shown
	if d.Reason == "" {
		d.Reason = "cooling down: full speed again soon"
	}
	return s
}

// lost fails closed: slow and refusing at once, stopping where it lasts.
func lost(c Config, s State, in Input, d *Decision) State {
	if s.lostSince.IsZero() {
		s.lostSince = in.At
	}
	l := c.ladder()
	s.notch = max(s.notch, l.first(Pace)-1)
	s.moved, s.calm = in.At, in.At
	l.set(s.notch, d)
	d.Admit, d.Fault, d.Retry = false, true, 30*time.Second
	d.Abort = in.At.Sub(s.lostSince) >= 3*c.MaxAge
	d.Reason = "no temperature can be read: no new work until a sensor answers"
	return s
}

// power goes straight to the fewest threads while the supply is weak: the peak
// of current is what makes the voltage dip.
func power(c Config, s State, in Input, d *Decision) State {
	if in.SupplyWeak {
		s.weakUntil = in.At.Add(holdWeak)
	}
	if !in.At.Before(s.weakUntil) {
		return s
	}
	d.Weak = true
	d.Threads = min(d.Threads, c.LowThreads)
	d.Rung = max(d.Rung, Threads)
	if d.Reason == "" {
		d.Reason = "the power supply is too weak: working with the fewest threads"
	}
	return s
}
