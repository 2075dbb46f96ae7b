package governor

import (
	"fmt"
	"math"
	"time"
)

const smoothMem = 5 * time.Second

// memory guards against the kernel's out-of-memory killer: it shrinks the prefix
// cache first, then refuses, then aborts. The forecast is of the whole
// machine's memory, so another process that grows is seen too.
func memory(c Config, s State, in Input, d *Decision) State {
	if math.IsNaN(in.MemAvailable) {
		s.memAt = time.Time{}
		return s // without the number there is nothing to guard by; PSI alone comes too late
	}
	s = s.observeMemory(c, in)
	ahead := s.mem + math.Min(s.memSlope, 0)*c.Horizon.Seconds()
	reserve := float64(c.MemReserve)
	stall := in.MemStall // NaN compares false

	s.shrinking = latch(s.shrinking, ahead < 2*reserve, s.mem > 3*reserve)
	s.lowMem = latch(s.lowMem, ahead < reserve || stall >= c.StallAbort/2, ahead > 1.5*reserve && !(stall >= c.StallAbort/4))
	s.abortMem = latch(s.abortMem, in.MemAvailable < reserve/3 || stall >= c.StallAbort, in.MemAvailable > reserve)

	d.ShrinkCache = s.shrinking
	if !s.lowMem && !s.abortMem {
		return s
	}
	d.LowMemory, d.Admit = true, false
	d.Abort = d.Abort || s.abortMem
	d.Retry = max(d.Retry, s.memRetry(reserve))
	who := "the machine"
	if s.memSlope < -1<<20 && s.oursSlope < -s.memSlope/4 {
		who = "another program"
	}
	d.Reason = fmt.Sprintf("%.0f MB of memory are left and %s takes more: no new work", in.MemAvailable/1e6, who)
	if s.abortMem {
		d.Reason = fmt.Sprintf("%.0f MB of memory are left: running work is stopped", in.MemAvailable/1e6)
	}
	return s
}

// latch sets on one condition and clears on another.
func latch(was, set, clear bool) bool { return set || was && !clear }

func (s State) observeMemory(c Config, in Input) State {
	dt := in.At.Sub(s.memAt)
	ours := in.MemOurs
	if math.IsNaN(ours) {
		ours = 0
	}
	if s.memAt.IsZero() || dt <= 0 || dt > c.MaxAge+smoothMem {
		s.memAt, s.mem, s.ours, s.memSlope, s.oursSlope = in.At, in.MemAvailable, ours, 0, 0
		return s
	}
	w := blend(dt, smoothMem)
	s.memSlope += ((in.MemAvailable-s.mem)/dt.Seconds() - s.memSlope) * w
	s.oursSlope += ((ours-s.ours)/dt.Seconds() - s.oursSlope) * w
	s.memAt, s.mem, s.ours = in.At, in.MemAvailable, ours
	return s
}

func (s State) memRetry(reserve float64) time.Duration {
	if s.memSlope > 1<<20 {
		left := (1.5*reserve - s.mem) / s.memSlope
		return clamp(time.Duration(left*float64(time.Second)), 2*time.Second, time.Minute)
	}
	return 10 * time.Second
}
