package slots

import (
	"fmt"

	"lineside/image/layout"
)

// Outcome is what Reconcile found at a start.
type Outcome string

// Outcomes.
const (
	Steady     Outcome = "steady"      // nothing to do
	OnTrial    Outcome = "on_trial"    // runs a trial that waits to be found healthy
	Kept       Outcome = "kept"        // a commit had been cut short, and is whole now
	RolledBack Outcome = "rolled_back" // a trial was started and did not hold: its slot is bad
	Pending    Outcome = "pending"     // an update waits to be tried
	Repaired   Outcome = "repaired"    // the selector was damaged and is whole again
	FellBack   Outcome = "fell_back"   // the committed slot did not start, the other one did
)

// Report says it in words too.
type Report struct {
	Outcome Outcome     `json:"outcome"`
	Slot    layout.Slot `json:"slot,omitempty"` // the slot it is about
	Text    string      `json:"text"`
}

// situation is what a start looks like. decide knows nothing else.
type situation struct {
	booted    layout.Slot
	tryboot   bool
	committed layout.Slot // empty: the selector is damaged
	kept      layout.Slot // what the copy of the selector says; empty: no copy
	state     State
}

// decision is what Reconcile does about it.
type decision struct {
	report Report
	choose layout.Slot // write the selector with this slot; empty: leave it
	state  State
}

// decide is the whole policy of a start, as a pure function.
func decide(s situation) decision {
	d := decision{state: s.state, report: Report{Outcome: Steady, Text: "slot " + string(s.booted) + " runs"}}
	if s.committed == "" {
		return repair(s, d)
	}
	t := s.state.Trial
	switch {
	case t != nil && t.Slot == s.committed:
		d.state.Trial = nil
		d.state.pardon(t.Slot)
		d.report = Report{Kept, t.Slot, fmt.Sprintf("slot %s is kept", t.Slot)}
	case t != nil && t.Slot == s.booted:
		running := *t
		running.Phase = Running
		d.state.Trial = &running
		d.report = Report{OnTrial, t.Slot, fmt.Sprintf("slot %s is being tried", t.Slot)}
	case t != nil && t.Phase != Armed:
		why := fmt.Sprintf("it was started on trial and did not hold; slot %s runs again", s.booted)
		d.state.condemn(t.Slot, Mark{Why: why, Whole: true})
		d.report = Report{RolledBack, t.Slot, fmt.Sprintf("slot %s: %s", t.Slot, why)}
	case t != nil:
		d.report = Report{Pending, t.Slot, fmt.Sprintf("slot %s holds an update that waits to be tried", t.Slot)}
	case s.booted != s.committed:
		why := fmt.Sprintf("slot %s is chosen but did not start", s.committed)
		d.state.Trial = &Trial{Slot: s.booted, Phase: Running, Why: why}
		d.report = Report{FellBack, s.committed, fmt.Sprintf("%s: slot %s runs", why, s.booted)}
	}
	return d
}

// repair writes a damaged selector anew: as its copy says, else with the slot that runs.
func repair(s situation, d decision) decision {
	d.choose = s.kept
	if d.choose == "" {
		d.choose = s.booted
		if s.tryboot {
			d.choose = s.booted.Other()
		}
	}
	d.report = Report{Repaired, d.choose, fmt.Sprintf("%s was damaged and is written anew: slot %s starts next", layout.AutobootFile, d.choose)}
	if t := d.state.Trial; t != nil && t.Slot == s.booted && t.Slot != d.choose {
		running := *t
		running.Phase = Running
		d.state.Trial = &running
	}
	return d
}

// Reconcile brings selector, copy and state in line with what has started. It runs early
// at every start and may run again; errors leave a board that starts.
func (b *Board) Reconcile() (Report, error) {
	s := situation{booted: b.booted(), tryboot: b.tryboot()}
	if s.booted == "" {
		return Report{}, fmt.Errorf("%w: the kernel's command line has no rauc.slot=", ErrWhere)
	}
	var err error
	if s.state, err = b.readState(); err != nil {
		return Report{}, err
	}
	s.committed, _ = b.committed()
	s.kept, _ = b.copied()
	d := decide(s)
	if t := d.state.Trial; t != nil && t.Since.IsZero() {
		t.Since = b.now()
	}
	if d.choose != "" {
		if err := b.choose(d.choose); err != nil {
			return d.report, err
		}
	} else if s.kept != s.committed {
		if err := b.copy(s.committed); err != nil {
			return d.report, err
		}
	}
	return d.report, b.writeState(d.state)
}
