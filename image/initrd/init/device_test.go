//go:build linux

package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestByPARTUUID finds partitions in a tree like the kernel's, on the right one of two disks.
func TestByPARTUUID(t *testing.T) {
	sys, dev := t.TempDir(), t.TempDir()
	write := func(name string, content []byte) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	disk := func(name string, signature string, partitions map[string]string) {
		b := make([]byte, 512)
		copy(b[440:], signature)
		write(filepath.Join(dev, name), b)
		for p, number := range partitions {
			dir := filepath.Join(sys, "devices", name, p)
			write(filepath.Join(dir, "partition"), []byte(number+"\n"))
			link := filepath.Join(sys, "class/block", p)
			if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(dir, link); err != nil {
				t.Fatal(err)
			}
		}
	}
	disk("vda", "XYZW", map[string]string{"vda5": "5"})
	disk("vdb", "EDSL", map[string]string{"vdb1": "1", "vdb5": "5"})
	got, err := byPARTUUID("4c534445-05", sys, dev)
	if want := filepath.Join(dev, "vdb5"); err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	links := filepath.Join(t.TempDir(), "card")
	if err := linkPartitions(links, got, sys, "/dev"); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(links)
	if err != nil || len(entries) != 2 { // not the other disk's
		t.Errorf("links %v, %v, want two", entries, err)
	}
	for number, want := range map[string]string{"1": "/dev/vdb1", "5": "/dev/vdb5"} {
		if to, err := os.Readlink(filepath.Join(links, number)); err != nil || to != want {
			t.Errorf("partition %s leads to %s, %v, want %s", number, to, err, want)
		}
	}
	if _, err := byPARTUUID("4c534445-06", sys, dev); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a partition that is not there: %v", err)
	}
}
