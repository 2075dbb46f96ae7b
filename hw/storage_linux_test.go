package hw_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lineside/hw"
	"lineside/hw/hwtest"
)

// TestReadOnly has a file system that is read-only and looks whether it is noticed, as a
// reading and by who is about to write.
func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	fixed := filepath.Join(dir, "fixed")
	if err := os.Mkdir(fixed, 0o755); err != nil {
		t.Fatal(err)
	}
	back := hwtest.Fix(t, fixed)

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

	back()
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
	hwtest.Fix(t, dir)
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
	back := hwtest.Fix(t, dir)
	for _, path := range []string{there, none} {
		if err := hw.MakeDir(path, 0o750); !errors.Is(err, hw.ErrReadOnly) {
			t.Errorf("%s on a read-only disk: %v", path, err)
		}
	}
	back()
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
