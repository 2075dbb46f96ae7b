package hw

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"
)

// FuzzParsers: whatever a file holds, a parser gives a number or an error, never
// a panic, and never a number that no board can have.
func FuzzParsers(f *testing.F) {
	for _, seed := range []string{
		"", "\x00", "48200\n", "-12500", "0x50005", "50005\n", "0x01 0x0b\n", "max\n", "pmode:0002\n", "93784.11 361204.56\n",
		"some avg10=1.50 avg60=0.00 avg300=0.00 total=9\nfull avg10=0.20 avg60=0.00 avg300=0.00 total=1\n",
		"MemTotal:        8245812 kB\nMemAvailable:    4947487 kB\n", "low 0\nhigh 3\noom_kill 1\n", "0::/system.slice/x.service\n", "0::/../../etc\n",
		"3V3_SYS_A current(1)=0.06636642A\n3V3_SYS_V volt(9)=3.31A\nEXT5V_V volt(24)=5.14512000V\n", "none [timer] pattern\n",
		"< POWER_MODEL ID=2 NAME=15W >\n", "nvidia,p3767\x00nvidia,tegra234\x00", "9223372036854775808", "1..2", "-",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := parseTemp(b); err == nil && (v <= -100 || v >= 250) {
			t.Errorf("temperature %v", v)
		}
		if v, err := scaled(0.001)(b); err == nil && !(v >= 0) {
			t.Errorf("scaled %v", v)
		}
		if v, err := parseLimit(b); err == nil && !(v >= 0) {
			t.Errorf("limit %v", v)
		}
		if v, err := parseUptime(b); err == nil && (v < 0 || math.IsInf(v, 0) || math.IsNaN(v)) {
			t.Errorf("uptime %v", v)
		}
		if v, err := parseStatusMode(b); err == nil && (v < 0 || v > 1000) {
			t.Errorf("mode %v", v)
		}
		var two [2]float64
		if err := parsePressure(b, two[:]); err == nil && (two[0] < 0 || two[0] > 100) {
			t.Errorf("pressure %v", two)
		}
		if err := parseLifeTime(b, two[:]); err == nil && (two[0] < 10 || two[0] > 110 || two[1] < 10 || two[1] > 110) {
			t.Errorf("wear %v", two)
		}
		var eight [8]float64
		if err := parseThrottled(b, eight[:]); err == nil {
			for _, v := range eight {
				if v != 0 && v != 1 {
					t.Errorf("throttle %v", eight)
				}
			}
		}
		if err := parseKeys(b, []string{"MemTotal", "high"}, 1024, two[:]); err == nil && two[0] < 0 {
			t.Errorf("keys %v", two)
		}
		if _, total, err := pmicTotals(b); err == nil && math.IsInf(total, 0) {
			t.Errorf("power %v", total)
		}
		if p, err := cgroupPath(b); err == nil && slices.Contains(strings.Split(p, "/"), "..") {
			t.Errorf("control group %q", p)
		}
		_, _ = parseTriggers(b)
		_ = modeName(string(b), 2)
		for _, s := range append(stringList(b), clean(b)) {
			for _, r := range s {
				if r < ' ' {
					t.Errorf("%q has control characters", s)
				}
			}
		}
	})
}

// FuzzMailbox: the firmware's answer is not trusted either.
func FuzzMailbox(f *testing.F) {
	buf := make([]byte, 64)
	msg := message(buf, tagThrottled, 4, 0)
	binary.NativeEndian.PutUint32(msg[4:], mailSuccess)
	binary.NativeEndian.PutUint32(msg[16:], mailAnswer|4)
	f.Add(slices.Clone(msg))
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := answer(b, tagThrottled); err == nil {
			_, _ = text(a)
		}
	})
}

// FuzzPattern: a configured pattern is read or refused.
func FuzzPattern(f *testing.F) {
	f.Add("red 200 200 200 1200")
	f.Add("green beat")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePattern("x", s)
		if err != nil {
			return
		}
		if _, ok := mixes[p.Color]; !ok || len(p.Steps) > 64 {
			t.Errorf("%q read as %+v", s, p)
		}
		p.at(1)
	})
}

func TestMailboxMessage(t *testing.T) {
	buf := make([]byte, 64)
	msg := message(buf, tagMeasured, 8, clockARM, 0)
	words := make([]uint32, len(msg)/4)
	for i := range words {
		words[i] = binary.NativeEndian.Uint32(msg[4*i:])
	}
	if want := []uint32{32, 0, tagMeasured, 8, 0, clockARM, 0, 0}; !slices.Equal(words, want) {
		t.Errorf("message %v, want %v", words, want)
	}
	if _, err := answer(msg, tagMeasured); err == nil {
		t.Error("a request passed for an answer")
	}
	binary.NativeEndian.PutUint32(msg[4:], mailSuccess)
	binary.NativeEndian.PutUint32(msg[16:], mailAnswer|8)
	binary.NativeEndian.PutUint32(msg[24:], 1500345728)
	a, err := answer(msg, tagMeasured)
	if err != nil || binary.NativeEndian.Uint32(a[4:]) != 1500345728 {
		t.Errorf("answer %v, %v", a, err)
	}
}

// fakeMailbox is firmware that answers; TestMailboxReadings puts it on a board.
type fakeMailbox struct{}

func (fakeMailbox) throttled() (uint32, error) { return 0x50005, nil }
func (fakeMailbox) armClock() (uint32, error)  { return 1_500_345_728, nil }
func (fakeMailbox) Close() error               { return nil }
func (fakeMailbox) command(string) ([]byte, error) {
	return []byte("3V3_SYS_A current(1)=0.50000000A\n   VDD_CORE_A current(7)=2.00000000A\n  3V3_SYS_V volt(9)=3.30000000V\n VDD_CORE_V volt(15)=0.90000000V\n   EXT5V_V volt(24)=4.91000000V\n"), nil
}

func TestMailboxReadings(t *testing.T) {
	tr, err := openTree(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := &Board{tree: tr, buf: make([]byte, fileMax), known: map[string]bool{}, mailbox: fakeMailbox{},
		identity: Identity{Family: RaspberryPi, SoC: "bcm2712"}}
	b.discover()
	defer b.Close()
	var s Sample
	b.Sample(&s)
	for _, c := range []struct {
		kind Kind
		name string
		want float64
	}{
		{Throttle, "undervoltage", 1}, {Throttle, "throttled", 1}, {Throttle, "frequency-capped", 0},
		{ThrottleBoot, "undervoltage", 1}, {ThrottleBoot, "soft-temperature-limit", 0},
		{CPUClock, "cpu0-true", 1_500_345_728}, {Voltage, "EXT5V", 4.91}, {Power, "total", 0.5*3.3 + 2*0.9},
	} {
		if v := s.Value(c.kind, c.name); math.Abs(v-c.want) > 1e-9 {
			t.Errorf("%v/%s = %v, want %v", c.kind, c.name, v, c.want)
		}
	}
	if !s.SupplyWeak() || !s.Slowed() {
		t.Error("the throttle word is not seen")
	}
}
