// Package gpio runs the lamps and the button against a real kernel: QEMU's machine
// "virt" has a PL061 GPIO chip, whose lines the device tree gives to gpio-leds, and a power
// button on one of them. The tests in guest run as that machine's only program.
package gpio

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"lineside/image/initrd"
	"lineside/tests/gpio/wire"
	"lineside/tests/vm/base"
	"lineside/tests/vm/machine"
)

var modules = []string{"leds-gpio", "ledtrig-timer", "ledtrig-oneshot", "ledtrig-pattern"}

func TestKernel(t *testing.T) {
	base.Need(t)
	ctx, cancel := context.WithTimeout(t.Context(), 9*time.Minute)
	defer cancel()
	b, err := base.Make(ctx, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	o := machine.Options{Kernel: b.Kernel, Memory: 256, Cores: 1, Counted: true, Append: "quiet", Initrd: []string{guest(ctx, t, b)}}
	if o.DTB, err = machine.DeviceTree(ctx, o, t.TempDir(), withLEDs); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	m, err := machine.Boot(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		t.Logf("took %s; the machine said:\n%s", time.Since(start).Round(time.Second), m.Console())
	}()
	expect(ctx, t, m, wire.PressShort)
	if err := m.PowerButton(); err != nil {
		t.Fatal(err)
	}
	expect(ctx, t, m, wire.PressLong)
	hold(ctx, t, m)
	if line := expect(ctx, t, m, wire.Ended); line != wire.Ended+" 0" {
		t.Error(line)
	}
}

func expect(ctx context.Context, t *testing.T, m *machine.Machine, text string) string {
	t.Helper()
	line, err := m.Expect(ctx, text)
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// hold keeps the button down until it is to be released: QEMU lets it go after 100 ms of the
// machine's time, unless it is pressed again meanwhile.
func hold(ctx context.Context, t *testing.T, m *machine.Machine) {
	released := make(chan error, 1)
	go func() {
		_, err := m.Expect(ctx, wire.Release)
		released <- err
	}()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		select {
		case err := <-released:
			if err != nil {
				t.Fatal(err)
			}
			return
		case <-again.C:
			if err := m.PowerButton(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// guest builds the program and its initial RAM file system.
func guest(ctx context.Context, t *testing.T, b base.Base) (file string) {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "guest")
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-trimpath", "-ldflags=-s -w", "-o", program, "./tests/gpio/guest")
	cmd.Dir = base.Source()
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	file = filepath.Join(dir, "initrd")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(initrd.Init(f, program, b.Modules, modules), f.Close()); err != nil {
		t.Fatal(err)
	}
	return file
}

var handle = regexp.MustCompile(`pl061@9030000 \{\s*phandle = <(0x[0-9a-f]+)>;`)

// withLEDs gives the chip's lines names, and four of them to the kernel's LED driver.
func withLEDs(source string) (string, error) {
	at := handle.FindStringSubmatchIndex(source)
	if at == nil {
		return "", errors.New("the machine has no PL061")
	}
	chip := source[at[2]:at[3]]
	names := fmt.Sprintf("\n\t\tgpio-line-names = \"%s\";", strings.Join(wire.Names, `", "`))
	source = source[:at[1]] + names + source[at[1]:]
	var leds strings.Builder
	for _, n := range []int{wire.Status, wire.Red, wire.Green, wire.Blue} {
		fmt.Fprintf(&leds, "\t\t%s { label = %q; gpios = <%s %d 0>; };\n", wire.Names[n], wire.Names[n], chip, n)
	}
	return source + "\n/ {\n\tleds {\n\t\tcompatible = \"gpio-leds\";\n" + leds.String() + "\t};\n};\n", nil
}
