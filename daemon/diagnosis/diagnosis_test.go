package diagnosis_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lineside/daemon/diagnosis"
	"lineside/daemon/lamp"
	"lineside/hw"
	"lineside/hw/hwtest"
)

// play runs a script on a board's tree, one sample a second, and returns each change
// as "12 fan_stopped", or "30 -fan_stopped" where it ended, and the last words of each.
func play(t *testing.T, b hwtest.Board, s hwtest.Script, extra time.Duration, ignore ...string) (changes []string, why map[string]string) {
	t.Helper()
	dir := t.TempDir()
	if err := b.Write(dir); err != nil {
		t.Fatal(err)
	}
	why = map[string]string{}
	synctest.Test(t, func(t *testing.T) {
		board, err := hw.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer board.Close()
		d := diagnosis.Diagnosis{Ignore: ignore}
		var sample hw.Sample
		was := map[string]bool{}
		for at := time.Duration(0); at <= s.Length()+extra; at += time.Second {
			if err := s.Apply(dir, at-time.Second, at); err != nil {
				t.Fatal(err)
			}
			board.Sample(&sample)
			for _, f := range d.Take(&sample, time.Now()) {
				id := f.Condition.ID()
				if f.Active {
					why[id] = f.Why
				}
				if f.Active == was[id] {
					continue
				}
				was[id] = f.Active
				sign := map[bool]string{true: "", false: "-"}[f.Active]
				changes = append(changes, fmt.Sprintf("%d %s%s", int(at.Seconds()), sign, id))
			}
			time.Sleep(time.Second)
		}
	})
	return changes, why
}

// set is one step of a script.
func set(at time.Duration, path, content string) hwtest.Step {
	return hwtest.Step{At: at, Set: map[string]string{path: content}}
}

func TestScripts(t *testing.T) {
	pi5, orin, pc := hwtest.Pi5(), hwtest.OrinNano(), hwtest.PC()
	worn := hwtest.AGXOrin()
	worn.Files = maps.Clone(worn.Files)
	worn.Files["sys/block/mmcblk0/device/life_time"] = "0x02 0x0a\n"
	gone := pi5.SensorVanishes()
	const fanDuty = "sys/class/hwmon/hwmon2/pwm1"
	counter := "sys/class/hwmon/hwmon0/oc1_event_cnt"
	for _, c := range []struct {
		name   string
		board  hwtest.Board
		script hwtest.Script
		extra  time.Duration
		ignore []string
		want   string
		why    string
	}{
		{"a healthy day", pi5, pi5.HeatUp(), time.Minute, nil, "", ""},
		{"the fan fails", pi5, pi5.FanFailure(), 0, nil, "15 fan_stopped", "fan pwmfan does not turn"},
		{"the fan of a PC fails", pc, pc.FanFailure(), 0, nil, "15 fan_stopped", "fan nct6798-2 does not turn"},
		{"the fan fails, and nobody minds", pi5, pi5.FanFailure(), 0, []string{"fan-speed/pwmfan"}, "", ""},
		{"the fan comes back, rattling", pi5, hwtest.Script{Steps: []hwtest.Step{
			set(5*time.Second, pi5.Fan, "0\n"), set(20*time.Second, pi5.Fan, "900\n"), set(22*time.Second, pi5.Fan, "0\n"), set(30*time.Second, pi5.Fan, "2900\n")}},
			time.Minute, nil, "15 fan_stopped, 40 -fan_stopped", ""},
		{"a short stumble", pi5, hwtest.Script{Steps: []hwtest.Step{set(5*time.Second, pi5.Fan, "0\n"), set(12*time.Second, pi5.Fan, "2900\n")}}, time.Minute, nil, "", ""},
		{"the fan rests while it is cool", pi5, hwtest.Script{Steps: []hwtest.Step{{At: 5 * time.Second, Set: map[string]string{pi5.Fan: "0\n", fanDuty: "0\n"}}}}, time.Minute, nil, "", ""},
		{"undervoltage", pi5, pi5.Undervoltage(), 2 * time.Minute, nil, "5 supply_was_low, 5 slowed, 45 -slowed", ""},
		{"over-current", orin, hwtest.Script{Steps: []hwtest.Step{set(5*time.Second, counter, "3\n")}}, 61 * time.Minute, nil, "5 supply_was_low, 3606 -supply_was_low", "over-current events on oc1"},
		{"a sensor vanishes", pi5, gone, time.Minute, nil, "20 sensor_lost, 50 -sensor_lost", "temperature/cpu-thermal: not there"},
		{"the eMMC is worn", worn, hwtest.Script{Steps: []hwtest.Step{{}}}, 0, nil, "0 storage_worn", "mmcblk0-b: 100 % of its life is used"},
		{"the eMMC is past its end", hwtest.Generic(), hwtest.Script{Steps: []hwtest.Step{{}}}, 0, nil, "0 storage_worn", "mmcblk0-a: 110 % of its life is used"},
	} {
		t.Run(c.name, func(t *testing.T) {
			changes, why := play(t, c.board, c.script, c.extra, c.ignore...)
			if got := strings.Join(changes, ", "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if _, id, _ := strings.Cut(c.want, " "); c.why != "" && why[strings.Split(id, ",")[0]] != c.why {
				t.Errorf("words %q, want %q", why, c.why)
			}
		})
	}
}

// TestDisk: the space to be gained is larger than the space to be lost, so that the
// lamp does not blink with every file.
func TestDisk(t *testing.T) {
	var d diagnosis.Diagnosis
	at := time.Unix(1000, 0)
	var got []bool
	for _, free := range []float64{10e9, 1.7e9, 1.5e9, 1.7e9, 2.4e9, 2.6e9, 1.7e9} {
		at = at.Add(time.Minute)
		s := hw.Sample{At: at, Readings: []hw.Reading{
			{Kind: hw.Disk, Name: "/data free", Value: free, Quality: hw.Good}, {Kind: hw.Disk, Name: "/data size", Value: 32e9, Quality: hw.Good}}}
		for _, f := range d.Take(&s, at) {
			if f.Condition == lamp.DiskFilling {
				got = append(got, f.Active)
			}
		}
	}
	if want := []bool{false, false, true, true, true, false, false}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestReadOnly: a disk that takes no writes is told at once, and each by its name.
func TestReadOnly(t *testing.T) {
	var d diagnosis.Diagnosis
	at := time.Unix(1000, 0)
	for _, c := range []struct {
		data, models float64
		quality      hw.Quality
		want         string
	}{
		{0, 0, hw.Good, ""},
		{1, 0, hw.Good, "/data is read-only"},
		{1, 1, hw.Good, "/data is read-only, /models is read-only"},
		{1, 1, hw.Unavailable, ""},
		{0, 1, hw.Good, "/models is read-only"},
		{0, 0, hw.Good, ""},
	} {
		at = at.Add(2 * time.Second)
		s := hw.Sample{At: at, Readings: []hw.Reading{
			{Kind: hw.ReadOnly, Name: "/data", Value: c.data, Quality: c.quality}, {Kind: hw.ReadOnly, Name: "/models", Value: c.models, Quality: c.quality}}}
		for _, f := range d.Take(&s, at) {
			if f.Condition == lamp.DiskReadOnly && (f.Why != c.want || f.Active != (c.want != "")) {
				t.Errorf("%+v: %+v", c, f)
			}
		}
	}
}

// TestOfflineIsNotLost: the parts of a Jetson that idle switch their sensors off.
func TestOfflineIsNotLost(t *testing.T) {
	b := hwtest.OrinNano()
	dir := t.TempDir()
	if err := b.Write(dir); err != nil {
		t.Fatal(err)
	}
	board, err := hw.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer board.Close()
	var d diagnosis.Diagnosis
	var s hw.Sample
	board.Sample(&s)
	at := s.At
	d.Take(&s, at)
	back, err := hwtest.Offline(dir, "sys/devices/virtual/thermal/thermal_zone1/temp")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := back(); err != nil {
			t.Error(err)
		}
	}()
	for range 100 {
		board.Sample(&s)
		at = at.Add(time.Second)
		for _, f := range d.Take(&s, at) {
			if f.Active {
				t.Fatalf("%s: %s", f.Condition.ID(), f.Why)
			}
		}
	}
}

// TestNothingIsAllocated while nothing is the matter.
func TestNothingIsAllocated(t *testing.T) {
	b := hwtest.AGXOrin()
	dir := t.TempDir()
	if err := b.Write(dir); err != nil {
		t.Fatal(err)
	}
	board, err := hw.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer board.Close()
	var d diagnosis.Diagnosis
	var s hw.Sample
	board.Sample(&s)
	d.Take(&s, s.At)
	if n := testing.AllocsPerRun(20, func() { d.Take(&s, s.At) }); n != 0 {
		t.Errorf("%v allocations per sample", n)
	}
}
