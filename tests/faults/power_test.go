package faults

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lineside/daemon/audit"
	"lineside/mqtt"
	"lineside/mqtt/mqtttest"
	"lineside/mqtt/wire"
)

var cuts = flag.Int("cuts", 4, "how often the power is cut")

// disk is an ext4 file system of its own whose power can be cut.
type disk struct {
	t     *testing.T
	image string
	dir   string
}

// newDisk makes and mounts one. It skips the test where it may not.
func newDisk(t *testing.T) *disk {
	t.Helper()
	d := &disk{t: t, image: filepath.Join(t.TempDir(), "card.img"), dir: t.TempDir()}
	if os.Geteuid() != 0 {
		t.Skip("a file system of its own cannot be mounted: run as root")
	}
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		t.Skip("mkfs.ext4 is not installed: apt-get install e2fsprogs")
	}
	if out, err := exec.Command("sh", "-ec", "truncate -s 64M "+d.image+" && mkfs.ext4 -q -F "+d.image).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.dir).CombinedOutput(); err != nil {
		t.Skipf("a loop file system cannot be mounted here: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = unix.Unmount(d.dir, unix.MNT_DETACH) })
	return d
}

// Ext4's own crash test: everything stops at once and nothing more is written, not
// even the journal. linux/fs/ext4/ext4.h.
const (
	ext4Shutdown   = 0x8004587d // EXT4_IOC_SHUTDOWN, _IOR('X', 125, __u32)
	ext4NoLogFlush = 2          // EXT4_GOING_FLAGS_NOLOGFLUSH
)

// cut takes the power away: what was not synced to the disk is gone, whole or torn.
func (d *disk) cut() {
	d.t.Helper()
	f, err := os.Open(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), ext4Shutdown, ext4NoLogFlush); err != nil {
		d.t.Skipf("this kernel does not cut a file system's power: %v", err)
	}
}

// again mounts what is left. Everyone must have closed their files.
func (d *disk) again() {
	d.t.Helper()
	if err := unix.Unmount(d.dir, 0); err != nil {
		d.t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.dir).CombinedOutput(); err != nil {
		d.t.Fatalf("after the cut: %v: %s", err, out)
	}
}

// TestPowerCut takes the board's power away again and again, a little later in its
// asks each time. The disk forgets what was not synced; the broker goes on. Every ask
// gets exactly one terminal answer with nobody asking again, and what was accepted
// is answered.
func TestPowerCut(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute: run without -short")
	}
	for _, version := range []string{wire.Version5, wire.Version311} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			card := newDisk(t)
			w := prepare(t, version, "good.gguf", "")
			w.moveTo(card.dir)
			w.daemon()
			sum := mqtttest.Tally{Codes: map[string]int{}}
			for round := range *cuts {
				w.state(mqtt.StateReady)
				ids := w.asks(fmt.Sprint("cut", round), 8, 10)
				taken := ids[:round%len(ids)+1]
				w.accepted(taken)                                                                // the device has heard that these are safe
				time.Sleep(time.Duration(round) * 480 * time.Millisecond / time.Duration(*cuts)) // the moment is what varies
				w.powerCut(card)
				y, again := w.settle(ids)
				sum.Add(y)
				if len(y.Missing) > 0 || len(y.Conflicts) > 0 || again > 0 {
					t.Errorf("missing %v, more than one answer to %v, asked again %d", y.Missing, y.Conflicts, again)
				}
				for _, id := range taken {
					if a := w.client.Answers(id); len(a) > 0 && a[0].Code != mqtt.OK {
						t.Errorf("%s was accepted and ended with %d %s", id, a[0].Code, a[0].Text)
					}
				}
			}
			t.Logf("mqtt %s, %d power cuts: %s", version, *cuts, sum)
			w.kill()
			if r, err := audit.Read(filepath.Join(card.dir, "audit"), nil); err != nil {
				t.Errorf("the audit does not verify after the cuts: %v (%+v)", err, r)
			}
		})
	}
}

// powerCut ends the board as a pulled plug does, and starts it on what the disk kept.
func (w *world) powerCut(card *disk) {
	w.t.Helper()
	if err := w.cmd.Process.Signal(syscall.SIGSTOP); err != nil { // nothing runs on without power
		w.t.Fatal(err)
	}
	unsynced := filepath.Join(card.dir, "unsynced")
	if err := os.WriteFile(unsynced, []byte("x"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	card.cut()
	w.kill()
	card.again()
	if _, err := os.Stat(unsynced); !os.IsNotExist(err) {
		w.t.Fatalf("the disk kept what was not synced (%v): this is no power cut", err)
	}
	w.daemon()
}
