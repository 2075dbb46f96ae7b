package daemon

import (
	"context"
	"math"
	"runtime"
	"time"

	"lineside/daemon/diagnosis"
	"lineside/daemon/governor"
	"lineside/daemon/lamp"
	"lineside/hw"
	"lineside/inference"
	"lineside/mqtt"
)

// watchBoard reads the sensors and does what the governor decides.
func (d *Daemon) watchBoard(ctx context.Context) error {
	t := time.NewTicker(d.Config.HW.SampleEvery.Duration)
	defer t.Stop()
	var s hw.Sample
	w := boardWatch{diagnosis: diagnosis.Diagnosis{Ignore: d.Config.HW.Ignore}}
	for {
		d.Sensor.Sample(&s)
		now := time.Now()
		if w.config.Threads == 0 {
			w.config, w.decision.Admit = d.governed(&s), true
		}
		if d.Sizes != nil && now.Sub(w.sized) >= hw.SlowEvery {
			w.config.SmallModel, w.sized = d.Sizes.HasSmaller(), now
		}
		d.climate(ctx, &s, &w, now)
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// governed is what the governor goes by on this board.
func (d *Daemon) governed(s *hw.Sample) governor.Config {
	e := d.Config.Engine
	threads := e.Threads
	if threads == 0 {
		threads = runtime.NumCPU()
	}
	memory := s.Value(hw.Memory, "total")
	if math.IsNaN(memory) {
		memory = 0
	}
	c := governor.Default(threads, uint64(memory))
	c.Margin, c.Slots = d.Config.HW.Margin, e.Slots
	return c
}

// boardWatch is the governor's side of the control loop.
type boardWatch struct {
	config    governor.Config
	decision  governor.Decision
	diagnosis diagnosis.Diagnosis
	limits    inference.Limits // as the engine has them
	sized     time.Time        // when it was looked for a smaller model
}

// climate takes one sample through the governor to the gate, the engine and the lamps.
func (d *Daemon) climate(ctx context.Context, s *hw.Sample, w *boardWatch, now time.Time) {
	was := w.decision
	is := governor.Next(w.config, was.State, governor.FromSample(w.config, s, now))
	w.decision = is
	d.mu.Lock()
	d.board.Climate = is
	d.sample.At, d.sample.Readings = s.At, append(d.sample.Readings[:0], s.Readings...)
	d.clock = s.Clock()
	// What refuses comes before what is milder goes, so that no gap shows between them.
	d.show(lamp.TooHot, is.TooHot, is.Reason)
	d.show(lamp.LowMemory, is.LowMemory, is.Reason)
	d.show(lamp.NoSensors, is.Fault, is.Reason)
	d.show(lamp.SupplyLow, is.Weak, "")
	d.show(lamp.Slower, is.Slower(), is.Reason)
	d.show(lamp.ClockUnset, d.clock == mqtt.ClockUnsynced, "the clock is not set: check the time server in the configuration; answers carry clock: unsynced")
	for _, f := range w.diagnosis.Take(s, now) {
		d.show(f.Condition, f.Active, f.Why)
	}
	if is.Abort {
		for _, a := range d.asks {
			if a.cancel != nil {
				a.cancel(errTooHot)
			}
		}
	}
	d.mu.Unlock()
	if is.Rung != was.Rung {
		why := is.Reason
		if why == "" {
			why = "full speed again"
		}
		d.event(mqtt.EventThrottle, why, "", map[string]any{"rung": is.Rung.String()})
		nudge(d.wake)
	}
	d.limit(ctx, w)
	if is.Small != was.Small {
		d.wantSmall.Store(is.Small)
		nudge(d.size)
	}
	nudge(d.tick)
}

// healthKinds are what the health topic tells.
var healthKinds = []hw.Kind{hw.Temperature, hw.Throttle, hw.ThrottleBoot, hw.CPUClock, hw.FanSpeed, hw.Power, hw.PowerAlarm, hw.Memory, hw.Pressure, hw.Disk, hw.ReadOnly, hw.Wear, hw.Uptime}

func healthReadings(s *hw.Sample, now time.Time) map[string]mqtt.Reading {
	out := map[string]mqtt.Reading{}
	for _, k := range healthKinds {
		for r := range s.Each(k) {
			if math.IsInf(r.Value, 0) {
				continue // no limit is set: nothing to tell, and JSON has no word for it
			}
			m := mqtt.Reading{Unit: r.Kind.Unit(), AgeMS: r.Age(now).Milliseconds()}
			switch r.Quality {
			case hw.Good:
				m.Quality = mqtt.QualityGood
			case hw.Stale:
				m.Quality = mqtt.QualityStale
			}
			if !math.IsNaN(r.Value) {
				m.Value = r.Value
			}
			out[r.ID()] = m
		}
	}
	return out
}
