package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lineside/mqtt"
	"lineside/mqtt/wire"
)

// smallDisk puts store and audit of a world that does not run yet on a disk of 4 MB,
// and returns its folder. It skips the test where it may not mount.
func (w *world) smallDisk() string {
	w.t.Helper()
	disk := w.t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=4m"); err != nil {
		w.t.Skipf("a small disk cannot be mounted (%v): run as root", err)
	}
	w.t.Cleanup(func() { _ = unix.Unmount(disk, unix.MNT_DETACH) })
	w.moveTo(disk)
	return disk
}

// moveTo has linesided keep its store and audit in another folder.
func (w *world) moveTo(dir string) {
	w.t.Helper()
	conf := filepath.Join(w.dir, "lineside.toml")
	b, err := os.ReadFile(conf)
	if err != nil {
		w.t.Fatal(err)
	}
	w.write("lineside.toml", strings.NewReplacer(w.dir+"/audit", dir+"/audit", w.dir+"/state", dir+"/state").Replace(string(b)))
}

// TestDiskFull fills the disk below store and audit: asks go on being answered,
// the audit says so, and recovers when there is room again.
func TestDiskFull(t *testing.T) {
	w := prepare(t, "5", "good.gguf", "")
	disk := w.smallDisk()
	w.daemon()
	w.state(mqtt.StateReady)
	filler := filepath.Join(disk, "filler")
	if err := fill(filler); err != nil {
		t.Fatal(err)
	}
	ids := w.asks("full", 12, 3)
	tally, again := w.settle(ids)
	if tally.Codes["ok"] != len(ids) || again > 0 {
		t.Errorf("with a full disk: %s, asked again: %d", tally, again)
	}
	said := false
	for _, m := range w.client.Messages() {
		said = said || strings.HasSuffix(m.Topic, "/event") && strings.Contains(string(m.Payload), "audit_full")
	}
	if !said {
		t.Error("no event tells that the audit is full")
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if tally, _ := w.settle(w.asks("free", 3, 1)); tally.Codes["ok"] != 3 {
		t.Errorf("after that: %s", tally)
	}
	w.state(mqtt.StateReady)
}

// TestDiskReadOnly: below open files a disk turns read-only that goes on taking what is
// written to them, as ext4 does. Another one over its folder is no different to a
// process that asks by name. Asks go on being answered, but the store and the audit know
// of nothing that they kept, and all is well again with the disk.
func TestDiskReadOnly(t *testing.T) {
	w := prepare(t, "5", "good.gguf", "")
	disk := w.smallDisk()
	w.daemon()
	w.state(mqtt.StateReady)
	for _, dir := range []string{disk + "/state", disk + "/audit"} {
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_RDONLY, "size=4k"); err != nil {
			t.Fatal(err)
		}
	}
	w.journal("condition=disk_read_only why=.*state is read-only, .*audit is read-only")
	ids := w.asks("fixed", 12, 3)
	if tally, again := w.settle(ids); tally.Codes["ok"] != len(ids) || again > 0 {
		t.Errorf("with a read-only disk: %s, asked again: %d", tally, again)
	}
	w.journal("the store does not take asks.*read-only")
	w.journal("condition=audit_full why=.*read-only")
	for _, dir := range []string{disk + "/state", disk + "/audit"} {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Fatal(err)
		}
	}
	if tally, _ := w.settle(w.asks("free", 3, 1)); tally.Codes["ok"] != 3 {
		t.Errorf("after that: %s", tally)
	}
	w.journal("no longer the matter.*disk_read_only")
	w.journal("no longer the matter.*audit_full")
	w.state(mqtt.StateReady)
}

// TestDiskReadOnlyFromTheStart: the board is started again, and its card is worn out. It
// answers all the same, knows what it answered before, and says what it does not keep.
func TestDiskReadOnlyFromTheStart(t *testing.T) {
	for _, version := range []string{"3.1.1", "5"} {
		t.Run(version, func(t *testing.T) {
			w := prepare(t, version, "good.gguf", "")
			disk := w.smallDisk()
			w.daemon()
			w.state(mqtt.StateReady)
			before := w.asks("before", 3, 1)
			if tally, _ := w.settle(before); tally.Codes["ok"] != len(before) {
				t.Fatalf("%s", tally)
			}
			left := w.asks("left", 4, 50)
			w.accepted(left)
			w.kill()
			if err := unix.Mount("", disk, "", unix.MS_REMOUNT|unix.MS_RDONLY, "size=4m"); err != nil {
				t.Fatal(err)
			}
			for start := range 2 {
				w.daemon()
				w.state(mqtt.StateReady)
				ids := w.asks(fmt.Sprintf("fixed%d", start), 4, 3)
				if tally, again := w.settle(append(ids, left...)); tally.Codes["ok"] != len(ids)+len(left) || again > 0 {
					t.Errorf("with a read-only disk: %s, asked again: %d", tally, again)
				}
				if start == 0 {
					w.kill()
				}
			}
			w.journal("the store does not take asks.*read-only")
			w.journal("condition=disk_read_only why=.*read-only")
			w.journal("condition=audit_full why=.*read-only")
			w.send(before[0])
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := w.client.Message(ctx, "llm/v1/reply/plc/b03/answer", func(m wire.Message) bool {
				return strings.Contains(string(m.Payload), fmt.Sprintf("%q", before[0])) && strings.Contains(string(m.Payload), `"replay":true`)
			})
			if err != nil {
				t.Errorf("%s was answered before, and is not known: %v", before[0], err)
			}
		})
	}
}

// journal waits until linesided has said this.
func (w *world) journal(pattern string) {
	w.t.Helper()
	said := regexp.MustCompile(pattern)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 1500 {
		if b, err := os.ReadFile(w.log.Name()); err != nil {
			w.t.Fatal(err)
		} else if said.Match(b) {
			return
		}
		<-tick.C
	}
	w.t.Fatalf("the journal does not say %q within 30 s", pattern)
}

// fill writes zeros until there is no room.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, size := range []int{64 << 10, 4 << 10, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	if !errors.Is(err, unix.ENOSPC) {
		return err
	}
	return nil
}
