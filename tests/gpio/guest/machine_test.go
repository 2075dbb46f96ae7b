// Package guest is what runs inside the virtual machine of tests/gpio, as its first and
// only program: lamps and button against a real kernel. On any other machine its tests skip.
package guest

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lineside/tests/gpio/wire"
)

// TestMain is the machine's init: it mounts what the tests look at, runs them and
// switches the machine off.
func TestMain(m *testing.M) {
	if os.Getpid() != 1 {
		os.Exit(m.Run())
	}
	code := 1
	if err := mounts(); err != nil {
		fmt.Println(err)
	} else {
		os.Args = []string{"guest", "-test.v"}
		code = m.Run()
	}
	fmt.Println(wire.Ended, code)
	unix.Sync()
	fmt.Println(unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)) // it does not return unless it fails
	select {}
}

func mounts() error {
	for _, m := range [][2]string{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"debugfs", "/sys/kernel/debug"}, {"tmpfs", "/tmp"}} {
		if err := os.MkdirAll(m[1], 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m[0], m[1], m[0], 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m[1], err)
		}
	}
	return nil
}

// need skips a test outside the machine, and loads kernel modules inside it.
func need(t *testing.T, modules ...string) {
	t.Helper()
	if os.Getpid() != 1 {
		t.Skip("runs as the init of a virtual machine: make test-gpio")
	}
	for _, name := range modules {
		f, err := os.Open("/modules/" + name + ".ko")
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && err != unix.EEXIST {
			t.Errorf("load %s: %v", name, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// levels are the levels of the chip's lines as the kernel drives them, and whether each
// is an output, by line number. They come from a place that the code under test never sees.
func levels(t *testing.T) (high, out map[int]bool) {
	t.Helper()
	f, err := os.Open("/sys/kernel/debug/gpio")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	high, out = map[int]bool{}, map[int]bool{}
	base := -1
	for s := bufio.NewScanner(f); s.Scan(); {
		line := strings.TrimSpace(s.Text())
		if strings.Contains(line, wire.Chip) {
			if _, err := fmt.Sscanf(line[strings.Index(line, "GPIOs "):], "GPIOs %d-", &base); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
		}
		var n int
		if _, err := fmt.Sscanf(line, "gpio-%d", &n); err == nil && base >= 0 {
			_, state, _ := strings.Cut(line, ") ")
			high[n-base] = strings.Contains(state, "hi")
			out[n-base] = strings.HasPrefix(state, "out")
		}
	}
	return high, out
}

// lit names the lines of a list that are high now.
func lit(t *testing.T, lines ...int) string {
	t.Helper()
	high, _ := levels(t)
	var on []string
	for _, n := range lines {
		if high[n] {
			on = append(on, fmt.Sprint(n))
		}
	}
	return strings.Join(on, " ")
}

// span is how long a line kept a level.
type span struct {
	high bool
	long time.Duration
}

// watch records some lines for a time. It never idles: the machine's time passes by what it
// computes, and leaps over idle time at the price of the host's.
func watch(t *testing.T, long time.Duration, lines ...int) map[int][]span {
	t.Helper()
	start := time.Now()
	spans, since := map[int][]span{}, map[int]time.Time{}
	for _, n := range lines {
		since[n] = start
	}
	was, _ := levels(t)
	for over := false; !over; {
		is, _ := levels(t)
		now := time.Now()
		over = now.Sub(start) >= long
		for _, n := range lines {
			if is[n] != was[n] || over {
				spans[n] = append(spans[n], span{was[n], now.Sub(since[n])})
				since[n] = now
			}
		}
		was = is
		runtime.Gosched() // let the code under test have the processor
	}
	return spans
}

// rhythm checks that spans, without the first and the last, which are cut, repeat steps.
func rhythm(t *testing.T, spans []span, high bool, steps ...time.Duration) {
	t.Helper()
	if len(spans) < len(steps)+2 {
		t.Errorf("too few changes: %v", spans)
		return
	}
	spans = spans[1 : len(spans)-1]
	const slack = 75 * time.Millisecond
	for at := range steps { // find where in the rhythm it begins
		fits := true
		for i, s := range spans {
			k := (at + i) % len(steps)
			want := steps[k]
			fits = fits && s.high == (k%2 == 0) == high && s.long > want-slack && s.long < want+slack
		}
		if fits {
			return
		}
	}
	t.Errorf("%v does not repeat %v", spans, steps)
}
