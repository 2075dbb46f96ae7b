package layout_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lineside/image/imagetest"
	"lineside/image/layout"
)

func TestReadTable(t *testing.T) {
	table, err := layout.ReadTable(imagetest.Card{}.Open(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := table.Check(); err != nil {
		t.Error(err)
	}
	end := int64(0)
	for _, e := range table.Entries {
		if e.Start < end {
			t.Errorf("partition %d starts inside the one before", e.Number)
		}
		end = e.Start + e.Bytes
	}
}

func TestOtherTables(t *testing.T) {
	f := imagetest.Card{}.Open(t)
	for name, c := range map[string]struct {
		at   int64
		b    []byte
		want error
	}{
		"no table":        {510, []byte{0, 0}, layout.ErrNoTable},
		"other signature": {440, []byte{1}, layout.ErrOtherLayout},
		"other type":      {446 + 4, []byte{0x83}, layout.ErrOtherLayout},
		"missing boot-b":  {446 + 32 + 12, []byte{0, 0, 0, 0}, layout.ErrOtherLayout},
	} {
		t.Run(name, func(t *testing.T) {
			old := make([]byte, len(c.b))
			if _, err := f.ReadAt(old, c.at); err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt(c.b, c.at); err != nil {
				t.Fatal(err)
			}
			defer f.WriteAt(old, c.at)
			table, err := layout.ReadTable(f)
			if err == nil {
				err = table.Check()
			}
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// TestCircle ends on a chain of logical partitions that points back into itself.
func TestCircle(t *testing.T) {
	f := imagetest.Card{}.Open(t)
	table, err := layout.ReadTable(f)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := table.Find(layout.RootA)
	if _, err := f.WriteAt([]byte{0, 0, 0, 0}, a.Start-layout.MiB+446+16+8); err != nil {
		t.Fatal(err)
	}
	if _, err := layout.ReadTable(f); err == nil {
		t.Error("a chain in a circle is taken for a table")
	}
}

func FuzzReadTable(f *testing.F) {
	b := make([]byte, 4096)
	b[510], b[511] = 0x55, 0xaa
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if table, err := layout.ReadTable(bytes.NewReader(b)); err == nil {
			_ = table.Check()
		}
	})
}

// TestGenimage has genimage make a card from the generated configuration, and finds
// the facts on it.
func TestGenimage(t *testing.T) {
	if _, err := exec.LookPath("genimage"); err != nil {
		t.Skip("genimage is not installed")
	}
	dir := t.TempDir()
	for _, d := range []string{"in", "tmp", "out", "root"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range layout.Partitions() {
		if err := os.WriteFile(filepath.Join(dir, "in", p.Name+".img"), []byte(p.Name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var cfg strings.Builder
	if err := layout.Genimage(&cfg, "card"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "genimage.cfg"), []byte(cfg.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("genimage", "--config", "genimage.cfg", "--inputpath", "in", "--outputpath", "out", "--tmppath", "tmp", "--rootpath", "root")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f, err := os.Open(filepath.Join(dir, "out", "card.img"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	table, err := layout.ReadTable(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := table.Check(); err != nil {
		t.Error(err)
	}
	for _, p := range layout.Partitions() {
		e, _ := table.Find(p.Number)
		b := make([]byte, len(p.Name))
		if _, err := f.ReadAt(b, e.Start); err != nil || string(b) != p.Name {
			t.Errorf("partition %d holds %q, %v; want %s", p.Number, b, err, p.Name)
		}
		if e.Bytes != p.Bytes {
			t.Errorf("partition %d has %d bytes, the facts say %d", p.Number, e.Bytes, p.Bytes)
		}
	}
}

func TestSlots(t *testing.T) {
	for _, s := range []layout.Slot{layout.A, layout.B} {
		if got, ok := layout.SlotOfBoot(s.BootPartition()); !ok || got != s {
			t.Errorf("slot of boot partition of %s is %s", s, got)
		}
		if s.Other().Other() != s || !s.Valid() {
			t.Errorf("slot %s has no other", s)
		}
		if !strings.Contains(layout.Cmdline(s), "root=PARTUUID="+layout.PARTUUID(s.RootPartition())) {
			t.Errorf("command line of %s names another root", s)
		}
	}
	if _, ok := layout.SlotOfBoot(layout.Selector); ok {
		t.Error("the selector is taken for a slot")
	}
}
