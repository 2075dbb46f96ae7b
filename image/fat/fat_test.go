package fat_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lineside/image/fat"
)

const (
	offset = 1 << 20 // the file system stands inside a card, not at its start
	size   = 40 << 20
)

// volumes are made both ways: by this package and, where it is installed, by mkfs.vfat,
// as the builder makes them.
func volumes(t *testing.T, f func(t *testing.T, img *os.File)) {
	t.Run("own", func(t *testing.T) {
		img := empty(t)
		if _, err := fat.Create(img, offset, size, "LINESIDE"); err != nil {
			t.Fatal(err)
		}
		f(t, img)
	})
	t.Run("mkfs", func(t *testing.T) {
		mkfs, err := exec.LookPath("mkfs.vfat")
		if err != nil {
			t.Skip("dosfstools is not installed")
		}
		plain := filepath.Join(t.TempDir(), "fat")
		if err := os.WriteFile(plain, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(plain, size); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(mkfs, "-F", "32", "-n", "LINESIDE", plain).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		b, err := os.ReadFile(plain)
		if err != nil {
			t.Fatal(err)
		}
		img := empty(t)
		if _, err := img.WriteAt(b, offset); err != nil {
			t.Fatal(err)
		}
		f(t, img)
	})
}

func empty(t *testing.T) *os.File {
	t.Helper()
	img, err := os.Create(filepath.Join(t.TempDir(), "img"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { img.Close() })
	if err := img.Truncate(offset + size + 4096); err != nil {
		t.Fatal(err)
	}
	return img
}

func open(t *testing.T, img *os.File) *fat.Volume {
	t.Helper()
	v, err := fat.Open(img, offset, size, true)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// fsck has dosfstools look for anything wrong.
func fsck(t *testing.T, img *os.File) {
	t.Helper()
	if _, err := exec.LookPath("fsck.vfat"); err != nil {
		return
	}
	b := make([]byte, size)
	if _, err := img.ReadAt(b, offset); err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(t.TempDir(), "check")
	if err := os.WriteFile(plain, b, 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("fsck.vfat", "-n", plain).CombinedOutput()
	for _, bad := range []string{"wrong", "Reclaimed", "differ", "Bad", "Dirty"} {
		if strings.Contains(string(out), bad) {
			t.Errorf("fsck.vfat: %v\n%s", err, out)
			return
		}
	}
}

func TestFiles(t *testing.T) {
	volumes(t, func(t *testing.T, img *os.File) {
		v := open(t, img)
		if v.Label() != "LINESIDE" {
			t.Errorf("label is %q", v.Label())
		}
		if err := v.Mkdir("certs"); err != nil {
			t.Fatal(err)
		}
		files := map[string][]byte{}
		write := func(name string, n int) {
			b := make([]byte, n)
			for i := range b {
				b[i] = byte(rand.Uint32())
			}
			if err := v.WriteFile(name, b); err != nil {
				t.Fatal(err)
			}
			files[name] = b
		}
		// long and short again, so that clusters come and go
		write("lineside.toml", 10)
		write("lineside.toml", 70000)
		write("lineside.toml", 700)
		write("STATUS.txt", 1)
		write("a certificate with a long name.pem", 4096)
		write("certs/broker-ca.pem", 513)
		write("autoboot.txt", 0)
		v = open(t, img)
		for name, want := range files {
			if got, err := v.ReadFile(name, 1<<20); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: read back %d bytes, %v; want %d", name, len(got), err, len(want))
			}
		}
		if b, err := v.ReadFile("LINESIDE.TOML", 1000); err != nil || len(b) != 700 {
			t.Errorf("in capitals: %d bytes, %v", len(b), err)
		}
		if err := v.WriteFile("Lineside.Toml", []byte("x")); err != nil {
			t.Fatal(err)
		}
		if list, err := v.List("."); err != nil || len(list) != 5 {
			t.Errorf("%d files, %v; want 5: another case must not make another file: %v", len(list), err, list)
		}
		fsck(t, img)
	})
}

func TestErrors(t *testing.T) {
	img := empty(t)
	if _, err := fat.Open(img, offset, size, true); !errors.Is(err, fat.ErrDamaged) {
		t.Errorf("zeros: %v, want ErrDamaged", err)
	}
	if _, err := fat.Create(img, offset, size, "X"); err != nil {
		t.Fatal(err)
	}
	v := open(t, img)
	if _, err := v.ReadFile("none.txt", 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if err := v.WriteFile("big", make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if _, err := v.ReadFile("big", 99); err == nil {
		t.Error("a file over the limit is read")
	}
	if err := v.WriteFile("huge", make([]byte, size)); err == nil {
		t.Error("a file larger than the file system is written")
	}
}

// FuzzOpen damages the head of a file system; nothing may panic or hang.
func FuzzOpen(f *testing.F) {
	f.Add(uint16(11), byte(0))
	f.Add(uint16(13), byte(0))
	f.Add(uint16(36), byte(0xff))
	f.Add(uint16(16384+8), byte(8))
	img, err := os.CreateTemp(f.TempDir(), "img")
	if err != nil {
		f.Fatal(err)
	}
	defer img.Close()
	if err := img.Truncate(size); err != nil {
		f.Fatal(err)
	}
	v, err := fat.Create(img, 0, size, "FUZZ")
	if err != nil {
		f.Fatal(err)
	}
	if err := v.WriteFile("a.txt", make([]byte, 3000)); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, at uint16, b byte) {
		var old [1]byte
		if _, err := img.ReadAt(old[:], int64(at)); err != nil {
			t.Fatal(err)
		}
		defer img.WriteAt(old[:], int64(at))
		if _, err := img.WriteAt([]byte{b}, int64(at)); err != nil {
			t.Fatal(err)
		}
		v, err := fat.Open(img, 0, size, false)
		if err != nil {
			return
		}
		_, _ = v.List(".")
		_, _ = v.ReadFile("a.txt", 1<<20)
	})
}
