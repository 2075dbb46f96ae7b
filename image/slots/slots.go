// Package slots decides which of a card's two systems starts, for the Raspberry Pi
// firmware's tryboot: a new system is tried once, kept only when it was found healthy,
// and given up otherwise.
//
// What starts is said by autoboot.txt on the selector partition and by nothing else. Its
// [all] section names the committed slot, its [tryboot] section always the other one, so
// that it changes only when a slot is committed: it is written whole beside the old one,
// brought onto the card and renamed over it. What is known of the slots (marked bad, being
// tried) stands on the data partition; losing that loses no start.
//
// The package never writes a slot (RAUC does) and never restarts the board by itself.
package slots

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"lineside/image/layout"
)

// Errors that callers decide on.
var (
	// ErrFirmware says that the bootloader in the board's EEPROM is too old to try a
	// slot: it would start the tried slot for good.
	ErrFirmware = errors.New("the board's bootloader cannot try a slot")
	// ErrNoTrial says that there is nothing to try, keep or give up.
	ErrNoTrial = errors.New("no update is being tried")
	// ErrBad says that a slot holds nothing that should start.
	ErrBad = errors.New("slot is marked bad")
	// ErrWhere says that the board does not know from which slot it runs.
	ErrWhere = errors.New("the running slot is unknown")
)

// Phase of a trial.
type Phase string

// Phases.
const (
	Armed   Phase = "armed"   // installed, not started yet
	Fired   Phase = "fired"   // the restart into it was asked for
	Running Phase = "running" // it runs now, and waits to be found healthy
)

// Trial is a slot that may become the committed one.
type Trial struct {
	Slot  layout.Slot `json:"slot"`
	Phase Phase       `json:"phase"`
	Since time.Time   `json:"since"`
	Why   string      `json:"why,omitempty"` // why it runs, where no update is the reason
}

// Mark says why a slot must not start.
type Mark struct {
	Why   string `json:"why"`
	Whole bool   `json:"whole"` // its contents are complete, so that it may be tried again
}

// State is what the data partition knows of the slots.
type State struct {
	Bad   map[layout.Slot]Mark `json:"bad,omitempty"`
	Trial *Trial               `json:"trial,omitempty"`
}

// Status is the whole picture, for people and for `rauc status`.
type Status struct {
	State
	Booted    layout.Slot `json:"booted"`    // runs now; empty where unknown
	Committed layout.Slot `json:"committed"` // starts next; empty where the selector is damaged
	Tryboot   bool        `json:"tryboot"`   // the firmware started this system as a trial
	Firmware  string      `json:"firmware"`  // why the bootloader cannot try a slot; empty where it can
}

// Board is the slots of one board, below its root folder.
type Board struct {
	Root string           // "/" on a board; a folder of captured files elsewhere
	Disk Disk             // nil: the operating system's
	Now  func() time.Time // nil: time.Now
	// Writable makes the selector partition writable, and read-only again. nil: it is.
	Writable func() (release func() error, err error)
}

func (b *Board) now() time.Time {
	if b.Now == nil {
		return time.Now().UTC().Truncate(time.Second)
	}
	return b.Now()
}

// Status reads everything and changes nothing. A damaged selector or state is no error.
func (b *Board) Status() (Status, error) {
	state, err := b.readState()
	if err != nil {
		return Status{}, err
	}
	s := Status{State: state, Booted: b.booted(), Tryboot: b.tryboot()}
	s.Committed, _ = b.committed()
	if err := b.firmware(); err != nil {
		s.Firmware = err.Error()
	}
	return s, nil
}

// Condemn marks a slot bad: it is about to be overwritten, or was found wanting. The
// running slot cannot be condemned.
func (b *Board) Condemn(s layout.Slot, why string) error {
	if s == b.booted() {
		return fmt.Errorf("slot %s runs now and cannot be marked bad", s)
	}
	if err := b.firmware(); err != nil {
		return err // before RAUC overwrites a slot that could not be tried
	}
	state, err := b.readState()
	if err != nil {
		return err
	}
	state.condemn(s, Mark{Why: why})
	return b.writeState(state)
}

func (s *State) condemn(slot layout.Slot, m Mark) {
	bad := maps.Clone(s.Bad) // decide promises to leave its argument alone
	if bad == nil {
		bad = map[layout.Slot]Mark{}
	}
	bad[slot] = m
	s.Bad = bad
	if s.Trial != nil && s.Trial.Slot == slot {
		s.Trial = nil
	}
}

func (s *State) pardon(slot layout.Slot) {
	s.Bad = maps.Clone(s.Bad)
	delete(s.Bad, slot)
}

// Arm notes that a slot was installed whole and may be tried at the next Fire. Arming
// the committed slot gives an armed trial up.
func (b *Board) Arm(s layout.Slot) error {
	if err := b.firmware(); err != nil {
		return err
	}
	state, err := b.readState()
	if err != nil {
		return err
	}
	committed, err := b.committed()
	if err != nil {
		return err
	}
	state.pardon(s)
	state.Trial = nil
	if s != committed {
		state.Trial = &Trial{Slot: s, Phase: Armed, Since: b.now()}
	}
	return b.writeState(state)
}

// Retry arms a slot that was given up, if an update did not leave it half written.
func (b *Board) Retry(s layout.Slot) error {
	state, err := b.readState()
	if err != nil {
		return err
	}
	if m, bad := state.Bad[s]; bad && !m.Whole {
		return fmt.Errorf("%w: %s: %s: install an update first", ErrBad, s, m.Why)
	}
	if s == b.booted() {
		return fmt.Errorf("slot %s runs already", s)
	}
	return b.Arm(s)
}

// Fire notes that the armed slot is about to start, once, and hands over to restart, which
// must ask the firmware for it. When restart fails, the slot is armed again.
func (b *Board) Fire(restart func() error) error {
	state, err := b.readState()
	if err != nil {
		return err
	}
	switch t := state.Trial; {
	case t == nil:
		return fmt.Errorf("%w: install one first", ErrNoTrial)
	case t.Phase == Running:
		return fmt.Errorf("slot %s is being tried already", t.Slot)
	}
	if err := b.firmware(); err != nil {
		return err
	}
	state.Trial.Phase = Fired
	if err := b.writeState(state); err != nil {
		return err
	}
	if err := restart(); err != nil {
		state.Trial.Phase = Armed
		return errors.Join(fmt.Errorf("ask for the restart: %w", err), b.writeState(state))
	}
	return nil
}

// Commit keeps the running slot, which was found healthy: from now on it starts. Nothing
// to keep is no error; did tells.
func (b *Board) Commit() (did bool, err error) {
	state, err := b.readState()
	if err != nil {
		return false, err
	}
	booted := b.booted()
	if booted == "" {
		return false, fmt.Errorf("%w: the kernel's command line has no rauc.slot=", ErrWhere)
	}
	committed, err := b.committed()
	if err != nil {
		return false, err
	}
	if committed == booted && state.Trial == nil {
		return false, nil
	}
	if t := state.Trial; committed != booted && (t == nil || t.Slot != booted) {
		return false, fmt.Errorf("%w: slot %s runs, %s starts next: run lineside image slots reconcile", ErrNoTrial, booted, committed)
	}
	if t := state.Trial; committed == booted && t.Slot != booted {
		return false, nil // the trial is the other slot's, and has not begun
	}
	if committed != booted {
		if err := b.choose(booted); err != nil {
			return false, err
		}
	}
	// From here on the slot is committed, whatever happens to the note of it.
	if t := state.Trial; t != nil && t.Why != "" {
		state.condemn(booted.Other(), Mark{Why: t.Why})
	}
	state.pardon(booted)
	state.Trial = nil
	return true, b.writeState(state)
}

// Rollback gives up the trial that runs: its slot is marked bad, and the committed one
// starts at the next restart.
func (b *Board) Rollback(why string) error {
	state, err := b.readState()
	if err != nil {
		return err
	}
	committed, err := b.committed()
	if err != nil {
		return err
	}
	switch t := state.Trial; {
	case t == nil || t.Slot != b.booted() || t.Slot == committed:
		return ErrNoTrial
	case t.Why != "":
		return fmt.Errorf("%w: %s: there is nothing to go back to", ErrNoTrial, t.Why)
	default:
		state.condemn(t.Slot, Mark{Why: why, Whole: true})
	}
	return b.writeState(state)
}
