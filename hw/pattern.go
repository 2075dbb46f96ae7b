package hw

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Color is what a lamp shows. A lamp of one colour shows every colour and
// leaves it to the rhythm to tell them apart.
type Color string

// Colours, after NAMUR NE 107 and IEC 60073.
const (
	Dark   Color = "dark"
	Red    Color = "red"
	Orange Color = "orange"
	Yellow Color = "yellow"
	Green  Color = "green"
	Blue   Color = "blue"
	White  Color = "white"
)

// mixes are the parts of red, green and blue, 0 to 255.
var mixes = map[Color][3]uint8{
	Dark: {}, Red: {255, 0, 0}, Orange: {255, 80, 0}, Yellow: {255, 200, 0},
	Green: {0, 255, 0}, Blue: {0, 0, 255}, White: {255, 255, 255},
}

// parts are the lamps of a light that mixes.
var parts = []string{"red", "green", "blue"}

// Pattern is one thing that a lamp can say.
type Pattern struct {
	Name  string
	Color Color
	// Steps are on, off, on, off … from the start, repeated; none is steady.
	Steps []time.Duration
	// Beat makes the lamp flash only when Panel.Beat is called, so that a
	// program that makes no progress goes dark. Steps[0] is the flash.
	Beat bool
}

// Flashes makes steps that flash n times and pause: a blink code.
func Flashes(n int, on, off, pause time.Duration) []time.Duration {
	var steps []time.Duration
	for range n {
		steps = append(steps, on, off)
	}
	if n > 0 {
		steps[len(steps)-1] = pause
	}
	return steps
}

// ParsePattern reads a configured pattern: a colour, then "steady", "beat", or
// on and off times in milliseconds: "red 200 200 200 1200".
func ParsePattern(name, text string) (Pattern, error) {
	f := strings.Fields(text)
	p := Pattern{Name: name}
	if len(f) == 0 {
		return p, fmt.Errorf("pattern %s is empty: write a colour, then steady, beat or times in ms", name)
	}
	p.Color = Color(f[0])
	if _, ok := mixes[p.Color]; !ok {
		return p, fmt.Errorf("pattern %s: no colour %q: use red, orange, yellow, green, blue, white or dark", name, f[0])
	}
	switch {
	case len(f) == 1 || len(f) == 2 && f[1] == "steady":
		return p, nil
	case len(f) == 2 && f[1] == "beat":
		p.Beat, p.Steps = true, []time.Duration{beatFlash}
		return p, nil
	case len(f)%2 == 0:
		return p, fmt.Errorf("pattern %s: on and off times come in pairs, in ms", name)
	case len(f) > 65:
		return p, fmt.Errorf("pattern %s: at most 64 times", name)
	}
	for _, w := range f[1:] {
		ms, err := strconv.Atoi(w)
		if err != nil || ms < 20 || ms > 60_000 {
			return p, fmt.Errorf("pattern %s: %q is not a time from 20 to 60000 ms", name, w)
		}
		p.Steps = append(p.Steps, time.Duration(ms)*time.Millisecond)
	}
	return p, nil
}

// beatFlash is how long one beat lights up.
const beatFlash = 80 * time.Millisecond

// at reports whether a repeated pattern is on at that time after its start, and
// how long until that changes; 0 means never.
func (p *Pattern) at(since time.Duration) (on bool, next time.Duration) {
	if len(p.Steps) == 0 {
		return true, 0
	}
	var whole time.Duration
	for _, s := range p.Steps {
		whole += s
	}
	if whole <= 0 {
		return true, 0
	}
	since %= whole
	for i, s := range p.Steps {
		if since < s {
			return i%2 == 0, s - since
		}
		since -= s
	}
	return false, 0
}

// LightConfig describes one light of the board.
type LightConfig struct {
	// Kind is "led" (one lamp), "rgb" (three that mix) or "stack" (one lamp per colour).
	Kind string
	// Lamps says where each lamp is: "led" has one, under any name; "rgb" has red,
	// green and blue, or one LED of the kernel that has all colours; "stack" has
	// colours. A place is "sysfs:NAME", a folder of
	// /sys/class/leds, or "gpio:CHIP/LINE", a chip's label and a line's number or name.
	Lamps map[string]string
	// Inverted lamps light at a low level or brightness 0.
	Inverted bool
	// Brightness in percent, 0 means 100. GPIO lamps know only on and off.
	Brightness int
	// Patterns replace the built-in ones by name; see ParsePattern.
	Patterns map[string]string
	// Exit is what stays on when the program ends: "off" (also ""), "on", or
	// "restore" for what a sysfs LED showed before.
	Exit string
}

// Check finds what is wrong with a light before any device is touched.
func (c *LightConfig) Check() error {
	var need []string
	switch c.Kind {
	case "led":
		if len(c.Lamps) != 1 {
			return errors.New(`a light of kind "led" has exactly one lamp`)
		}
	case "rgb":
		switch len(c.Lamps) {
		case 1:
			for _, place := range c.Lamps {
				if strings.HasPrefix(place, "gpio:") {
					return errors.New(`one lamp of all colours must be an LED of the kernel, "sysfs:NAME"`)
				}
			}
		case 3:
			need = parts
		default:
			return errors.New(`a light of kind "rgb" has the lamps red, green and blue, or one LED of all colours`)
		}
	case "stack":
		if len(c.Lamps) == 0 {
			return errors.New(`a light of kind "stack" needs at least one lamp`)
		}
	default:
		return fmt.Errorf(`no kind of light %q: use "led", "rgb" or "stack"`, c.Kind)
	}
	for _, n := range need {
		if c.Lamps[n] == "" {
			return fmt.Errorf(`a light of kind %q needs the lamp %q`, c.Kind, n)
		}
	}
	for name, place := range c.Lamps {
		if c.Kind == "stack" {
			if _, ok := mixes[Color(name)]; !ok || Color(name) == Dark {
				return fmt.Errorf("no lamp colour %q: use red, orange, yellow, green, blue or white", name)
			}
		}
		if _, _, err := splitPlace(place); err != nil {
			return err
		}
	}
	if c.Brightness < 0 || c.Brightness > 100 {
		return fmt.Errorf("brightness %d is not 0 to 100 percent", c.Brightness)
	}
	if !slices.Contains([]string{"", "off", "on", "restore"}, c.Exit) {
		return fmt.Errorf(`no exit state %q: use "off", "on" or "restore"`, c.Exit)
	}
	for name, text := range c.Patterns {
		if _, err := ParsePattern(name, text); err != nil {
			return err
		}
	}
	return nil
}

// splitPlace cuts "sysfs:ACT" and "gpio:pinctrl-rp1/17".
func splitPlace(place string) (kind, where string, err error) {
	kind, where, _ = strings.Cut(place, ":")
	switch {
	case kind == "sysfs" && where != "" && !strings.Contains(where, "/") && where != "..":
		return kind, where, nil
	case kind == "gpio":
		if chip, line, ok := strings.Cut(where, "/"); ok && chip != "" && line != "" {
			return kind, where, nil
		}
	}
	return "", "", fmt.Errorf(`lamp %q: write "sysfs:NAME" (a folder of /sys/class/leds) or "gpio:CHIP/LINE" (a chip's label, a line's number or name)`, place)
}
