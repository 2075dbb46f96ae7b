package firmware_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lineside/image/firmware"
	"lineside/image/imagetest"
	"lineside/image/layout"
	"lineside/image/slots"
)

func open(t *testing.T, files map[int]map[string]string) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "card.img")
	if err := (imagetest.Card{Files: files}).Write(path); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func system(s layout.Slot) map[string]string {
	return map[string]string{
		"config.txt":  "[pi4]\nkernel=kernel8.img\n[pi5]\nkernel=kernel_2712.img\n[all]\ninitramfs initrd.img followkernel\n",
		"kernel8.img": "kernel of " + string(s), "kernel_2712.img": "pi5 kernel", "initrd.img": "initrd",
		"cmdline.txt": layout.Cmdline(s) + "\n",
	}
}

func card(t *testing.T, autoboot string) *os.File {
	return open(t, map[int]map[string]string{
		layout.Selector: {"autoboot.txt": autoboot},
		layout.BootA:    system(layout.A), layout.BootB: system(layout.B),
	})
}

// TestSlots is the emulator and the slots' package agreeing on what autoboot.txt says.
func TestSlots(t *testing.T) {
	for _, s := range []layout.Slot{layout.A, layout.B} {
		c := card(t, string(slots.Autoboot(s)))
		b := firmware.Board{Model: "pi4"}
		for i, want := range []struct {
			flag bool
			slot layout.Slot
		}{{false, s}, {true, s.Other()}, {false, s}} {
			b.Tryboot = want.flag
			got, err := b.Start(c)
			if err != nil {
				t.Fatal(err)
			}
			if got.Slot != want.slot || got.Tryboot != want.flag || got.Kernel != "kernel8.img" || got.Initrd != "initrd.img" ||
				!strings.Contains(got.Cmdline, "rauc.slot="+string(want.slot)) {
				t.Errorf("start %d: %+v, want slot %s", i, got, want.slot)
			}
			if b.Tryboot {
				t.Error("the flag outlives a start")
			}
			if k, err := firmware.File(c, got, got.Kernel); err != nil || string(k) != "kernel of "+string(want.slot) {
				t.Errorf("kernel: %q, %v", k, err)
			}
		}
	}
}

func TestOldBootloader(t *testing.T) {
	b := firmware.Board{Model: "pi4", Old: true}
	if got, err := b.Start(card(t, string(slots.Autoboot(layout.A)))); err != nil || got.Slot != layout.B {
		t.Errorf("%+v, %v: an old bootloader starts the trial for good", got, err)
	}
}

func TestChoose(t *testing.T) {
	long := "#" + strings.Repeat("x", 500) + "\nboot_partition=3\n"
	for text, want := range map[string]int{
		"boot_partition=3":                     3,
		"[all]\nboot_partition = 2\r\n":        2,
		"boot_partition=2\nboot_partition=3\n": 3,
		"[tryboot]\nboot_partition=3\n":        0,
		"[none]\nboot_partition=3\n":           0,
		"#boot_partition=3":                    0,
		"boot_partition=x":                     0,
		long:                                   0, // behind what is read
		"":                                     0,
		"\x00\x00\xff":                         0,
		"[all]\nboot_partition=2\n[tryboot]\nboot_": 2,
	} {
		if got, _ := firmware.Choose([]byte(text), false); got != want {
			t.Errorf("%q: partition %d, want %d", text, got, want)
		}
	}
}

// TestFallback walks on where the selector or a slot is damaged.
func TestFallback(t *testing.T) {
	whole := string(slots.Autoboot(layout.B))
	for name, c := range map[string]struct {
		files map[int]map[string]string
		want  layout.Slot
	}{
		"selector torn":  {map[int]map[string]string{1: {"autoboot.txt": "[all]\nboot_p"}, 2: system(layout.A), 3: system(layout.B)}, layout.A},
		"selector empty": {map[int]map[string]string{1: {"autoboot.txt": ""}, 2: system(layout.A), 3: system(layout.B)}, layout.A},
		"no selector":    {map[int]map[string]string{2: system(layout.A), 3: system(layout.B)}, layout.A},
		"no slot b":      {map[int]map[string]string{1: {"autoboot.txt": whole}, 2: system(layout.A)}, layout.A},
		"no kernel":      {map[int]map[string]string{1: {"autoboot.txt": whole}, 2: system(layout.A), 3: {"config.txt": "", "cmdline.txt": "x"}}, layout.A},
		"nothing":        {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := firmware.Board{Model: "pi4"}
			got, err := b.Start(open(t, c.files))
			if got.Slot != c.want {
				t.Errorf("slot %q, %v, want %q", got.Slot, err, c.want)
			}
			if c.want == "" && !errors.Is(err, firmware.ErrNoBoot) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func FuzzChoose(f *testing.F) {
	f.Add([]byte("[all]\nboot_partition=2\n"), true)
	f.Fuzz(func(t *testing.T, b []byte, tryboot bool) {
		if n, ok := firmware.Choose(b, tryboot); ok && n <= 0 {
			t.Errorf("partition %d of %q", n, b)
		}
	})
}
