package slots

import (
	"errors"
	"fmt"
	"io"

	"lineside/image/layout"
)

// ErrVerb says that the backend was called in a way that RAUC does not call it.
var ErrVerb = errors.New("unknown call of the bootloader backend")

// Backend answers one call of RAUC's custom bootloader backend:
//
//	get-primary | set-primary SLOT | get-current | get-state SLOT | set-state SLOT good|bad
//
// A slot that is being tried is not made good here: only Commit does that, after the
// health check.
func (b *Board) Backend(out io.Writer, args ...string) error {
	verb, slot, rest := split(args)
	switch {
	case verb == "get-primary" && len(args) == 1:
		return b.printPrimary(out)
	case verb == "get-current" && len(args) == 1:
		s := b.booted()
		if s == "" {
			return ErrWhere
		}
		_, err := fmt.Fprintln(out, s)
		return err
	case !slot.Valid():
		return fmt.Errorf("%w: %q", ErrVerb, args)
	case verb == "set-primary" && len(rest) == 0:
		return b.Arm(slot)
	case verb == "get-state" && len(rest) == 0:
		return b.printState(out, slot)
	case verb == "set-state" && len(rest) == 1 && rest[0] == "bad":
		return b.Condemn(slot, "an update is being written, or was given up")
	case verb == "set-state" && len(rest) == 1 && rest[0] == "good":
		return b.praise(slot)
	}
	return fmt.Errorf("%w: %q", ErrVerb, args)
}

func split(args []string) (verb string, slot layout.Slot, rest []string) {
	if len(args) > 0 {
		verb = args[0]
	}
	if len(args) > 1 {
		slot, rest = layout.Slot(args[1]), args[2:]
	}
	return verb, slot, rest
}

// printPrimary prints the slot that a restart leads to: the armed one, else the committed.
func (b *Board) printPrimary(out io.Writer) error {
	state, err := b.readState()
	if err != nil {
		return err
	}
	if state.Trial != nil {
		_, err = fmt.Fprintln(out, state.Trial.Slot)
		return err
	}
	s, err := b.committed()
	if err == nil {
		_, err = fmt.Fprintln(out, s)
	}
	return err
}

func (b *Board) printState(out io.Writer, s layout.Slot) error {
	state, err := b.readState()
	if err != nil {
		return err
	}
	word := "good"
	if _, bad := state.Bad[s]; bad {
		word = "bad"
	}
	_, err = fmt.Fprintln(out, word)
	return err
}

// praise takes a bad mark off a slot.
func (b *Board) praise(s layout.Slot) error {
	state, err := b.readState()
	if err != nil {
		return err
	}
	if t := state.Trial; t != nil && t.Slot == s {
		return fmt.Errorf("slot %s is being tried: only the health check keeps it (lineside image slots commit)", s)
	}
	state.pardon(s)
	return b.writeState(state)
}
