// Package diagnosis finds in the board's readings what a technician should
// know of: a fan that stands still, a disk that fills or takes no writes, storage that
// wears out, a supply that was too weak, a board that slows itself down, a sensor that
// went away.
// Time arrives with the samples, and what it finds neither comes nor goes in a moment.
//
// It never reads a sensor and never decides how hard the board may work
// (daemon/governor does).
package diagnosis

import (
	"fmt"
	"slices"
	"time"

	"lineside/daemon/lamp"
	"lineside/hw"
)

// Finding is whether one condition holds, and why in words.
type Finding struct {
	Condition lamp.Condition
	Active    bool
	Why       string // empty: the condition's own words do
}

// How long something must be seen before it counts, and how long it must be gone
// before it no longer does.
const (
	fanAfter    = 10 * time.Second
	fanBack     = 10 * time.Second
	slowBack    = 30 * time.Second
	sensorAfter = 10 * time.Second
	sensorBack  = 10 * time.Second
	currentBack = time.Hour // over-current events are a matter of the supply, not of the moment
)

// Where a disk counts as nearly full, and where no longer.
const (
	diskLow, diskLowBytes   = 0.05, 200 << 20
	diskFine, diskFineBytes = 0.08, 400 << 20
	wornPercent             = 90 // of a flash device's life
	warmBelowLimit          = 25 // °C: a fan of unknown duty should turn from there
	undervoltage            = "undervoltage"
)

// Diagnosis remembers what was seen. The zero Diagnosis has seen nothing. One
// goroutine uses it at a time.
type Diagnosis struct {
	// Ignore are the IDs of fans and sensors that this board lacks by intent.
	Ignore []string

	seen     []history // by the reading's place in the sample
	fan      lasting
	sensor   lasting
	slow     lasting
	current  lasting
	disk     bool
	findings [7]Finding
}

// history is what is remembered of one reading.
type history struct {
	skip   bool    // the owner wants it ignored
	good   bool    // it had a value once
	moved  bool    // a fan: it turned once
	stands bool    // and it is driven and does not turn
	last   float64 // the last good value
}

// lasting is a condition that must be seen for a while, and be gone for a while.
type lasting struct {
	on    bool
	since time.Time // since when the opposite is seen; zero: it is not
	why   string    // from when it was seen last
}

// see takes what is seen now; why says what it is where there is something.
func (l *lasting) see(why string, at time.Time, after, back time.Duration) {
	seen := why != ""
	if seen {
		l.why = why
	}
	if seen == l.on {
		l.since = time.Time{}
		return
	}
	if l.since.IsZero() {
		l.since = at
	}
	wait := after
	if l.on {
		wait = back
	}
	if at.Sub(l.since) >= wait {
		l.on, l.since = seen, time.Time{}
	}
}

// Take judges one sample. It returns every condition that it judges, always in the
// same order; the slice is valid until the next call.
func (d *Diagnosis) Take(s *hw.Sample, at time.Time) []Finding {
	for len(d.seen) < len(s.Readings) { // a board's readings keep their places
		id := s.Readings[len(d.seen)].ID()
		d.seen = append(d.seen, history{skip: slices.Contains(d.Ignore, id)})
	}
	d.fan.see(d.standing(s), at, fanAfter, fanBack)
	d.sensor.see(d.gone(s), at, sensorAfter, sensorBack)
	d.slow.see(slowed(s), at, 0, slowBack)
	d.current.see(d.overCurrent(s), at, 0, currentBack)
	d.remember(s)

	full, why := d.filling(s)
	d.disk = full
	fixed := readOnly(s)
	worn, wornWhy := worn(s)
	weak := s.Value(hw.ThrottleBoot, undervoltage) == 1
	weakWhy := ""
	if !weak && d.current.on {
		weak, weakWhy = true, d.current.why
	}
	d.findings = [...]Finding{
		{lamp.FanStopped, d.fan.on, d.fan.why},
		{lamp.DiskReadOnly, fixed != "", fixed},
		{lamp.DiskFilling, full, why},
		{lamp.StorageWorn, worn, wornWhy},
		{lamp.SupplyWasLow, weak, weakWhy},
		{lamp.Slowed, d.slow.on, d.slow.why},
		{lamp.SensorLost, d.sensor.on, d.sensor.why},
	}
	return d.findings[:]
}

func (d *Diagnosis) remember(s *hw.Sample) {
	for i := range s.Readings {
		r, h := &s.Readings[i], &d.seen[i]
		if !r.OK() {
			continue
		}
		h.good, h.last = true, r.Value
		h.moved = h.moved || r.Value > 0
	}
}

// standing names a fan that is driven and does not turn. Once that is the matter, it
// stays so until the fan turns again, also where it is no longer driven.
func (d *Diagnosis) standing(s *hw.Sample) (why string) {
	for i := range s.Readings {
		r, h := &s.Readings[i], &d.seen[i]
		if r.Kind != hw.FanSpeed || !r.OK() || h.skip {
			continue
		}
		h.stands = r.Value == 0 && (driven(s, r.Name, h.moved) || h.stands && d.fan.on)
		if h.stands && why == "" {
			why = "fan " + r.Name + " does not turn"
		}
	}
	return why
}

// driven reports whether a fan should turn: its chip drives it, or the one duty
// that there is does. A fan that never turned may not be there at all, so it counts
// only while the board is warm; where no duty is known, a warm board is all there is to go by.
func driven(s *hw.Sample, fan string, moved bool) bool {
	duty := duty(s, fan)
	if duty == nil {
		return moved && warm(s)
	}
	return duty.OK() && duty.Value > 0 && (moved || warm(s))
}

// duty is how hard a fan is driven: its own reading, or the only one of a board with one fan.
func duty(s *hw.Sample, fan string) *hw.Reading {
	if r := s.Find(hw.FanDuty, fan); r != nil {
		return r
	}
	var only *hw.Reading
	fans, duties := 0, 0
	for i := range s.Readings {
		switch s.Readings[i].Kind {
		case hw.FanSpeed:
			fans++
		case hw.FanDuty:
			duties++
			only = &s.Readings[i]
		}
	}
	if fans == 1 && duties == 1 {
		return only
	}
	return nil
}

// warm reports whether the board is near enough to its limit to need its fan.
func warm(s *hw.Sample) bool {
	heat := s.Heat(0)
	return heat.OK && heat.High > 0 && heat.Temp >= heat.High-warmBelowLimit
}

// gone names a sensor that answered before and does not now. One that is switched
// off with its part of the chip says so, and is not gone.
func (d *Diagnosis) gone(s *hw.Sample) string {
	for i := range s.Readings {
		r := &s.Readings[i]
		if r.Quality != hw.Unavailable || !d.seen[i].good || d.seen[i].skip || r.Offline() {
			continue
		}
		switch r.Kind {
		case hw.Temperature:
			if !r.Heated() {
				continue // a disk's or a radio's: they come and go
			}
		case hw.FanSpeed, hw.Throttle, hw.Voltage:
		default:
			continue
		}
		return r.ID() + ": " + r.Reason
	}
	return ""
}

// slowed names what slows the board down now.
func slowed(s *hw.Sample) string {
	if !s.Slowed() {
		return ""
	}
	for r := range s.Each(hw.Throttle) {
		if r.Name != undervoltage && r.OK() && r.Value == 1 {
			return "the board slows itself down: " + r.Name
		}
	}
	return "the board slows itself down"
}

// overCurrent tells of new over-current events.
func (d *Diagnosis) overCurrent(s *hw.Sample) string {
	for i := range s.Readings {
		r := &s.Readings[i]
		if r.Kind == hw.OverCurrent && r.OK() && d.seen[i].good && r.Value > d.seen[i].last {
			return "over-current events on " + r.Name
		}
	}
	return ""
}

// filling names a disk with little space left.
func (d *Diagnosis) filling(s *hw.Sample) (bool, string) {
	share, bytes := diskLow, float64(diskLowBytes)
	if d.disk {
		share, bytes = diskFine, diskFineBytes
	}
	for i := range s.Readings {
		r := &s.Readings[i]
		mount, is := r.Disk()
		if !is || !r.OK() {
			continue
		}
		size := s.Value(hw.Disk, mount+" size")
		if r.Value < share*size || r.Value < bytes {
			return true, fmt.Sprintf("%s has %.0f MB left", mount, r.Value/1e6)
		}
	}
	return false, ""
}

// readOnly names the disks that take no writes.
func readOnly(s *hw.Sample) (why string) {
	for r := range s.Each(hw.ReadOnly) {
		if !r.OK() || r.Value == 0 {
			continue
		}
		if why != "" {
			why += ", "
		}
		why += r.Name + " is read-only"
	}
	return why
}

// worn names a flash device near its end.
func worn(s *hw.Sample) (bool, string) {
	for r := range s.Each(hw.Wear) {
		if r.OK() && r.Value >= wornPercent {
			return true, fmt.Sprintf("%s: %.0f %% of its life is used", r.Name, r.Value)
		}
	}
	return false, ""
}
