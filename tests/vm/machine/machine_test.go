package machine_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"lineside/tests/vm/base"
	"lineside/tests/vm/machine"
)

// TestMachine boots a Debian, runs commands in it, resets it and cuts its power.
func TestMachine(t *testing.T) {
	base.Need(t)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	b, err := base.Make(ctx, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	initrd, err := b.Initrd(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	agent, err := base.Agent(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	m, err := machine.Boot(ctx, machine.Options{
		Kernel: b.Kernel, Initrd: []string{initrd, agent}, Append: "root=/dev/vda rw quiet",
		Disks: []machine.Disk{{Path: b.Disk}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the console showed:\n%s", m.Console())
		}
	}()
	first, err := m.Ready(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the agent answers after %s", time.Since(begun).Round(100*time.Millisecond))
	out, err := m.Run(ctx, "systemctl is-system-running --wait; systemctl --failed --no-legend; systemd-analyze; systemd-analyze blame | head -n 20; uname -m")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("all is started after %s\n%s", time.Since(begun).Round(100*time.Millisecond), out)
	if !strings.HasPrefix(out, "running\n") || !strings.Contains(out, "aarch64") {
		t.Error("the machine is not well")
	}
	if out, err := m.Feed(ctx, "cat; exit 3", []byte("hello")); out != "hello" || err == nil || !strings.Contains(err.Error(), "ended with 3") {
		t.Errorf("a command that fails: %q, %v", out, err)
	}
	if err := m.Reset(); err != nil {
		t.Fatal(err)
	}
	second, err := m.Ready(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if second == first {
		t.Error("the reset did not start the machine anew")
	}
	m.Kill()
	if _, err := m.Run(ctx, "true"); err == nil {
		t.Error("a machine without power runs commands")
	}
}
