package hwtest

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Scripts are all that a board can play.
func (b Board) Scripts() []Script {
	all := []Script{b.HeatUp(), b.SensorVanishes(), b.MemorySqueeze()}
	if b.Throttled != "" || b.Alarm != "" {
		all = append(all, b.Undervoltage())
	}
	if b.Fan != "" {
		all = append(all, b.FanFailure())
	}
	return all
}

// temps sets the board's main temperature along a curve, once a second.
func (b Board) temps(s *Script, from, length time.Duration, curve func(t float64) float64) {
	for t := time.Duration(0); t <= length; t += time.Second {
		c := curve(t.Seconds())
		s.Steps = append(s.Steps, Step{At: from + t, Set: map[string]string{b.Temp: milli(c)}})
	}
}

func milli(c float64) string { return strconv.Itoa(int(math.Round(c*1000))) + "\n" }

// ramp goes from a to b within length seconds and stays.
func ramp(a, b, length float64) func(float64) float64 {
	return func(t float64) float64 { return a + (b-a)*min(t/length, 1) }
}

// HeatUp climbs from 45 °C to 3 °C above the limit within 100 s, stays for 20 s
// and cools down again to 45 °C within 120 s.
func (b Board) HeatUp() Script {
	s := Script{Name: "heat-up"}
	top := float64(b.Limit) + 3
	b.temps(&s, 0, 119*time.Second, ramp(45, top, 100))
	b.temps(&s, 120*time.Second, 180*time.Second, ramp(top, 45, 120))
	return s
}

// Undervoltage sets in after 5 s and ends after 15 s; on a Pi the bit since boot stays.
func (b Board) Undervoltage() Script {
	s := Script{Name: "undervoltage"}
	if b.Throttled == "" {
		s.Steps = []Step{{At: 5 * time.Second, Set: map[string]string{b.Alarm: "1\n"}}, {At: 15 * time.Second, Set: map[string]string{b.Alarm: "0\n"}}}
		return s
	}
	s.Steps = []Step{{At: 5 * time.Second, Set: map[string]string{b.Throttled: "50005\n"}}, {At: 15 * time.Second, Set: map[string]string{b.Throttled: "50000\n"}}}
	return s
}

// FanFailure stops the fan after 5 s, and the board heats up to 2 °C below its limit.
func (b Board) FanFailure() Script {
	s := Script{Name: "fan-failure"}
	s.Steps = []Step{{At: 5 * time.Second, Set: map[string]string{b.Fan: "0\n"}}}
	b.temps(&s, 6*time.Second, 120*time.Second, ramp(50, float64(b.Limit)-2, 100))
	return s
}

// SensorVanishes takes the main zone away from 5 s to 40 s.
func (b Board) SensorVanishes() Script {
	return Script{Name: "sensor-vanishes", Steps: []Step{
		{At: 5 * time.Second, Remove: []string{b.Temp}},
		{At: 40 * time.Second, Set: map[string]string{b.Temp: b.Files[b.Temp]}},
	}}
}

// MemorySqueeze lets available memory fall to 40 MB within 60 s, as if another
// program took it, and come back after 90 s.
func (b Board) MemorySqueeze() Script {
	s := Script{Name: "memory-squeeze"}
	const info = "proc/meminfo"
	total, free := memory(b.Files[info])
	at := func(t time.Duration, available int) {
		s.Steps = append(s.Steps, Step{At: t, Set: map[string]string{
			info: meminfo(total, available), "proc/pressure/memory": pressure(squeeze(available)),
		}})
	}
	for t := 0; t <= 60; t++ {
		at(time.Duration(t)*time.Second, free+(40<<10-free)*t/60)
	}
	for t := 90; t <= 120; t++ {
		at(time.Duration(t)*time.Second, 40<<10+(free-40<<10)*(t-90)/30)
	}
	return s
}

// squeeze is the pressure that little memory makes, in percent.
func squeeze(availableKB int) float64 {
	return math.Max(0, math.Min(15, float64(200<<10-availableKB)/(200<<10)*20))
}

func memory(info string) (totalKB, availableKB int) {
	fmt.Sscanf(info, "MemTotal: %d kB\nMemFree: %d kB\nMemAvailable: %d kB", &totalKB, new(int), &availableKB)
	return totalKB, availableKB
}

func meminfo(totalKB, availableKB int) string {
	return fmt.Sprintf("MemTotal:       %8d kB\nMemFree:        %8d kB\nMemAvailable:   %8d kB\nBuffers:           41824 kB\nCached:           812344 kB\nSwapTotal:             0 kB\nSwapFree:              0 kB\n",
		totalKB, availableKB/2, availableKB)
}

func pressure(full float64) string {
	return fmt.Sprintf("some avg10=%.2f avg60=0.00 avg300=0.00 total=0\nfull avg10=%.2f avg60=0.00 avg300=0.00 total=0\n", full*1.5, full)
}
