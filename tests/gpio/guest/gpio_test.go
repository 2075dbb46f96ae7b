package guest

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"lineside/hw"
	"lineside/tests/gpio/wire"
)

const ms = time.Millisecond

var (
	three = hw.Pattern{Name: "three", Color: hw.Yellow, Steps: hw.Flashes(3, 200*ms, 300*ms, 700*ms)}
	// twice is how long three takes to show itself whole from any start.
	twice  = 4 * time.Second
	even   = hw.Pattern{Name: "even", Color: hw.Green, Steps: []time.Duration{400 * ms, 250 * ms}}
	beat   = hw.Pattern{Name: "beat", Color: hw.Green, Beat: true, Steps: []time.Duration{80 * ms}}
	steady = hw.Pattern{Name: "steady", Color: hw.Orange}
)

func panel(t *testing.T, lights ...hw.LightConfig) *hw.Panel {
	t.Helper()
	p, err := hw.OpenPanel("/", lights, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func led(name string) hw.LightConfig {
	return hw.LightConfig{Kind: "led", Lamps: map[string]string{"lamp": "sysfs:" + name}}
}

func show(t *testing.T, p *hw.Panel, pattern hw.Pattern) {
	t.Helper()
	if err := p.Show(pattern); err != nil {
		t.Error(err)
	}
}

// halt ends a panel, after which its lamps must show this.
func halt(t *testing.T, p *hw.Panel, lines []int, want string) {
	t.Helper()
	if err := p.Halt(); err != nil {
		t.Error(err)
	}
	if got := lit(t, lines...); got != want {
		t.Errorf("after the end %q is lit, want %q", got, want)
	}
}

// TestTimer runs before the pattern trigger is there: even blinking is the timer's.
func TestTimer(t *testing.T) {
	need(t, "leds-gpio", "ledtrig-timer", "ledtrig-oneshot")
	p := panel(t, led("status"))
	show(t, p, even)
	rhythm(t, watch(t, 2*time.Second, wire.Status)[wire.Status], true, even.Steps...)
	if got := trigger(t, "status"); got != "timer" {
		t.Errorf("trigger %q", got)
	}
	show(t, p, three) // not even: without Run nobody blinks it
	halt(t, p, []int{wire.Status}, "")
}

func trigger(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("/sys/class/leds/" + name + "/trigger")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "[")
	set, _, _ := strings.Cut(rest, "]")
	return set
}

// TestPattern: the kernel blinks a code by itself, hard edges and all.
func TestPattern(t *testing.T) {
	need(t, "leds-gpio", "ledtrig-pattern")
	p := panel(t, led("status"))
	show(t, p, three)
	if got := trigger(t, "status"); got != "pattern" {
		t.Errorf("trigger %q", got)
	}
	rhythm(t, watch(t, twice, wire.Status)[wire.Status], true, three.Steps...)
	show(t, p, even)
	rhythm(t, watch(t, 2*time.Second, wire.Status)[wire.Status], true, even.Steps...)
	show(t, p, steady)
	if got := lit(t, wire.Status); got != "0" {
		t.Errorf("steady: %q", got)
	}
	halt(t, p, []int{wire.Status}, "")
}

// TestBeat: one flash for each beat, and dark without.
func TestBeat(t *testing.T) {
	need(t, "leds-gpio", "ledtrig-oneshot")
	p := panel(t, led("status"))
	show(t, p, beat)
	go func() {
		for range 3 {
			if err := p.Beat(); err != nil {
				t.Error(err)
			}
			time.Sleep(500 * ms)
		}
	}()
	flashes := 0
	for _, s := range watch(t, 1800*ms, wire.Status)[wire.Status] {
		if s.high {
			flashes++
			if s.long < 20*ms || s.long > 250*ms {
				t.Errorf("a flash of %s", s.long)
			}
		}
	}
	if flashes != 3 {
		t.Errorf("%d flashes for 3 beats", flashes)
	}
	if got := lit(t, wire.Status); got != "" {
		t.Error("lit without a beat")
	}
	halt(t, p, []int{wire.Status}, "")
}

// TestInvertedAndExit: a lamp that lights at a low level, and what stays on at the end.
func TestInvertedAndExit(t *testing.T) {
	need(t, "leds-gpio", "ledtrig-pattern", "ledtrig-timer")
	c := led("status")
	c.Inverted, c.Exit = true, "on"
	p := panel(t, c)
	show(t, p, three)
	rhythm(t, watch(t, twice, wire.Status)[wire.Status], false, three.Steps...)
	halt(t, p, []int{wire.Status}, "") // on, at a low level
	if err := os.WriteFile("/sys/class/leds/status/trigger", []byte("heartbeat"), 0); err != nil {
		t.Fatal(err)
	}
	c = led("status")
	c.Exit = "restore"
	p = panel(t, c)
	show(t, p, three)
	if err := p.Halt(); err != nil {
		t.Error(err)
	}
	if got := trigger(t, "status"); got != "heartbeat" {
		t.Errorf("restored to %q", got)
	}
}

// TestRGBAndStack mixes three LEDs of the kernel, beside a stack light on free lines.
func TestRGBAndStack(t *testing.T) {
	need(t, "leds-gpio", "ledtrig-pattern")
	line := func(n int) string { return fmt.Sprintf("gpio:%s/%d", wire.Chip, n) }
	p := panel(t,
		hw.LightConfig{Kind: "rgb", Lamps: map[string]string{"red": "sysfs:red", "green": "sysfs:green", "blue": "sysfs:blue"}},
		hw.LightConfig{Kind: "stack", Lamps: map[string]string{
			"red": line(wire.StackRed), "yellow": line(wire.StackYellow), "green": "gpio:" + wire.Chip + "/" + wire.Names[wire.StackGreen]}})
	all := []int{wire.Red, wire.Green, wire.Blue, wire.StackRed, wire.StackYellow, wire.StackGreen}
	for _, c := range []struct {
		color hw.Color
		want  []int
	}{
		{hw.Red, []int{wire.Red, wire.StackRed}}, {hw.Yellow, []int{wire.Red, wire.Green, wire.StackYellow}},
		{hw.Green, []int{wire.Green, wire.StackGreen}}, {hw.Blue, []int{wire.Blue, wire.StackYellow}}, {hw.Dark, nil},
	} {
		show(t, p, hw.Pattern{Name: string(c.color), Color: c.color})
		want := strings.Trim(fmt.Sprint(c.want), "[]")
		if got := lit(t, all...); got != want {
			t.Errorf("%s lights %q, want %q", c.color, got, want)
		}
	}
	if _, out := levels(t); !out[wire.StackRed] || !out[wire.StackGreen] {
		t.Error("the stack's lines are no outputs")
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	show(t, p, three)
	spans := watch(t, twice, wire.StackYellow, wire.Green)
	rhythm(t, spans[wire.StackYellow], true, three.Steps...) // blinked by Run
	rhythm(t, spans[wire.Green], true, three.Steps...)       // by the kernel
	seen := map[string]bool{}
	tested := make(chan error)
	go func() { tested <- p.Test(ctx) }()
	for testing := true; testing; {
		select {
		case err := <-tested:
			if err != nil {
				t.Error(err)
			}
			testing = false
		default:
			seen[lit(t, wire.StackRed, wire.StackYellow, wire.StackGreen)] = true
		}
	}
	for _, want := range []string{"5", "6", "7", ""} {
		if !seen[want] {
			t.Errorf("the lamp test never showed %q: %v", want, seen)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	halt(t, p, all, "")
	// The lines are free again.
	p = panel(t, hw.LightConfig{Kind: "led", Lamps: map[string]string{"lamp": line(wire.StackRed)}, Exit: "on"})
	show(t, p, steady)
	if got := lit(t, wire.StackRed); got != "5" {
		t.Errorf("opened again: %q", got)
	}
	if err := p.Halt(); err != nil {
		t.Error(err)
	}
}

// TestRefusals are what the kernel says to lines that are not there or taken.
func TestRefusals(t *testing.T) {
	need(t, "leds-gpio")
	for place, want := range map[string]string{
		"gpio:pinctrl-rp1/17":         "no GPIO chip \"pinctrl-rp1\": this machine shows " + wire.Chip,
		"gpio:" + wire.Chip + "/8":    "has lines 0 to 7",
		"gpio:" + wire.Chip + "/nope": "no line \"nope\"",
		"gpio:" + wire.Chip + "/0":    "is the line taken?",
		"sysfs:nope":                  "the board has blue, green, red, status",
	} {
		_, err := hw.OpenPanel("/", []hw.LightConfig{{Kind: "led", Lamps: map[string]string{"lamp": place}}}, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", place, err, want)
		}
	}
}

// TestButton: edges come from the chip's interrupt.
func TestButton(t *testing.T) {
	need(t)
	b, err := hw.OpenButton("gpio:"+wire.Chip+"/"+wire.Names[wire.Button], true, nil) // pressed is high
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	pressed, done := make(chan hw.Press, 8), make(chan error)
	go func() { done <- b.Run(ctx, func(p hw.Press) { pressed <- p }) }()
	var got []hw.Press
	for _, say := range []string{wire.PressShort, wire.PressLong} {
		fmt.Println(say)
		if p := soon(pressed); p != 0 {
			got = append(got, p)
		} else {
			t.Errorf("%q: nothing came", say)
		}
	}
	fmt.Println(wire.Release)
	select { // the release of a long press is no press
	case p := <-pressed:
		got = append(got, p)
	case <-time.After(time.Second):
	}
	if want := []hw.Press{hw.ShortPress, hw.LongPress}; !slices.Equal(got, want) {
		t.Errorf("pressed %v, want %v", got, want)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// soon waits for a press without idling: the machine's clock leaps over idle time, and
// whoever presses the button is outside.
func soon(pressed <-chan hw.Press) hw.Press {
	for start := time.Now(); time.Since(start) < 2*time.Minute; {
		select {
		case p := <-pressed:
			return p
		default:
		}
	}
	return 0
}

// TestBoard reads the machine itself: a real kernel's files, most of them missing.
func TestBoard(t *testing.T) {
	need(t)
	b, err := hw.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if id := b.Identity(); id.Model != "linux,dummy-virt" || id.Family != hw.Generic || id.CPUs != 1 || id.Memory < 100<<20 {
		t.Errorf("%+v", id)
	}
	var s hw.Sample
	b.Sample(&s)
	if v := s.Value(hw.Uptime, "boot"); !(v > 1 && v < 600) {
		t.Errorf("uptime %v", v)
	}
	if v := s.Value(hw.Memory, "available"); !(v > 50<<20) {
		t.Errorf("memory available %v", v)
	}
	if v := s.Value(hw.Pressure, "memory-full"); v != 0 {
		t.Errorf("pressure %v", v)
	}
	if n := testing.AllocsPerRun(10, func() { b.Sample(&s) }); n != 0 {
		t.Errorf("%v allocations per sample", n)
	}
}
