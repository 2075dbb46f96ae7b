package hw

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// sysfsLED is one LED of /sys/class/leds. The kernel blinks it by trigger, so
// that what it says does not depend on this program.
// https://docs.kernel.org/leds/leds-class.html
type sysfsLED struct {
	tree     *tree
	base     string
	max      int
	inverted bool
	triggers []string
	trigger  string // set now; empty: not known
	switched time.Time
	closed   time.Time // when the files of a trigger stayed closed
	restore  string    // trigger before
	bright   string    // brightness before
}

func openSysfsLED(t *tree, name string, inverted bool) (*sysfsLED, error) {
	l := &sysfsLED{tree: t, base: "sys/class/leds/" + name + "/", max: 255, inverted: inverted}
	buf := make([]byte, fileMax)
	if !t.has(l.base) {
		return nil, fmt.Errorf("there is no LED %q: the board has %s", name, orNone(t.list("sys/class/leds")))
	}
	if b, err := t.read(cpath(l.base+"max_brightness"), buf); err == nil {
		if n, err := parseInt(b); err == nil && n > 0 && n < 1<<16 {
			l.max = int(n)
		}
	}
	if b, err := t.read(cpath(l.base+"trigger"), buf); err == nil {
		l.triggers, l.restore = parseTriggers(b)
	}
	if b, err := t.read(cpath(l.base+"brightness"), buf); err == nil {
		l.bright = clean(b)
	}
	return l, nil
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// parseTriggers reads "none [timer] pattern": the names, and the one that is set.
func parseTriggers(b []byte) (names []string, set string) {
	for _, f := range strings.Fields(clean(b)) {
		if n, ok := strings.CutPrefix(f, "["); ok {
			f = strings.TrimSuffix(n, "]")
			set = f
		}
		names = append(names, f)
	}
	return names, set
}

// ledError adds the next step to what a write to sysfs fails with.
func ledError(path string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%s: read-only here: allow the LED's real path in the unit's ReadWritePaths", path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: %w: let the service's group write it (udev rule of the package)", path, fs.ErrPermission)
	}
	return fmt.Errorf("%s: %w", path, err)
}

func (l *sysfsLED) write(file, value string) error {
	return ledError("/"+l.base+file, l.tree.write(cpath(l.base+file), []byte(value)))
}

// Times of the files that a trigger brings.
const (
	settle = 5 * time.Second // that udev may take to let the service's group write them, while a board starts
	again  = time.Minute     // after which triggers whose files stayed closed are tried again
)

// can reports whether the kernel may blink by a trigger.
func (l *sysfsLED) can(trigger string) bool {
	return slices.Contains(l.triggers, trigger) && (l.closed.IsZero() || time.Since(l.closed) >= again)
}

// attribute writes a file of the trigger in use. Where it stays closed, the lamp blinks by
// Panel.Run for a while.
func (l *sysfsLED) attribute(file, value string) error {
	for {
		err := l.write(file, value)
		if !errors.Is(err, fs.ErrPermission) {
			return err
		}
		if time.Since(l.switched) >= settle {
			l.closed = time.Now()
			return err
		}
		time.Sleep(settle / 100)
	}
}

// use sets the trigger once. Setting it again would restart its rhythm.
func (l *sysfsLED) use(trigger string) error {
	if l.trigger == trigger {
		return nil
	}
	l.trigger = ""
	if err := l.write("trigger", trigger); err != nil {
		return err
	}
	l.trigger, l.switched = trigger, time.Now()
	return nil
}

// raw is a level in the LED's own numbers.
func (l *sysfsLED) raw(level uint8) int {
	n := (int(level)*l.max + 254) / 255
	if l.inverted {
		n = l.max - n
	}
	return n
}

func (l *sysfsLED) set(level uint8) error {
	if err := l.use("none"); err != nil {
		return err
	}
	return l.write("brightness", strconv.Itoa(l.raw(level)))
}

// play prefers the pattern trigger, takes the timer for even blinking, and
// leaves the rest to Panel.Run.
func (l *sysfsLED) play(p *Pattern, level uint8) (bool, error) {
	switch {
	case len(p.Steps) == 0:
		return true, l.set(level)
	case l.can("pattern"):
		if err := l.use("pattern"); err != nil {
			return false, err
		}
		if err := l.attribute("pattern", l.kernelPattern(p.Steps, level)); err != nil {
			return false, err
		}
		return true, nil
	case l.can("timer") && len(p.Steps) == 2 && level == 255:
		on, off := p.Steps[0], p.Steps[1]
		if l.inverted {
			on, off = off, on
		}
		if err := l.use("timer"); err != nil {
			return false, err
		}
		if err := errors.Join(l.attribute("delay_on", ms(on)), l.attribute("delay_off", ms(off))); err != nil {
			return false, err
		}
		return true, nil
	}
	return false, l.set(0)
}

func ms(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// kernelPattern writes steps for the pattern trigger, which glides from one
// brightness to the next: a step of 0 ms makes each edge hard.
// https://docs.kernel.org/leds/leds-class.html (ledtrig-pattern)
func (l *sysfsLED) kernelPattern(steps []time.Duration, level uint8) string {
	var b strings.Builder
	for i, s := range steps {
		v := l.raw(0)
		if i%2 == 0 {
			v = l.raw(level)
		}
		fmt.Fprintf(&b, "%d %s %d 0 ", v, ms(s), v)
	}
	return strings.TrimSpace(b.String())
}

func (l *sysfsLED) flash(level uint8) (bool, error) {
	if !l.can("oneshot") {
		return false, l.set(level)
	}
	if l.trigger != "oneshot" {
		invert := "0"
		if l.inverted {
			invert = "1"
		}
		if err := l.use("oneshot"); err != nil {
			return false, err
		}
		if err := errors.Join(l.attribute("invert", invert), l.attribute("delay_on", ms(beatFlash)), l.attribute("delay_off", ms(beatFlash))); err != nil {
			return false, err
		}
	}
	if err := l.attribute("shot", "1"); err != nil {
		return false, err
	}
	return true, nil
}

func (l *sysfsLED) halt(exit string) error {
	switch exit {
	case "on":
		return l.set(255)
	case "restore":
		if l.restore == "" || l.restore == "none" {
			return errors.Join(l.use("none"), l.write("brightness", l.bright))
		}
		return l.use(l.restore)
	}
	return l.set(0)
}
