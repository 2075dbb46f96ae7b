package hw_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpiotest"

	"lineside/hw"
	"lineside/hw/hwtest"
)

// pins is a chip of fake lines.
type pins map[string]*gpiotest.Pin

func (p pins) open(chip, line string) (gpio.PinIO, error) {
	if chip != "pinctrl-rp1" {
		return nil, errors.New("no such chip")
	}
	if p[line] == nil {
		p[line] = &gpiotest.Pin{N: line}
	}
	return p[line], nil
}

func (p pins) lit() (lines []string) {
	for line, pin := range p {
		if pin.Read() {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return lines
}

func led(t *testing.T, dir, name string) func(file string) string {
	return func(file string) string {
		b, err := os.ReadFile(filepath.Join(dir, "sys/class/leds", name, file))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(b))
	}
}

var three = hw.Pattern{Name: "out-of-specification", Color: hw.Yellow, Steps: hw.Flashes(3, 200*time.Millisecond, 300*time.Millisecond, 1500*time.Millisecond)}

func panel(t *testing.T, b hwtest.Board, lines hw.LineOpener, configs ...hw.LightConfig) (string, *hw.Panel) {
	t.Helper()
	dir := t.TempDir()
	if err := b.Write(dir); err != nil {
		t.Fatal(err)
	}
	p, err := hw.OpenPanel(dir, configs, lines)
	if err != nil {
		t.Fatal(err)
	}
	return dir, p
}

// TestKernelPlaysPatterns: the kernel's triggers do the blinking.
func TestKernelPlaysPatterns(t *testing.T) {
	dir, p := panel(t, hwtest.Pi5(), nil,
		hw.LightConfig{Kind: "led", Lamps: map[string]string{"l": "sysfs:ACT"}},
		hw.LightConfig{Kind: "led", Lamps: map[string]string{"l": "sysfs:PWR"}, Inverted: true, Brightness: 50, Exit: "on",
			Patterns: map[string]string{"failure": "red steady"}})
	act, pwr := led(t, dir, "ACT"), led(t, dir, "PWR")
	if err := p.Show(three); err != nil {
		t.Fatal(err)
	}
	if got := act("trigger") + "|" + act("pattern"); got != "pattern|255 200 255 0 0 300 0 0 255 200 255 0 0 300 0 0 255 200 255 0 0 1500 0 0" {
		t.Errorf("ACT: %s", got)
	}
	if got := pwr("pattern"); got != "128 200 128 0 255 300 255 0 128 200 128 0 255 300 255 0 128 200 128 0 255 1500 255 0" {
		t.Errorf("PWR, inverted at half brightness: %s", got)
	}
	if err := p.Show(hw.Pattern{Name: "failure", Color: hw.Red, Steps: hw.Flashes(5, time.Second, time.Second, time.Second)}); err != nil {
		t.Fatal(err)
	}
	if got := pwr("trigger") + pwr("brightness"); got != "none128" {
		t.Errorf("PWR with its own pattern for failure: %s", got)
	}
	if err := p.Show(hw.Pattern{Name: "good", Color: hw.Green, Beat: true, Steps: []time.Duration{80 * time.Millisecond}}); err != nil {
		t.Fatal(err)
	}
	if got := act("trigger") + act("brightness"); got != "none0" {
		t.Errorf("a beat before the first progress: %s", got)
	}
	if err := p.Beat(); err != nil {
		t.Fatal(err)
	}
	if got := act("trigger") + act("shot") + act("invert") + pwr("invert"); got != "oneshot101" {
		t.Errorf("a beat: %s", got)
	}
	if err := p.Halt(); err != nil {
		t.Fatal(err)
	}
	if got := act("brightness") + "," + pwr("brightness"); got != "0,0" {
		t.Errorf("after Halt, ACT off and inverted PWR on: %s", got)
	}
	if err := p.Show(three); err != nil || act("brightness") != "0" {
		t.Errorf("a halted panel shows again: %v", err)
	}
}

// TestTimerTrigger: where the kernel has no pattern trigger, even blinking still is its work.
func TestTimerTrigger(t *testing.T) {
	dir, p := panel(t, hwtest.Generic(), nil, hw.LightConfig{Kind: "led", Lamps: map[string]string{"l": "sysfs:user-led1"}, Exit: "restore"})
	l := led(t, dir, "user-led1")
	if err := p.Show(hw.Pattern{Name: "starting", Color: hw.Green, Steps: []time.Duration{time.Second, 2 * time.Second}}); err != nil {
		t.Fatal(err)
	}
	if got := l("trigger") + " " + l("delay_on") + " " + l("delay_off"); got != "timer 1000 2000" {
		t.Error(got)
	}
	if err := p.Halt(); err != nil || l("trigger") != "timer" {
		t.Errorf("the trigger from before was not restored: %v %s", err, l("trigger"))
	}
}

// TestStackLight: several outputs at once, by chip label, in software's rhythm.
func TestStackLight(t *testing.T) {
	lines := pins{}
	synctest.Test(t, func(t *testing.T) {
		dir, p := panel(t, hwtest.Pi5(), lines.open,
			hw.LightConfig{Kind: "stack", Lamps: map[string]string{"red": "gpio:pinctrl-rp1/17", "yellow": "gpio:pinctrl-rp1/27", "green": "gpio:pinctrl-rp1/22"}},
			hw.LightConfig{Kind: "rgb", Lamps: map[string]string{"red": "gpio:pinctrl-rp1/5", "green": "gpio:pinctrl-rp1/6", "blue": "gpio:pinctrl-rp1/13"}},
			hw.LightConfig{Kind: "led", Lamps: map[string]string{"l": "sysfs:ACT"}})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		if err := p.Show(three); err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{"27 5 6", "", "27 5 6", "", "27 5 6", "", "", "", "27 5 6"} {
			at := []int{100, 350, 600, 850, 1100, 1300, 1900, 2600, 2850}[i]
			time.Sleep(time.Until(start(t).Add(time.Duration(at) * time.Millisecond)))
			synctest.Wait()
			if got := strings.Join(lines.lit(), " "); got != want {
				t.Errorf("at %d ms lit %q, want %q", at, got, want)
			}
		}
		if got := led(t, dir, "ACT")("trigger"); got != "pattern" {
			t.Errorf("the LED beside it has trigger %s", got)
		}
		// A lamp that the stack lacks is shown by the next one; blue has none but yellow.
		if err := p.Show(hw.Pattern{Color: hw.Blue}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(lines.lit(), " "); got != "13 27" {
			t.Errorf("blue lights %q", got)
		}
		// Beats end by themselves, and without beats it stays dark.
		if err := p.Show(hw.Pattern{Color: hw.Green, Beat: true, Steps: []time.Duration{80 * time.Millisecond}}); err != nil {
			t.Fatal(err)
		}
		for _, beat := range []bool{true, true, false} {
			if beat {
				if err := p.Beat(); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			if got := strings.Join(lines.lit(), " "); (got == "22 6") != beat {
				t.Errorf("beat %v lights %q", beat, got)
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if got := lines.lit(); len(got) != 0 {
				t.Errorf("2 s after a beat %q is lit", got)
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := p.Halt(); err != nil {
			t.Error(err)
		}
	})
}

// start of a synctest bubble's clock.
func start(*testing.T) time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }

func TestLampTest(t *testing.T) {
	lines := pins{}
	synctest.Test(t, func(t *testing.T) {
		_, p := panel(t, hwtest.Pi5(), lines.open, hw.LightConfig{Kind: "stack", Inverted: true,
			Lamps: map[string]string{"red": "gpio:pinctrl-rp1/17", "green": "gpio:pinctrl-rp1/22"}})
		if got := strings.Join(lines.lit(), " "); got != "17 22" {
			t.Errorf("dark inverted lamps are high: %q", got)
		}
		if err := p.Show(hw.Pattern{Color: hw.Green}); err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- p.Test(t.Context()) }()
		synctest.Wait()
		if got := strings.Join(lines.lit(), " "); got != "22" { // red is low, so lit
			t.Errorf("the test's first step: %q", got)
		}
		if err := p.Show(hw.Pattern{Color: hw.Red}); err != nil {
			t.Fatal(err) // waits for the end of the test
		}
		if err := p.Once(t.Context(), three); err == nil {
			t.Error("two tests at once")
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := strings.Join(lines.lit(), " "); got != "22" {
			t.Errorf("after the test, red: %q", got)
		}
	})
}

// TestMulticolour: one LED of the kernel with an intensity of each colour, in its own order.
func TestMulticolour(t *testing.T) {
	b := hwtest.Pi5()
	const base = "sys/class/leds/rgb:status/"
	for file, content := range map[string]string{
		"brightness": "0\n", "max_brightness": "100\n", "trigger": "[none] timer oneshot pattern\n", "pattern": "",
		"multi_index": "blue white green red\n", "multi_intensity": "7 7 7 7\n", "shot": "", "invert": "", "delay_on": "", "delay_off": "",
	} {
		b.Files[base+file] = content
	}
	dir, p := panel(t, b, nil, hw.LightConfig{Kind: "rgb", Lamps: map[string]string{"all": "sysfs:rgb:status"}, Brightness: 50, Exit: "restore"})
	l := led(t, dir, "rgb:status")
	if err := p.Show(three); err != nil { // yellow
		t.Fatal(err)
	}
	if got := l("multi_intensity") + "|" + l("trigger") + "|" + l("pattern"); !strings.HasPrefix(got, "0 0 78 100|pattern|50 200 50 0 0 300 0 0 ") {
		t.Error(got)
	}
	if err := p.Show(hw.Pattern{Color: hw.Blue}); err != nil {
		t.Fatal(err)
	}
	if got := l("multi_intensity") + "|" + l("trigger") + "|" + l("brightness"); got != "100 0 0 0|none|50" {
		t.Error(got)
	}
	if err := p.Halt(); err != nil || l("multi_intensity") != "7 7 7 7" || l("brightness") != "0" {
		t.Errorf("restored to %s at %s: %v", l("multi_intensity"), l("brightness"), err)
	}
	_, err := hw.OpenPanel(dir, []hw.LightConfig{{Kind: "rgb", Lamps: map[string]string{"x": "sysfs:ACT"}}}, nil)
	if err == nil || !strings.Contains(err.Error(), `LED "ACT" has one colour`) {
		t.Errorf("a plain LED as one of all colours: %v", err)
	}
}

// TestBrokenLamp: one lamp that cannot be opened leaves the others working.
func TestBrokenLamp(t *testing.T) {
	dir := t.TempDir()
	if err := hwtest.Pi4().Write(dir); err != nil {
		t.Fatal(err)
	}
	p, err := hw.OpenPanel(dir, []hw.LightConfig{
		{Kind: "led", Lamps: map[string]string{"l": "gpio:pinctrl-rp1/17"}},
		{Kind: "led", Lamps: map[string]string{"l": "sysfs:NOPE"}},
		{Kind: "led", Lamps: map[string]string{"l": "sysfs:ACT"}},
	}, nil)
	for _, want := range []string{"GPIO is only there on the board itself", `no LED "NOPE": the board has ACT, PWR`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q: %v", want, err)
		}
	}
	if err := p.Show(three); err != nil || led(t, dir, "ACT")("trigger") != "pattern" {
		t.Errorf("the good lamp: %v", err)
	}
}

func TestLightConfigCheck(t *testing.T) {
	for want, c := range map[string]hw.LightConfig{
		`no kind of light "disco"`:        {Kind: "disco"},
		"exactly one lamp":                {Kind: "led"},
		"needs at least one lamp":         {Kind: "stack"},
		"lamps red, green and blue":       {Kind: "rgb", Lamps: map[string]string{"red": "sysfs:a", "blue": "sysfs:b"}},
		"must be an LED of the kernel":    {Kind: "rgb", Lamps: map[string]string{"x": "gpio:a/1"}},
		`no lamp colour "pink"`:           {Kind: "stack", Lamps: map[string]string{"pink": "sysfs:a"}},
		`write "sysfs:NAME"`:              {Kind: "led", Lamps: map[string]string{"x": "sysfs:../../kernel"}},
		"brightness 120":                  {Kind: "led", Lamps: map[string]string{"x": "sysfs:a"}, Brightness: 120},
		"no exit state":                   {Kind: "led", Lamps: map[string]string{"x": "sysfs:a"}, Exit: "bang"},
		"on and off times come in pairs":  {Kind: "led", Lamps: map[string]string{"x": "sysfs:a"}, Patterns: map[string]string{"good": "red 100"}},
		"is not a time from 20 to 60000 ": {Kind: "led", Lamps: map[string]string{"x": "sysfs:a"}, Patterns: map[string]string{"good": "red 1 1"}},
	} {
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestButton(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pin := &gpiotest.Pin{N: "17", EdgesChan: make(chan gpio.Level)}
		b, err := hw.OpenButton("gpio:pinctrl-rp1/17", false, func(string, string) (gpio.PinIO, error) { return pin, nil })
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		got := make(chan hw.Press, 8)
		done := make(chan error)
		go func() { done <- b.Run(ctx, func(p hw.Press) { got <- p }) }()
		for _, held := range []time.Duration{10 * time.Millisecond, 300 * time.Millisecond, 7 * time.Second} {
			pin.EdgesChan <- gpio.Low
			time.Sleep(held)
			pin.EdgesChan <- gpio.High
			time.Sleep(2 * time.Second)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		close(got)
		var all []hw.Press
		for p := range got {
			all = append(all, p)
		}
		if want := []hw.Press{hw.ShortPress, hw.LongPress}; !slices.Equal(all, want) {
			t.Errorf("bounce, short and long were told as %v, want %v", all, want)
		}
	})
}

func TestHeld(t *testing.T) {
	for name, c := range map[string]struct {
		released time.Duration // 0: at once
		want     bool
	}{"not at all": {0, false}, "short": {3 * time.Second, false}, "long": {11 * time.Second, true}} {
		synctest.Test(t, func(t *testing.T) {
			pin := &gpiotest.Pin{N: "17", EdgesChan: make(chan gpio.Level, 1)}
			b, err := hw.OpenButton("gpio:pinctrl-rp1/17", false, func(string, string) (gpio.PinIO, error) { return pin, nil })
			if err != nil {
				t.Fatal(err)
			}
			if err := pin.Out(gpio.Level(c.released == 0)); err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(c.released, func() { _ = pin.Out(gpio.High) })
			synctest.Wait()
			if got := b.Held(t.Context(), 10*time.Second); got != c.want {
				t.Errorf("%s: held %v, want %v", name, got, c.want)
			}
			time.Sleep(20 * time.Second)
		})
	}
}
