package hw

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Light shows patterns. Panel is the real one.
type Light interface {
	// Show replaces what is shown. Showing the same again changes nothing.
	Show(Pattern) error
	// Beat tells of one real step of the work; it shows where the pattern is a beat.
	Beat() error
	// Halt leaves the configured exit state behind and gives the devices back.
	Halt() error
}

// output is one lamp.
type output interface {
	// play shows steps at a level and reports whether the kernel does it alone.
	// Where it does not, Panel.Run calls set in their rhythm.
	play(p *Pattern, level uint8) (alone bool, err error)
	// set lights the lamp steadily; level 0 is dark.
	set(level uint8) error
	// flash lights it once for a beat and reports whether the kernel ends it.
	flash(level uint8) (alone bool, err error)
	halt(exit string) error
}

// lamp is an output with its place in a light.
type lamp struct {
	name  string // as configured: a colour, or anything for a single LED
	place string
	out   output
	level uint8 // of the pattern that is shown
	alone bool  // the kernel plays it
}

// light is one configured light: some lamps that show a pattern together.
type light struct {
	config   LightConfig
	patterns map[string]Pattern
	lamps    []*lamp
	shown    Pattern
}

// Panel is all lights of the board. Its methods may be called from any
// goroutine. Patterns that the kernel cannot play alone move only while Run runs.
type Panel struct {
	mu      sync.Mutex
	lights  []*light
	current Pattern
	shown   bool // current was shown once
	busy    bool // a lamp test or Once plays
	halted  bool
	since   time.Time
	dark    time.Time // when a software beat ends; zero for none
	wake    chan struct{}
}

// OpenPanel opens the lights below root. Every light is tried; the error joins
// what failed, and the panel works with the rest. lines opens GPIO lines; nil
// means the machine's own, which needs root to be /.
func OpenPanel(root string, configs []LightConfig, lines LineOpener) (*Panel, error) {
	t, err := openTree(root)
	if err != nil {
		return nil, err
	}
	if lines == nil && t.whole {
		lines = OpenLine
	}
	p := &Panel{wake: make(chan struct{}, 1)}
	var errs []error
	for i, c := range configs {
		l, err := openLight(t, c, lines)
		if err != nil {
			errs = append(errs, fmt.Errorf("light %d (%s): %w", i+1, c.Kind, err))
		}
		if l != nil && len(l.lamps) > 0 {
			p.lights = append(p.lights, l)
		}
	}
	return p, errors.Join(errs...)
}

func openLight(t *tree, c LightConfig, lines LineOpener) (*light, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	l := &light{config: c, patterns: map[string]Pattern{}}
	for name, text := range c.Patterns {
		l.patterns[name], _ = ParsePattern(name, text) // Check has read it
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(c.Lamps)) {
		place := c.Lamps[name]
		kind, where, _ := splitPlace(place)
		var out output
		var err error
		switch {
		case kind == "gpio":
			out, err = openGPIOLamp(lines, where, c.Inverted)
		case c.Kind == "rgb" && len(c.Lamps) == 1:
			out, err = openMultiLED(t, where, c.Inverted)
		default:
			out, err = openSysfsLED(t, where, c.Inverted)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("lamp %s: %w", place, err))
			continue
		}
		l.lamps = append(l.lamps, &lamp{name: name, place: place, out: out})
	}
	return l, errors.Join(errs...)
}

// substitutes are what a stack light shows for a colour that it lacks.
var substitutes = map[Color][]Color{
	Red: {Red, Orange, Yellow}, Orange: {Orange, Yellow, Red}, Yellow: {Yellow, Orange, Red},
	Blue: {Blue, White, Yellow}, Green: {Green, White}, White: {White},
}

// tinted is an output of every colour.
type tinted interface{ tint(mix [3]uint8) error }

// levels sets each lamp's level for a colour.
func (l *light) levels(c Color) error {
	full := 255
	if b := l.config.Brightness; b > 0 {
		full = 255 * b / 100
	}
	part := func(v uint8) uint8 { return uint8(int(v) * full / 255) }
	mix := mixes[c]
	if one, ok := l.lamps[0].out.(tinted); ok || l.config.Kind == "led" {
		l.lamps[0].level = part(255)
		if c == Dark {
			l.lamps[0].level = 0
		}
		if ok {
			return one.tint(mix)
		}
		return nil
	}
	switch l.config.Kind {
	case "rgb":
		for _, m := range l.lamps {
			m.level = part(mix[slices.Index(parts, m.name)])
		}
	case "stack":
		for _, m := range l.lamps {
			m.level = 0
		}
		for _, try := range substitutes[c] {
			if i := slices.IndexFunc(l.lamps, func(m *lamp) bool { return m.name == string(try) }); i >= 0 {
				l.lamps[i].level = part(255)
				break
			}
		}
	}
	return nil
}

// show sets the lamps to a pattern; beats start dark.
func (l *light) show(p Pattern) error {
	if own, ok := l.patterns[p.Name]; ok {
		p = own
	}
	l.shown = p
	errs := []error{l.levels(p.Color)}
	for _, m := range l.lamps {
		var err error
		switch {
		case m.level == 0 || p.Beat:
			m.alone, err = true, m.out.set(0)
		default:
			m.alone, err = m.out.play(&p, m.level)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("lamp %s: %w", m.place, err))
		}
	}
	return errors.Join(errs...)
}

// Show replaces what all lights show.
func (p *Panel) Show(pattern Pattern) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.halted || p.shown && samePattern(p.current, pattern) {
		return nil
	}
	p.current, p.shown = pattern, true
	return p.apply()
}

func samePattern(a, b Pattern) bool {
	return a.Name == b.Name && a.Color == b.Color && a.Beat == b.Beat && slices.Equal(a.Steps, b.Steps)
}

// apply shows the current pattern; the caller holds the lock.
func (p *Panel) apply() error {
	if p.busy || !p.shown {
		return nil
	}
	p.since, p.dark = time.Now(), time.Time{}
	var errs []error
	for _, l := range p.lights {
		errs = append(errs, l.show(p.current))
	}
	p.poke()
	return errors.Join(errs...)
}

func (p *Panel) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Beat flashes the lights whose pattern is a beat.
func (p *Panel) Beat() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy || p.halted {
		return nil
	}
	var errs []error
	for _, l := range p.lights {
		if !l.shown.Beat {
			continue
		}
		for _, m := range l.lamps {
			if m.level == 0 {
				continue
			}
			alone, err := m.out.flash(m.level)
			errs = append(errs, err)
			if m.alone = alone; !alone {
				p.dark = time.Now().Add(beatFlash)
				p.poke()
			}
		}
	}
	return errors.Join(errs...)
}

// Run moves what the kernel does not move alone, until ctx ends.
func (p *Panel) Run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(p.step(time.Now()))
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		case <-timer.C:
		}
	}
}

// step brings software lamps to where they should be now and says for how long.
func (p *Panel) step(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := time.Hour
	if p.busy || p.halted {
		return next
	}
	for _, l := range p.lights {
		for _, m := range l.lamps {
			if m.alone || m.level == 0 {
				continue
			}
			on, left := l.shown.at(now.Sub(p.since))
			if l.shown.Beat {
				on, left = now.Before(p.dark), p.dark.Sub(now)
				m.alone = !on
			}
			level := m.level
			if !on {
				level = 0
			}
			_ = m.out.set(level) // play has reported what is wrong with the lamp
			if left > 0 {
				next = min(next, left)
			}
		}
	}
	return next
}

// Once plays a pattern one time on all lights, then goes back to what was
// shown. It blocks until done.
func (p *Panel) Once(ctx context.Context, pattern Pattern) error {
	return p.perform(ctx, func(play func(Pattern, time.Duration)) {
		for i, d := range pattern.Steps {
			c := pattern.Color
			if i%2 == 1 {
				c = Dark
			}
			play(Pattern{Color: c}, d)
		}
	})
}

// Test lights every colour in turn, then all at once: a lamp test. It blocks
// until done.
func (p *Panel) Test(ctx context.Context) error {
	return p.perform(ctx, func(play func(Pattern, time.Duration)) {
		for _, c := range []Color{Red, Orange, Yellow, Green, Blue, White} {
			play(Pattern{Color: c}, 500*time.Millisecond)
			play(Pattern{Color: Dark}, 200*time.Millisecond)
		}
	})
}

func (p *Panel) perform(ctx context.Context, script func(play func(Pattern, time.Duration))) error {
	p.mu.Lock()
	if p.busy || p.halted {
		p.mu.Unlock()
		return errors.New("the lights are busy with a test")
	}
	p.busy = true
	p.mu.Unlock()
	var errs []error
	script(func(pattern Pattern, d time.Duration) {
		if ctx.Err() != nil {
			return
		}
		p.mu.Lock()
		for _, l := range p.lights {
			errs = append(errs, l.levels(pattern.Color))
			for _, m := range l.lamps {
				m.alone = true
				errs = append(errs, m.out.set(m.level))
			}
		}
		p.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(d):
		}
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy = false
	if !p.halted {
		errs = append(errs, p.apply())
	}
	return errors.Join(errs...)
}

// Halt leaves the exit states behind. The panel shows nothing after it.
func (p *Panel) Halt() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.halted {
		return nil
	}
	p.halted = true
	p.poke()
	var errs []error
	for _, l := range p.lights {
		for _, m := range l.lamps {
			errs = append(errs, m.out.halt(l.config.Exit))
		}
	}
	return errors.Join(errs...)
}
