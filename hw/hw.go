// Package hw reads the board and drives its lamps. It finds what the kernel
// offers below a root folder (/ on the board itself, any folder of captured
// files elsewhere), reads it without forking a tool or trusting a zone or chip
// number, and shows patterns on LEDs by sysfs and GPIO.
//
// It never decides what a reading means for the work (daemon/governor does),
// never sets clocks, fans or power modes, and never opens the network.
package hw

import (
	"math"
	"strings"
	"time"
)

// Quality says how far a reading can be trusted.
type Quality uint8

// Qualities, worst first, so that the zero Reading promises nothing.
const (
	Unavailable Quality = iota // no value; Reason says why
	Stale                      // the last good value, older than its At; Reason says why
	Good                       // read when At says
)

func (q Quality) String() string {
	switch q {
	case Good:
		return "good"
	case Stale:
		return "stale"
	}
	return "unavailable"
}

// Reading is one measured value of the board.
type Reading struct {
	Kind    Kind
	Name    string  // the kernel's own name for it, unique within its kind: "cpu-thermal"
	Value   float64 // in Kind.Unit(); NaN where Quality is Unavailable
	Text    string  // the value in words, for a few kinds: "MODE_15W", "synced"
	High    float64 // where the board starts to slow down, same unit; 0 where it names no limit
	Crit    float64 // where the board switches off, same unit; 0 where it names none
	At      time.Time
	Quality Quality
	Reason  string // why Quality is not Good
	Source  string // the file or call it comes from, below the root
}

// ID names the reading within a sample: "temperature/cpu-thermal".
func (r *Reading) ID() string { return r.Kind.String() + "/" + r.Name }

// OK reports whether the reading holds a fresh value.
func (r *Reading) OK() bool { return r.Quality == Good }

// Offline reports whether a sensor said that it is switched off now, as those of a
// Jetson's idle parts do.
func (r *Reading) Offline() bool { return r.Reason == offline }

// Heated reports whether the reading is a temperature that the model's work raises.
func (r *Reading) Heated() bool { return r.Kind == Temperature && isPrimary(r.Name) }

// Disk names the mount point whose free space the reading tells; false for any other.
func (r *Reading) Disk() (mount string, is bool) {
	if r.Kind != Disk {
		return "", false
	}
	return strings.CutSuffix(r.Name, " free")
}

// Age is how old the value is at now, 0 where there is none.
func (r *Reading) Age(now time.Time) time.Duration {
	if r.At.IsZero() {
		return 0
	}
	return now.Sub(r.At)
}

// Sample is everything that a board read at one time, in a fixed order. Reuse
// one Sample for every call of Board.Sample and nothing is allocated.
type Sample struct {
	At       time.Time
	Readings []Reading
}

// Find returns the reading of that kind and name, nil where the board has none.
func (s *Sample) Find(kind Kind, name string) *Reading {
	for i := range s.Readings {
		if r := &s.Readings[i]; r.Kind == kind && r.Name == name {
			return r
		}
	}
	return nil
}

// Value returns a good reading's value, or NaN.
func (s *Sample) Value(kind Kind, name string) float64 {
	if r := s.Find(kind, name); r != nil && r.OK() {
		return r.Value
	}
	return math.NaN()
}

// Each yields the readings of one kind.
func (s *Sample) Each(kind Kind) func(yield func(*Reading) bool) {
	return func(yield func(*Reading) bool) {
		for i := range s.Readings {
			if s.Readings[i].Kind == kind && !yield(&s.Readings[i]) {
				return
			}
		}
	}
}

// Hottest returns the good temperature with the least headroom below its High,
// nil where there is none.
func (s *Sample) Hottest() *Reading {
	var hot *Reading
	for r := range s.Each(Temperature) {
		if !r.OK() || r.High <= 0 {
			continue
		}
		if hot == nil || r.High-r.Value < hot.High-hot.Value {
			hot = r
		}
	}
	return hot
}
