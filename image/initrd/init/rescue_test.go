//go:build linux

package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestRestartArgument(t *testing.T) {
	for name, c := range map[string]struct {
		cmdline, tryboot, want string
		ok                     bool
	}{
		"no card":        {"root=/dev/vda console=ttyAMA0", "", "", false},
		"committed":      {"root=x rauc.slot=A panic=10", "\x00\x00\x00\x00", "0 tryboot", true},
		"first word":     {"rauc.slot=B", "", "0 tryboot", true},
		"trial":          {"root=x rauc.slot=B", "\x00\x00\x00\x01", "", true},
		"something else": {"root=x norauc.slot=B", "", "", false},
	} {
		root := t.TempDir()
		put(t, root, "proc/cmdline", c.cmdline)
		if c.tryboot != "" {
			put(t, root, "proc/device-tree/chosen/bootloader/tryboot", c.tryboot)
		}
		if got, ok := restartArgument(root); got != c.want || ok != c.ok {
			t.Errorf("%s: %q, %v; want %q, %v", name, got, ok, c.want, c.ok)
		}
	}
}

func TestFlag(t *testing.T) {
	root := t.TempDir()
	put(t, root, "sys/class/virtio-ports/vport1p1/name", "other\n")
	put(t, root, "sys/class/virtio-ports/vport2p1/name", trybootPort+"\n")
	put(t, root, "dev/vport1p1", "")
	put(t, root, "dev/vport2p1", "")
	flag(root)
	if b, err := os.ReadFile(filepath.Join(root, "dev/vport2p1")); err != nil || string(b) != "1\n" {
		t.Errorf("%q, %v", b, err)
	}
	if b, err := os.ReadFile(filepath.Join(root, "dev/vport1p1")); err != nil || len(b) != 0 {
		t.Errorf("another port got %q, %v", b, err)
	}
}

func put(t *testing.T, root, name, content string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
