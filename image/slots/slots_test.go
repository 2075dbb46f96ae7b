package slots_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lineside/image/layout"
	"lineside/image/slots"
)

func TestUpdateAndBack(t *testing.T) {
	b := newBench(t)
	for _, want := range []layout.Slot{layout.B, layout.A, layout.B} { // several updates in a row
		b.update()
		b.start()
		if b.booted != want {
			t.Fatalf("slot %s runs, want %s", b.booted, want)
		}
	}
}

// TestUnhealthy gives up a trial whose health check failed.
func TestUnhealthy(t *testing.T) {
	b := newBench(t)
	fire(t, b)
	r := b.start()
	if r.Outcome != slots.OnTrial || b.booted != layout.B {
		t.Fatalf("on trial: %+v, slot %s", r, b.booted)
	}
	if err := b.board.Rollback("no ask was answered"); err != nil {
		t.Fatal(err)
	}
	b.start()
	s, _ := b.board.Status()
	if s.Booted != layout.A || s.Committed != layout.A || s.Trial != nil || s.Bad[layout.B].Why != "no ask was answered" {
		t.Errorf("after the rollback: %+v", s)
	}
	if err := b.board.Rollback("again"); !errors.Is(err, slots.ErrNoTrial) {
		t.Errorf("a second rollback: %v", err)
	}
}

// TestHang gives up a trial that never came so far as to say anything.
func TestHang(t *testing.T) {
	b := newBench(t)
	fire(t, b)
	b.flag = false // the watchdog's restart comes without the flag
	r := b.start()
	if r.Outcome != slots.RolledBack || r.Slot != layout.B || b.booted != layout.A {
		t.Fatalf("%+v, slot %s", r, b.booted)
	}
	// what was given up whole can be tried again, but not by itself
	if err := b.board.Fire(func() error { t.Error("restarted"); return nil }); !errors.Is(err, slots.ErrNoTrial) {
		t.Errorf("fire: %v", err)
	}
	if err := b.board.Retry(layout.B); err != nil {
		t.Error(err)
	}
	if err := b.board.Condemn(layout.B, "being written"); err != nil {
		t.Fatal(err)
	}
	if err := b.board.Retry(layout.B); !errors.Is(err, slots.ErrBad) {
		t.Errorf("a half written slot is tried: %v", err)
	}
}

// fire brings a bench to the restart into slot B.
func fire(t *testing.T, b *bench) {
	t.Helper()
	for _, err := range []error{b.board.Condemn(layout.B, "x"), b.board.Arm(layout.B), b.board.Fire(func() error { b.flag = true; return nil })} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestDamagedSelector writes it anew as the copy says, or by what runs.
func TestDamagedSelector(t *testing.T) {
	const selector, kept = layout.SelectorDir + "/" + layout.AutobootFile, layout.SlotsDir + "/" + layout.AutobootFile
	for name, c := range map[string]struct {
		copy string
		want layout.Slot
	}{
		"with its copy":    {string(slots.Autoboot(layout.B)), layout.B},
		"without":          {"", layout.A},
		"with a torn copy": {string(slots.Autoboot(layout.B)[:40]), layout.A},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.disk.put(selector, []byte("[all]\nboot_par"))
			b.disk.put(kept, []byte(c.copy))
			r, err := b.board.Reconcile() // slot A was found by walking the partitions
			if err != nil || r.Outcome != slots.Repaired || r.Slot != c.want {
				t.Fatalf("%+v, %v", r, err)
			}
			if b.start(); b.booted != c.want {
				t.Errorf("then slot %s runs, want %s", b.booted, c.want)
			}
		})
	}
}

// TestDeadSlot keeps the other slot once it was found healthy, where the committed one did
// not come up and its initrd asked for the other.
func TestDeadSlot(t *testing.T) {
	b := newBench(t)
	b.flag = true
	r := b.start()
	if r.Outcome != slots.FellBack || b.booted != layout.B {
		t.Fatalf("%+v, slot %s", r, b.booted)
	}
	if err := b.board.Rollback("unhealthy"); !errors.Is(err, slots.ErrNoTrial) {
		t.Errorf("goes back to a dead slot: %v", err)
	}
	if did, err := b.board.Commit(); err != nil || !did {
		t.Fatal(did, err)
	}
	b.start()
	if s, _ := b.board.Status(); s.Booted != layout.B || s.Bad[layout.A].Why == "" {
		t.Errorf("%+v", s)
	}
}

// TestFullData keeps a healthy slot although nothing can be noted of it.
func TestFullData(t *testing.T) {
	b := newBench(t)
	fire(t, b)
	b.start()
	b.board.Disk = &fullDisk{b.disk}
	if did, err := b.board.Commit(); !did || err == nil {
		t.Fatalf("commit with a full data partition: %v, %v; want done, and the error told", did, err)
	}
	if r := b.start(); r.Outcome != slots.Kept || b.booted != layout.B {
		t.Errorf("then %+v, slot %s", r, b.booted)
	}
}

type fullDisk struct{ *powerDisk }

var errFull = errors.New("no space left on device")

func (d *fullDisk) WriteFile(name string, b []byte) error {
	if strings.HasPrefix(name, layout.DataDir) {
		return errFull
	}
	return d.powerDisk.WriteFile(name, b)
}

// TestOldBootloader installs nothing on a board that would start a trial for good.
func TestOldBootloader(t *testing.T) {
	const caps = "/proc/device-tree/chosen/bootloader/capabilities"
	for name, cell := range map[string][]byte{"without the bit": {0, 0, 0, 3}, "too short": {7}, "absent": nil} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			if b.disk.put(caps, cell); cell == nil {
				delete(b.disk.seen, caps)
			}
			if err := b.board.Condemn(layout.B, "being written"); !errors.Is(err, slots.ErrFirmware) {
				t.Errorf("condemn: %v", err)
			}
			if err := b.board.Arm(layout.B); !errors.Is(err, slots.ErrFirmware) {
				t.Errorf("arm: %v", err)
			}
		})
	}
}

// TestFailedRestart keeps an update armed when the restart could not be asked for.
func TestFailedRestart(t *testing.T) {
	b := newBench(t)
	if err := b.board.Arm(layout.B); err != nil {
		t.Fatal(err)
	}
	if err := b.board.Fire(func() error { return errors.New("no systemctl") }); err == nil {
		t.Fatal("no error")
	}
	if r := b.start(); r.Outcome != slots.Pending {
		t.Errorf("%+v", r)
	}
}

func TestBackend(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct{ call, out string }{
		{"get-primary", "A"},
		{"get-current", "A"},
		{"get-state B", "good"},
		{"set-state B bad", ""}, // RAUC before it writes
		{"get-state B", "bad"},
		{"set-primary B", ""}, // and after
		{"get-primary", "B"},
		{"get-state B", "good"},
		{"set-state B good", "error"}, // only the health check keeps a trial
		{"set-state A bad", "error"},  // the running one
		{"set-primary A", ""},
		{"get-primary", "A"},
		{"set-state A good", ""},
		{"get-state C", "error"},
		{"set-state A fine", "error"},
		{"explode", "error"},
		{"", "error"},
	} {
		var out strings.Builder
		err := b.board.Backend(&out, strings.Fields(c.call)...)
		got := strings.TrimSpace(out.String())
		if err != nil {
			got = "error"
		}
		if got != c.out {
			t.Errorf("%s: %q (%v), want %q", c.call, got, err, c.out)
		}
	}
}

// TestRealFiles runs once on the operating system's files.
func TestRealFiles(t *testing.T) {
	root := t.TempDir()
	for name, b := range map[string]string{
		"selector/autoboot.txt": string(slots.Autoboot(layout.A)),
		"proc/cmdline":          "rauc.slot=A",
		"proc/device-tree/chosen/bootloader/capabilities": "\x00\x00\x00\x04",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(b), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	released := 0
	b := &slots.Board{Root: root, Writable: func() (func() error, error) { return func() error { released++; return nil }, nil }}
	if _, err := b.Reconcile(); err != nil {
		t.Fatal(err)
	}
	if err := b.Arm(layout.B); err != nil {
		t.Fatal(err)
	}
	if err := b.Fire(func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "proc/cmdline"), []byte("rauc.slot=B"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r, err := b.Reconcile(); err != nil || r.Outcome != slots.OnTrial {
		t.Fatal(r, err)
	}
	if did, err := b.Commit(); err != nil || !did || released != 1 {
		t.Fatal(did, err, released)
	}
	if s, err := b.Status(); err != nil || s.Committed != layout.B || s.Trial != nil {
		t.Error(s, err)
	}
}

func FuzzParseAutoboot(f *testing.F) {
	f.Add(slots.Autoboot(layout.A))
	f.Add(slots.Autoboot(layout.B)[:30])
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := slots.ParseAutoboot(b); (err == nil) != s.Valid() {
			t.Errorf("%q: %q, %v", b, s, err)
		}
	})
}
