package image

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lineside/tests/vm/base"
	"lineside/tests/vm/machine"
)

// slowestStart is how many times as long as Debian to its login prompt the card may take
// to be ready, and daemonStart what linesided may add.
const (
	slowestStart = 1.5
	daemonStart  = 3 * time.Second
)

// TestBootTime compares power to ready with the same Debian's power to login prompt, in turns,
// the best of two each: what else the host does lengthens both.
func TestBootTime(t *testing.T) {
	release(t)
	if os.Getenv("LINESIDE_IMAGE_FAULTS") == "" {
		t.Skip("measures for minutes: run make image-test, or set LINESIDE_IMAGE_FAULTS=1")
	}
	d := newDebian(t)
	b := newBoard(t)
	b.provision(b.config())
	b.start()
	first := b.status("ready", "")
	b.healthy()
	b.off()
	login, ready := time.Hour, time.Hour
	for range 2 {
		login = min(login, d.login())
		b.start()
		ready = min(ready, b.status("ready", ""))
		b.healthy()
		daemon := b.moment("ActiveEnterTimestampMonotonic") - b.moment("InactiveExitTimestampMonotonic")
		t.Logf("linesided takes %s from its first process to READY", daemon.Round(time.Millisecond))
		if daemon > daemonStart {
			t.Errorf("linesided takes %s, want at most %s", daemon, daemonStart)
		}
		b.off()
	}
	ratio := ready.Seconds() / login.Seconds()
	t.Logf("power to ready %.1f s (%.1f s the first time), Debian to its login prompt %.1f s: %.2f times", ready.Seconds(), first.Seconds(), login.Seconds(), ratio)
	if ratio > slowestStart {
		t.Errorf("ready after %.2f times Debian's login prompt, want at most %.1f", ratio, slowestStart)
	}
}

// moment is one of systemd's times of linesided.
func (b *board) moment(property string) time.Duration {
	b.Helper()
	at, err := b.on.UnitTime(b.wait(), "linesided.service", property)
	b.must(err)
	return at
}

// debian is a machine without Lineside that ends its start with a login prompt.
type debian struct {
	*testing.T
	options machine.Options
}

// newDebian gives tests' Debian its login prompt back, on a disk of its own.
func newDebian(t *testing.T) *debian {
	t.Helper()
	d := &debian{T: t}
	dir := t.TempDir()
	root, err := base.Make(t.Context(), t.Output())
	d.must(err)
	disk := filepath.Join(dir, "debian.ext4")
	if out, err := exec.Command("cp", "--sparse=always", root.Disk, disk).CombinedOutput(); err != nil {
		t.Fatalf("copy the disk: %v: %s", err, out)
	}
	initrd, err := root.Initrd(t.Context(), dir)
	d.must(err)
	agent, err := base.Agent(t.Context(), dir)
	d.must(err)
	d.options = machine.Options{Kernel: root.Kernel, Initrd: []string{initrd, agent}, Append: "root=/dev/vda rw quiet", Disks: []machine.Disk{{Path: disk, Keep: true}}}
	d.boot(func(ctx context.Context, m *machine.Machine) {
		_, err := m.Run(ctx, "cd /etc/systemd/system && rm getty.target serial-getty@.service && systemctl poweroff --no-block")
		d.must(err)
		d.must(m.Wait(ctx))
	})
	d.options.Initrd = d.options.Initrd[:1] // Debian alone
	return d
}

func (d *debian) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

func (d *debian) boot(use func(context.Context, *machine.Machine)) {
	d.Helper()
	ctx, cancel := context.WithTimeout(d.Context(), patience)
	defer cancel()
	m, err := machine.Boot(ctx, d.options)
	d.must(err)
	defer m.Close()
	use(ctx, m)
}

// login is how long it takes from power to the login prompt.
func (d *debian) login() (took time.Duration) {
	d.Helper()
	begun := time.Now()
	d.boot(func(ctx context.Context, m *machine.Machine) {
		line, err := m.Expect(ctx, "lineside-vm ttyAMA0") // the line above the prompt
		d.must(err)
		if !strings.Contains(line, "Debian") {
			d.Errorf("that is no login prompt: %q", line)
		}
		took = time.Since(begun)
	})
	return took
}
