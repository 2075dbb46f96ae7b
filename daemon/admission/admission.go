// Package admission decides at the door: whether a client asks too often, until
// when an ask must be answered, and whether the board takes on work at all. Its
// decisions are pure functions of their input, which carries the time.
//
// It never reads a payload, never queues and never answers.
package admission

import (
	"time"

	"lineside/daemon/governor"
	"lineside/mqtt"
)

// Verdict is what happens to an ask. The zero Verdict lets it in.
type Verdict struct {
	Code  mqtt.Code
	Text  string        // one sentence for the client
	Retry time.Duration // when to come back, for codes that say so
}

// OK reports whether the ask goes on.
func (v Verdict) OK() bool { return v.Code == mqtt.OK }

// Board is what admission must know of the board at one moment.
type Board struct {
	Draining bool
	Blocked  string // why nothing at all may be answered, as with a full audit log; empty: nothing
	Ready    bool   // the engine has a model
	Why      string // where it has none
	ReadyIn  time.Duration
	Starting bool              // the engine loads its model and has not done so for long
	Climate  governor.Decision // of heat and memory
}

// Any decides for asks of every kind, canned ones included.
func (b Board) Any() Verdict {
	switch {
	case b.Draining:
		return Verdict{mqtt.Draining, "the board is being taken out of service: ask another", 30 * time.Second}
	case b.Blocked != "":
		return Verdict{mqtt.NotReady, b.Blocked, 30 * time.Second}
	}
	return Verdict{}
}

// Model decides for asks that need the model.
func (b Board) Model() Verdict {
	if v := b.Any(); !v.OK() {
		return v
	}
	c := b.Climate
	switch {
	case !c.Admit && c.Fault:
		return Verdict{mqtt.Fault, c.Reason, 0}
	case !c.Admit && c.LowMemory && !c.TooHot:
		return Verdict{mqtt.LowMemory, c.Reason, least(c.Retry)}
	case !c.Admit:
		return Verdict{mqtt.TooHot, c.Reason, least(c.Retry)}
	case !b.Ready:
		why := b.Why
		if why == "" {
			why = "no model is loaded yet"
		}
		return Verdict{mqtt.NotReady, why, least(b.ReadyIn)}
	}
	return Verdict{}
}

// Queued decides for asks that need the model and can wait for it for as long as left: they are
// also taken in while the engine starts.
func (b Board) Queued(left time.Duration) Verdict {
	if b.Starting && left > least(b.ReadyIn) {
		b.Ready = true
	}
	return b.Model()
}

// least keeps clients from coming back at once.
func least(d time.Duration) time.Duration { return max(d, time.Second) }

// Times of an ask.
type Times struct {
	Default, Max time.Duration // the board's limits
	Skill        time.Duration // what the skill says for asks that name none; 0: nothing
	Asked        time.Duration // what the ask names; 0: nothing
	Expiry       time.Duration // what is left of the message's expiry; 0: none
	Waited       time.Duration // how long it may have waited at the broker
}

// Left is how long the board has for the answer; zero or less means that the
// ask waited past its deadline. An expiry is what the broker says is left, so
// that the time waited counts only against what the payload names.
func (t Times) Left() time.Duration {
	d := t.Asked
	if d == 0 {
		d = t.Skill
	}
	if d == 0 {
		d = t.Default
	}
	d = min(d, t.Max)
	if t.Expiry > 0 {
		return min(d, t.Expiry)
	}
	return d - t.Waited
}

// Margin is the part of a deadline that is kept for bringing the answer out.
func Margin(left time.Duration) time.Duration { return min(left/10, 500*time.Millisecond) }
