package governor_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lineside/daemon/governor"
	"lineside/hw"
	"lineside/hw/hwtest"
)

// second is what was decided at one second of a script.
type second struct {
	governor.Decision
	temp float64
}

// play runs a script on a board's tree, sampling once a second.
func play(t *testing.T, b hwtest.Board, s hwtest.Script, extra time.Duration, small bool) (all []second) {
	t.Helper()
	dir := t.TempDir()
	if err := b.Write(dir); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		board, err := hw.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer board.Close()
		c := governor.Default(board.Identity().CPUs, board.Identity().Memory)
		c.SmallModel = small
		var sample hw.Sample
		var d governor.Decision
		for at := time.Duration(0); at <= s.Length()+extra; at += time.Second {
			if err := s.Apply(dir, at-time.Second, at); err != nil {
				t.Fatal(err)
			}
			board.Sample(&sample)
			d = governor.Next(c, d.State, governor.FromSample(c, &sample, time.Now()))
			all = append(all, second{d, sample.Heat(85).Temp})
			time.Sleep(time.Second)
		}
	})
	return all
}

// path is the order of rungs without repeats.
func path(all []second) []governor.Rung {
	var p []governor.Rung
	for _, s := range all {
		p = append(p, s.Rung)
	}
	return slices.Compact(p)
}

func TestHeatUp(t *testing.T) {
	for _, b := range hwtest.Boards() {
		t.Run(b.Name, func(t *testing.T) {
			if b.Name == "pc" { // its hwmon cores have a limit of their own that the script does not touch
				b.Limit = 85
			}
			all := play(t, b, b.HeatUp(), 400*time.Second, false)
			got := path(all)
			if got[0] != governor.Full || got[len(got)-1] != governor.Full {
				t.Errorf("the path does not begin and end at full speed: %v", got)
			}
			for _, want := range []governor.Rung{governor.Threads, governor.Pace, governor.Refuse, governor.Abort} {
				if !slices.Contains(got, want) {
					t.Errorf("rung %v was left out: %v", want, got)
				}
			}
			if len(got) > 14 {
				t.Errorf("it flaps: %v", got)
			}
			for i, s := range all {
				if !s.Admit && (s.Retry < time.Second || !s.TooHot || s.Reason == "") {
					t.Fatalf("second %d refuses without a code, a reason and a time: %+v", i, s.Decision)
				}
				if s.temp >= float64(b.Limit) && s.Admit {
					t.Fatalf("second %d admits work at %.1f °C", i, s.temp)
				}
				if s.Abort && s.temp < float64(b.Limit)-8 {
					t.Fatalf("second %d still aborts at %.1f °C", i, s.temp)
				}
			}
		})
	}
}

func TestSmallerModelComesBeforeRefusing(t *testing.T) {
	b := hwtest.Pi5()
	s := hwtest.Script{Name: "just too warm", Steps: []hwtest.Step{
		{At: time.Second, Set: map[string]string{b.Temp: "77600\n"}}, {At: 5 * time.Minute, Set: map[string]string{b.Temp: "77600\n"}},
	}}
	for _, allowed := range []bool{true, false} {
		all := play(t, b, s, 0, allowed)
		if last := all[len(all)-1]; last.Small != allowed {
			t.Errorf("allowed %v, used %v at rung %v", allowed, last.Small, last.Rung)
		}
		if got := slices.Contains(path(all), governor.Smaller); got != allowed {
			t.Errorf("allowed %v, path %v", allowed, path(all))
		}
	}
}

func TestUndervoltage(t *testing.T) {
	for _, b := range []hwtest.Board{hwtest.Pi4(), hwtest.Pi5(), hwtest.OrinNano()} {
		all := play(t, b, b.Undervoltage(), 90*time.Second, false)
		full := all[0].Threads
		for i, s := range all {
			weak := i >= 5 && i < 15+60-1
			if s.Weak != weak || weak != (s.Threads == (full+1)/2) || !s.Admit {
				t.Fatalf("%s, second %d: weak %v, %d threads, admit %v", b.Name, i, s.Weak, s.Threads, s.Admit)
			}
		}
	}
}

func TestSensorVanishes(t *testing.T) {
	b := hwtest.Pi5()
	all := play(t, b, b.SensorVanishes(), 10*time.Second, false)
	for i, s := range all {
		// The value of second 4 is good for five seconds more.
		lost := i > 9 && i < 40
		if s.Fault != lost || s.Admit == lost {
			t.Fatalf("second %d: fault %v, admit %v, %s", i, s.Fault, s.Admit, s.Reason)
		}
		if s.Abort != (i > 9+15 && i < 40) {
			t.Fatalf("second %d: abort %v", i, s.Abort)
		}
	}
}

func TestMemorySqueeze(t *testing.T) {
	b := hwtest.Pi5()
	all := play(t, b, b.MemorySqueeze(), 60*time.Second, false)
	first := func(is func(second) bool) int { return slices.IndexFunc(all, is) }
	shrink := first(func(s second) bool { return s.ShrinkCache })
	refuse := first(func(s second) bool { return !s.Admit })
	abort := first(func(s second) bool { return s.Abort })
	if shrink < 0 || refuse <= shrink || abort <= refuse {
		t.Errorf("shrink at %d, refuse at %d, abort at %d: want them in this order", shrink, refuse, abort)
	}
	if s := all[refuse]; !s.LowMemory || s.Retry == 0 {
		t.Errorf("refused with %+v", s.Decision)
	}
	if last := all[len(all)-1]; !last.Admit || last.LowMemory || last.ShrinkCache {
		t.Errorf("after the squeeze: %+v", last.Decision)
	}
	if !strings.Contains(all[refuse].Reason, "MB of memory are left") {
		t.Errorf("reason: %q", all[refuse].Reason)
	}
}

// TestStaleSample: readings that are too old are no readings.
func TestStaleSample(t *testing.T) {
	c := governor.Default(4, 8<<30)
	in := governor.Input{At: time.Unix(1000, 0), Sensors: true, HeatOK: true, Temp: 50, Limit: 80, Age: 6 * time.Second, MemAvailable: math.NaN()}
	if d := governor.Next(c, governor.State{}, in); d.Admit || !d.Fault {
		t.Errorf("old sample: %+v", d)
	}
	in.Age = 0
	if d := governor.Next(c, governor.State{}, in); !d.Admit || d.Rung != governor.Full {
		t.Errorf("fresh sample: %+v", d)
	}
	in.Sensors = false
	if d := governor.Next(c, governor.State{}, in); !d.Admit || d.Fault {
		t.Errorf("a machine without sensors: %+v", d)
	}
}

// TestPure: the same input and state give the same decision.
func TestPure(t *testing.T) {
	c := governor.Default(4, 8<<30)
	in := governor.Input{At: time.Unix(1000, 0), Sensors: true, HeatOK: true, Temp: 79, Limit: 80, MemAvailable: 1e9, MemOurs: math.NaN(), MemStall: math.NaN()}
	first := governor.Next(c, governor.State{}, in)
	in.At = in.At.Add(time.Second)
	a, b := governor.Next(c, first.State, in), governor.Next(c, first.State, in)
	if a != b {
		t.Errorf("%+v\n%+v", a, b)
	}
}

func FuzzNext(f *testing.F) {
	f.Add(75.0, 80.0, 1e9, 0.0, int64(1e9), 4)
	f.Fuzz(func(t *testing.T, temp, limit, mem, stall float64, step int64, threads int) {
		c := governor.Default(threads%64, 4<<30)
		var d governor.Decision
		at := time.Unix(1000, 0)
		for i := range 50 {
			at = at.Add(time.Duration(step))
			d = governor.Next(c, d.State, governor.Input{At: at, Sensors: true, HeatOK: i%7 != 0, Temp: temp + float64(i), Limit: limit, MemAvailable: mem, MemOurs: math.NaN(), MemStall: stall, SupplyWeak: i%11 == 0})
			if d.Threads < 1 || !(d.Duty > 0 && d.Duty <= 1) || d.Batch < 1 || !d.Admit && d.Retry <= 0 {
				t.Fatalf("no engine can do this: %+v", d)
			}
		}
	})
}
