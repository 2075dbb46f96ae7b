package hw

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"periph.io/x/conn/v3/driver/driverreg"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/host/v3/gpioioctl"
)

// LineOpener opens one GPIO line by its chip's label and its number or name.
type LineOpener func(chip, line string) (gpio.PinIO, error)

// OpenLine opens a line of this machine through periph. Chips are found by
// label, because their numbers change between kernels. It loads only periph's
// character-device driver, which touches nothing until a line is used.
func OpenLine(chip, line string) (gpio.PinIO, error) {
	if _, err := driverreg.Init(); err != nil {
		return nil, fmt.Errorf("gpio: %w", err)
	}
	var labels []string
	for _, c := range gpioioctl.Chips {
		labels = append(labels, c.Label())
		if c.Label() != chip {
			continue
		}
		if n, err := strconv.Atoi(line); err == nil {
			if n < 0 || n >= c.LineCount() {
				return nil, fmt.Errorf("chip %s has lines 0 to %d, no %d", chip, c.LineCount()-1, n)
			}
			return c.ByNumber(n), nil
		}
		if l := c.ByName(line); l != nil {
			return l, nil
		}
		return nil, fmt.Errorf("chip %s has no line %q: see gpioinfo, or give its number", chip, line)
	}
	return nil, fmt.Errorf("no GPIO chip %q: this machine shows %s (is the service in group gpio?)", chip, orNone(labels))
}

var errNoLines = errors.New("GPIO is only there on the board itself, not below another root")

func openLine(lines LineOpener, where string) (gpio.PinIO, error) {
	if lines == nil {
		return nil, errNoLines
	}
	chip, line, _ := strings.Cut(where, "/")
	return lines(chip, line)
}

// gpioLamp is a lamp on one GPIO line. The kernel does not blink it: for a lamp
// that outlives a hang, describe it as gpio-leds in the device tree instead.
type gpioLamp struct {
	pin      gpio.PinOut
	inverted bool
}

func openGPIOLamp(lines LineOpener, where string, inverted bool) (*gpioLamp, error) {
	pin, err := openLine(lines, where)
	if err != nil {
		return nil, err
	}
	g := &gpioLamp{pin: pin, inverted: inverted}
	if err := g.set(0); err != nil {
		return nil, fmt.Errorf("%w (is the line taken? see gpioinfo)", err)
	}
	return g, nil
}

// set lights the lamp from a quarter of full on, so that mixed colours show.
func (g *gpioLamp) set(level uint8) error {
	return g.pin.Out(gpio.Level((level >= 64) != g.inverted))
}

func (g *gpioLamp) play(p *Pattern, level uint8) (bool, error) {
	return len(p.Steps) == 0, g.set(level)
}

func (g *gpioLamp) flash(level uint8) (bool, error) { return false, g.set(level) }

func (g *gpioLamp) halt(exit string) error {
	level := uint8(0)
	if exit == "on" {
		level = 255
	}
	err := g.set(level)
	if e := g.pin.Halt(); err == nil {
		err = e
	}
	return err
}

// CheckLine finds what is wrong with a line's place, "gpio:CHIP/LINE".
func CheckLine(place string) error {
	kind, _, err := splitPlace(place)
	if err == nil && kind != "gpio" {
		err = fmt.Errorf("%q is no line: write \"gpio:CHIP/LINE\"", place)
	}
	return err
}

// Press is how long a button was held.
type Press uint8

// Presses.
const (
	ShortPress Press = iota + 1
	LongPress
)

// LongAfter is how long a button must be held for a LongPress, which is told at
// that moment and not at the release.
const LongAfter = 5 * time.Second

// bounce is how long contacts may chatter.
const bounce = 30 * time.Millisecond

// Button is a push button between a GPIO line and ground, with pull-up.
type Button struct {
	pin      gpio.PinIn
	inverted bool // closed means high, with pull-down
}

// OpenButton opens a button at "gpio:CHIP/LINE". lines as in OpenPanel.
func OpenButton(place string, inverted bool, lines LineOpener) (*Button, error) {
	if lines == nil {
		lines = OpenLine
	}
	_, where, _ := strings.Cut(place, ":")
	pin, err := openLine(lines, where)
	if err != nil {
		return nil, fmt.Errorf("button %s: %w", place, err)
	}
	pull := gpio.PullUp
	if inverted {
		pull = gpio.PullDown
	}
	if err := pin.In(pull, gpio.BothEdges); err != nil {
		return nil, fmt.Errorf("button %s: %w (is the line taken? see gpioinfo)", place, err)
	}
	return &Button{pin: pin, inverted: inverted}, nil
}

// Run calls pressed for every press until ctx ends.
func (b *Button) Run(ctx context.Context, pressed func(Press)) error {
	stop := context.AfterFunc(ctx, func() { _ = b.pin.Halt() })
	defer stop()
	var s buttonState
	for ctx.Err() == nil {
		// A bounded wait also sees a release whose edge was lost, and the end of ctx.
		start := time.Now()
		if !b.pin.WaitForEdge(s.wait()) && time.Since(start) < time.Millisecond {
			// The line is broken or taken away: do not spin on it.
			select {
			case <-ctx.Done():
			case <-time.After(s.wait()):
			}
		}
		down := bool(b.pin.Read()) == b.inverted
		var p Press
		if s, p = s.next(down, time.Now()); p != 0 {
			pressed(p)
		}
	}
	return nil
}

// Held reports whether the button is down now and stays down for d: a wish that is made
// by holding it while the board starts.
func (b *Button) Held(ctx context.Context, d time.Duration) bool {
	down := func() bool { return ctx.Err() == nil && bool(b.pin.Read()) == b.inverted }
	for until := time.Now().Add(d); time.Now().Before(until); {
		if !down() {
			return false
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	return down()
}

// buttonState follows one button. next is pure.
type buttonState struct {
	down  bool
	since time.Time // when down became true
	told  bool      // the long press was told
}

func (s buttonState) wait() time.Duration {
	if s.down {
		return 50 * time.Millisecond
	}
	return 500 * time.Millisecond
}

func (s buttonState) next(down bool, now time.Time) (buttonState, Press) {
	switch {
	case down && !s.down:
		return buttonState{down: true, since: now}, 0
	case down && !s.told && now.Sub(s.since) >= LongAfter:
		s.told = true
		return s, LongPress
	case !down && s.down:
		if s.told || now.Sub(s.since) < bounce {
			return buttonState{}, 0
		}
		return buttonState{}, ShortPress
	}
	return s, 0
}
