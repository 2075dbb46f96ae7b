// Package governor decides how hard the board may work: from what was read of
// heat, power and memory it makes one decision per sample. It is a pure
// function of its input, which carries the time.
//
// It never reads a sensor, never talks to the engine and never waits.
package governor

import (
	"math"
	"time"
)

// Rung is a step of the ladder. Higher ones include what the lower ones do.
type Rung int

// Rungs, in the order they are climbed as headroom goes.
const (
	Full    Rung = iota // everything the owner configured
	Threads             // fewer decode threads
	Pace                // and pauses between tokens
	Batch               // and fewer asks at once, in smaller batches
	Smaller             // and the smaller model, where the owner allows it
	Refuse              // no new work
	Abort               // running work ends too
)

func (r Rung) String() string {
	names := [...]string{"full", "threads", "pace", "batch", "smaller-model", "refuse", "abort"}
	if r < 0 || int(r) >= len(names) {
		return "unknown"
	}
	return names[r]
}

// Config is what the owner chose. Default has the documented values.
type Config struct {
	Threads    int // decode threads at full speed
	LowThreads int // what a weak supply brings it down to at once, and heat before it paces
	Batch      int // prefill batch at full speed, in tokens
	Slots      int // asks answered at once at full speed; 0: the engine's own affair
	SmallModel bool

	Margin     float64       // °C that work keeps below the board's own limit
	RefuseOver float64       // °C above the guarded temperature where new work is refused
	Fallback   float64       // °C, limit of boards that name none
	Horizon    time.Duration // how far ahead heat and memory are forecast
	MaxAge     time.Duration // older samples count as missing

	MemReserve uint64  // bytes that stay available to the rest of the machine
	StallAbort float64 // percent of the last 10 s that all work stood still for memory
}

// Default fits a board with that many decode threads and that much memory in bytes.
func Default(threads int, memory uint64) Config {
	threads = max(threads, 1)
	return Config{
		Threads: threads, LowThreads: (threads + 1) / 2, Batch: 128,
		Margin: 2, RefuseOver: 1, Fallback: 85,
		Horizon: 10 * time.Second, MaxAge: 5 * time.Second,
		MemReserve: max(memory/32, 96<<20), StallAbort: 20,
	}
}

// Input is one sample, as the decision sees it. Unknown numbers are NaN.
type Input struct {
	At time.Time

	Sensors bool          // the board has temperature sensors
	HeatOK  bool          // at least one of them answers
	Temp    float64       // °C, of the zone nearest to its limit
	Limit   float64       // °C, that zone's limit
	Age     time.Duration // of Temp
	Zone    string        // its name, for the reason

	SupplyWeak bool // undervoltage or a critical rail alarm, now
	Slowed     bool // the board's own protection slows it down, now

	MemAvailable float64 // bytes, for the whole machine
	MemOurs      float64 // bytes in the engine's control group
	MemStall     float64 // percent, PSI memory full avg10
}

// Decision is what to do until the next sample.
type Decision struct {
	Rung    Rung
	Threads int     // decode threads
	Duty    float64 // share of the time that decoding may take, 0 to 1; the rest is pause
	Batch   int     // most tokens of a prefill pass
	Slots   int     // asks answered at once; 0: the engine's own affair
	Small   bool    // answer with the smaller model and say so

	Admit       bool
	Retry       time.Duration // when to come back, where Admit is false
	TooHot      bool          // code 30
	LowMemory   bool          // code 31
	Fault       bool          // code 33: sensors are lost
	Abort       bool          // end running work
	ShrinkCache bool          // give the prefix cache's memory back first

	Weak     bool    // the supply is too weak
	Headroom float64 // °C that the forecast stays below the guarded temperature; NaN where unknown
	Reason   string  // one sentence for people; empty at Full
	State    State   // pass to the next call
}

// Slower reports whether heat makes the work slower without refusing any.
func (d Decision) Slower() bool { return d.Admit && d.Rung > Full && !(d.Weak && d.Rung == Threads) }

// Next decides. The zero State starts.
func Next(c Config, prev State, in Input) Decision {
	s := prev.observe(c, in)
	d := Decision{Threads: c.Threads, Duty: 1, Batch: c.Batch, Slots: c.Slots, Admit: true, Headroom: math.NaN()}
	s = heat(c, s, in, &d)
	s = power(c, s, in, &d)
	s = memory(c, s, in, &d)
	if d.Abort {
		d.Admit, d.Rung = false, Abort
	} else if !d.Admit {
		d.Rung = Refuse
	}
	d.State = s
	return d
}
