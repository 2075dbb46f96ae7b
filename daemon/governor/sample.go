package governor

import (
	"time"

	"lineside/hw"
)

// FromSample makes the input of a decision from what the board read. at is now:
// a sample that is old counts as old.
func FromSample(c Config, s *hw.Sample, at time.Time) Input {
	h := s.Heat(c.Fallback)
	return Input{
		At:      at,
		Sensors: h.Sensors, HeatOK: h.OK,
		Temp: h.Temp, Limit: h.High, Zone: h.Zone,
		Age:          at.Sub(s.At) + time.Duration(h.AgeMS)*time.Millisecond,
		SupplyWeak:   s.SupplyWeak(),
		Slowed:       s.Slowed(),
		MemAvailable: s.Value(hw.Memory, "available"),
		MemOurs:      s.Value(hw.Memory, "group-current"),
		MemStall:     s.Value(hw.Pressure, "memory-full"),
	}
}
