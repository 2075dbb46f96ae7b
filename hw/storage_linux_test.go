package hw_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lineside/hw"
	"lineside/hw/hwtest"
)

// TestReadOnly mounts a file system read-only and looks whether it is noticed, as a
// reading and by who is about to write.
func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	fixed := filepath.Join(dir, "fixed")
	if err := os.Mkdir(fixed, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", fixed, "tmpfs", unix.MS_RDONLY, "size=4k"); err != nil {
		t.Skipf("nothing can be mounted here (%v): run as root", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(fixed, unix.MNT_DETACH) })

	board, err := hw.OpenWith("/", hw.Options{Disks: []string{dir, fixed, filepath.Join(dir, "none")}})
	if err != nil {
		t.Fatal(err)
	}
	defer board.Close()
	var s hw.Sample
	board.Sample(&s)
	for mount, want := range map[string]float64{dir: 0, fixed: 1} {
		if got := s.Value(hw.ReadOnly, mount); got != want {
			t.Errorf("disk-read-only/%s is %v, want %v", mount, got, want)
		}
	}
	if r := s.Find(hw.ReadOnly, filepath.Join(dir, "none")); r == nil || r.OK() || r.Reason != "not there" {
		t.Errorf("a disk that is not there: %+v", r)
	}

	if err := unix.Mount("", fixed, "", unix.MS_REMOUNT, "size=4k"); err != nil {
		t.Fatal(err)
	}
	board.Sample(&s) // at once, not a minute later
	if got := s.Value(hw.ReadOnly, fixed); got != 0 {
		t.Errorf("writable again, the reading says %v", got)
	}
}

func TestWritable(t *testing.T) {
	dir := t.TempDir()
	if err := hw.Writable(dir); err != nil {
		t.Error(err)
	}
	if err := hw.Writable(filepath.Join(dir, "none")); err == nil || errors.Is(err, hw.ErrReadOnly) {
		t.Errorf("a folder that is not there: %v", err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_RDONLY, "size=4k"); err != nil {
		t.Skipf("nothing can be mounted here (%v): run as root", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	err := hw.Writable(dir)
	if !errors.Is(err, hw.ErrReadOnly) || !strings.Contains(err.Error(), dir+": the file system is read-only: restart") {
		t.Errorf("%v", err)
	}
}

func TestMakeDir(t *testing.T) {
	dir := t.TempDir()
	there, none := filepath.Join(dir, "there"), filepath.Join(dir, "none", "deep")
	if err := hw.MakeDir(there, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := hw.MakeDir(there, 0o750); err != nil {
		t.Errorf("again: %v", err)
	}
	back, err := hwtest.Fix(dir)
	if err != nil {
		t.Skip(err)
	}
	for _, path := range []string{there, none} {
		if err := hw.MakeDir(path, 0o750); !errors.Is(err, hw.ErrReadOnly) {
			t.Errorf("%s on a read-only disk: %v", path, err)
		}
	}
	if err := back(); err != nil {
		t.Fatal(err)
	}
	if err := hw.MakeDir(none, 0o750); err != nil {
		t.Error(err)
	}
}

// BenchmarkWritable: it stands beside every commit of the store.
func BenchmarkWritable(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		if err := hw.Writable(dir); err != nil {
			b.Fatal(err)
		}
	}
}
