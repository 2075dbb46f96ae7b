package lamp

import (
	"time"

	"lineside/hw"
)

// look is how a category shows. The LED card in docs/ is made from this table.
type look struct {
	name    string // in MQTT, metrics and the patterns' configuration
	title   string // on the card
	meaning string
	pattern hw.Pattern
	rhythm  string // on the card
}

const (
	flashOn  = 200 * time.Millisecond
	flashOff = 300 * time.Millisecond
	pause    = 1500 * time.Millisecond
	beat     = 80 * time.Millisecond
)

// table has a look for every category. Colours are NE 107's; the number of
// flashes says the same on a lamp of one colour, and to people who do not tell
// colours apart.
var table = [categories]look{
	Good: {"good", "Good", "Ready. No lamp at all: the program hangs or there is no power.",
		hw.Pattern{Color: hw.Green, Steps: []time.Duration{beat}, Beat: true}, "short flash every two seconds"},
	Busy: {"busy", "Busy", "Answering.",
		hw.Pattern{Color: hw.Green, Steps: []time.Duration{flashOn, flashOn}}, "quick even blinking"},
	Starting: {"starting", "Starting", "Loading the model.",
		hw.Pattern{Color: hw.Green, Steps: []time.Duration{time.Second, time.Second}}, "slow even blinking"},
	Maintenance: {"maintenance", "Maintenance required", "Works, but needs care soon.",
		hw.Pattern{Color: hw.Blue, Steps: hw.Flashes(2, flashOn, flashOff, pause)}, "two flashes, pause"},
	OutOfSpec: {"out-of-specification", "Out of specification", "Works at its limits: slower, or refusing for now.",
		hw.Pattern{Color: hw.Yellow, Steps: hw.Flashes(3, flashOn, flashOff, pause)}, "three flashes, pause"},
	FunctionCheck: {"function-check", "Function check", "Someone is working on it.",
		hw.Pattern{Color: hw.Orange, Steps: hw.Flashes(4, flashOn, flashOff, pause)}, "four flashes, pause"},
	Failure: {"failure", "Failure", "Gives no answers.",
		hw.Pattern{Color: hw.Red, Steps: hw.Flashes(5, flashOn, flashOff, pause)}, "five flashes, pause"},
}

// BeatEvery is how often a healthy, idle board beats.
const BeatEvery = 2 * time.Second

// Pattern is what a light shows for a category.
func Pattern(c Category) hw.Pattern {
	p := table[c].pattern
	p.Name = table[c].name
	return p
}

// Patterns are all of them, gravest first: names that a configuration may replace.
func Patterns() []hw.Pattern {
	var all []hw.Pattern
	for c := Failure; ; c-- {
		all = append(all, Pattern(c))
		if c == Good {
			return all
		}
	}
}

// BlinkOut spells a number in flashes of white: 30 is three flashes, a pause, and
// one long flash for the zero.
func BlinkOut(number int) hw.Pattern {
	p := hw.Pattern{Name: "blink-out", Color: hw.White}
	for _, d := range digits(number) {
		if d == 0 {
			p.Steps = append(p.Steps, time.Second, pause)
			continue
		}
		p.Steps = append(p.Steps, hw.Flashes(d, flashOn, flashOff, pause)...)
	}
	return p
}

func digits(n int) []int {
	if n < 10 {
		return []int{max(n, 0)}
	}
	return append(digits(n/10), n%10)
}

// BlinkCode is the number that the button's blink-out spells: the category's
// flashes, then the condition's place among its kin, which may be of two digits.
func (g Signal) BlinkCode() int {
	if g.Category < Maintenance {
		return 1
	}
	place := 0
	for c := Condition(0); c <= g.Condition; c++ {
		if c.Category() == g.Category {
			place++
		}
	}
	flashes := int(g.Category) - int(Maintenance) + 2
	if place > 9 {
		return flashes*100 + place
	}
	return flashes*10 + place
}

// Describe says in words what a lamp shows for a category: "green, slow even blinking".
func Describe(c Category) string {
	return string(table[c].pattern.Color) + ", " + table[c].rhythm
}
