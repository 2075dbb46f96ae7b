package firmware_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"lineside/image/firmware"
)

// small is a device tree blob with /chosen and a node before it, made by hand.
func small() []byte {
	nodes := []byte("\x00\x00\x00\x01\x00\x00\x00\x00" + // the root
		"\x00\x00\x00\x01cpus\x00\x00\x00\x00\x00\x00\x00\x02" +
		"\x00\x00\x00\x01chosen\x00\x00\x00\x00\x00\x03\x00\x00\x00\x05\x00\x00\x00\x00quiet\x00\x00\x00\x00\x00\x00\x02" +
		"\x00\x00\x00\x02\x00\x00\x00\x09")
	names := []byte("bootargs\x00")
	head := []byte{0xd0, 0x0d, 0xfe, 0xed, 0, 0, 0, byte(56 + len(nodes) + len(names)), 0, 0, 0, 56, 0, 0, 0, byte(56 + len(nodes)), 0, 0, 0, 40,
		0, 0, 0, 17, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, byte(len(names)), 0, 0, 0, byte(len(nodes))}
	return bytes.Join([][]byte{head, make([]byte, 16), nodes, names}, nil)
}

func TestDeviceTree(t *testing.T) {
	b := firmware.Board{Model: "pi4"}
	got, err := b.DeviceTree(small(), firmware.Boot{Partition: 3, Tryboot: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"bootloader\x00", "capabilities\x00partition\x00tryboot\x00", "quiet", "\x00\x00\x00\x03\x00\x00\x00\x04"} {
		if !bytes.Contains(got, []byte(want)) {
			t.Errorf("the blob lacks %q", want)
		}
	}
	twice, err := b.DeviceTree(got, firmware.Boot{}) // a good blob again
	if err != nil || len(twice) <= len(got) {
		t.Errorf("the result cannot be read again: %v", err)
	}
}

// TestMachine adds it to the device tree of the machine that the tests boot.
func TestMachine(t *testing.T) {
	qemu, err := exec.LookPath("qemu-system-aarch64")
	if err != nil {
		t.Skip("qemu-system-arm is not installed")
	}
	path := filepath.Join(t.TempDir(), "virt.dtb")
	if out, err := exec.Command(qemu, "-M", "virt,dumpdtb="+path, "-cpu", "cortex-a72", "-display", "none", "-net", "none").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	blob, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b := firmware.Board{Model: "pi4"}
	got, err := b.DeviceTree(blob, firmware.Boot{Partition: 2})
	if err != nil {
		t.Fatal(err)
	}
	dtc, err := exec.LookPath("dtc")
	if err != nil {
		return // its own reader has taken it above
	}
	cmd := exec.Command(dtc, "-I", "dtb", "-O", "dts")
	cmd.Stdin = bytes.NewReader(got)
	if out, err := cmd.Output(); err != nil || !bytes.Contains(out, []byte("capabilities = <0x07>")) {
		t.Errorf("dtc: %v", err)
	}
}

func FuzzDeviceTree(f *testing.F) {
	f.Add(small())
	f.Fuzz(func(t *testing.T, blob []byte) {
		b := firmware.Board{}
		out, err := b.DeviceTree(blob, firmware.Boot{})
		if err != nil && !errors.Is(err, firmware.ErrDeviceTree) {
			t.Error(err)
		}
		if err == nil && len(out) < len(small()) && len(blob) >= len(small()) {
			t.Error("the blob shrank")
		}
	})
}
