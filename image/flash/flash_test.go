package flash_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lineside/image/flash"
)

// machine makes a root folder with files; a name that ends in "->" is a link to its content.
func machine(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		link := strings.HasSuffix(name, "->")
		path := filepath.Join(root, strings.TrimSuffix(name, "->"))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if link {
			err = os.Symlink(content, path)
		} else {
			err = os.WriteFile(path, []byte(content+"\n"), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// laptop has a built-in SSD with the system, one of its partitions encrypted, a card in a
// USB reader, an SD slot, an empty reader, a stick that is mounted, and a USB disk to swap on.
var laptop = map[string]string{
	"sys/block/nvme0n1/dev": "259:0", "sys/block/nvme0n1/size": "1000215216", "sys/block/nvme0n1/device/model": "Samsung SSD 980",
	"sys/block/nvme0n1/removable": "0", "sys/block/nvme0n1/nvme0n1p1/partition": "1", "sys/block/nvme0n1/nvme0n1p1/dev": "259:1",
	"sys/block/nvme0n1/nvme0n1p2/partition": "2", "sys/block/nvme0n1/nvme0n1p2/dev": "259:2",
	"sys/block/nvme0n1/nvme0n1p2/holders/dm-0->": "../../../../block/dm-0", "sys/block/dm-0/dev": "253:0", "sys/block/dm-0/size": "99",
	"sys/block/sda/dev": "8:0", "sys/block/sda/size": "62333952", "sys/block/sda/removable": "1", "sys/block/sda/device/vendor": "Generic ", "sys/block/sda/device/model": "STORAGE  DEVICE",
	"sys/block/sdb/dev": "8:16", "sys/block/sdb/size": "0", "sys/block/sdb/removable": "1", "sys/block/sdb/device/model": "empty reader",
	"sys/block/sdc/dev": "8:32", "sys/block/sdc/size": "2000000", "sys/block/sdc/removable": "1", "sys/block/sdc/device/model": "stick",
	"sys/block/sdc/sdc1/partition": "1", "sys/block/sdc/sdc1/dev": "8:33",
	"sys/devices/pci/usb2/sdd/dev": "8:48", "sys/devices/pci/usb2/sdd/size": "2000000", "sys/devices/pci/usb2/sdd/removable": "0", "sys/devices/pci/usb2/sdd/device/model": "disk",
	"sys/devices/pci/usb2/sdd/sdd2/partition": "2", "sys/devices/pci/usb2/sdd/sdd2/dev": "8:50", "sys/block/sdd->": "../devices/pci/usb2/sdd",
	"sys/devices/pci/usb3/sde/dev": "8:64", "sys/devices/pci/usb3/sde/size": "2000000", "sys/devices/pci/usb3/sde/removable": "0", "sys/devices/pci/usb3/sde/device/model": "SSD", "sys/block/sde->": "../devices/pci/usb3/sde",
	"sys/block/mmcblk0/dev": "179:0", "sys/block/mmcblk0/size": "31116288", "sys/block/mmcblk0/removable": "0", "sys/block/mmcblk0/device/type": "SD", "sys/block/mmcblk0/device/name": "SD16G",
	"sys/block/mmcblk1/dev": "179:8", "sys/block/mmcblk1/size": "31116288", "sys/block/mmcblk1/device/type": "MMC",
	"sys/block/mmcblk2/dev": "179:16", "sys/block/mmcblk2/size": "31116288", "sys/block/mmcblk2/device/type": "SD", "sys/block/mmcblk2/ro": "1",
	"sys/block/loop0/dev": "7:0", "sys/block/loop0/size": "100", "sys/block/sr0/dev": "11:0", "sys/block/sr0/device/model": "DVD", "sys/block/sr0/removable": "1",
	"proc/self/mountinfo": "22 1 253:0 / / rw - ext4 /dev/mapper/root rw\n23 22 259:1 / /boot/efi rw - vfat x rw\n24 22 8:33 / /media/mia/my\\040stick rw - vfat x rw",
	"proc/swaps":          "Filename Type Size Used Priority\n/dev/sdd2 partition 100 0 -2",
}

func TestDisks(t *testing.T) {
	disks, err := flash.Disks(machine(t, laptop))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"nvme0n1": "the system runs from it", "sda": "", "sdb": "there is no card in it", "sdc": "it is in use at /media/mia/my stick",
		"sdd": "the system swaps to it", "sde": "", "mmcblk0": "", "mmcblk1": "it is built in", "mmcblk2": "write-protected",
	}
	if len(disks) != len(want) {
		t.Errorf("%d disks, want %d: %+v", len(disks), len(want), disks)
	}
	for _, d := range disks {
		w, ok := want[d.Name]
		if !ok || !strings.Contains(d.Refused, w) || (w == "") != (d.Refused == "") {
			t.Errorf("%s is refused because %q, want %q", d.Name, d.Refused, w)
		}
		_, err := flash.Find(disks, "/dev/"+d.Name)
		if refused := errors.Is(err, flash.ErrRefused); refused != (w != "") {
			t.Errorf("find %s: %v", d.Name, err)
		}
	}
	for _, name := range []string{"sda1", "loop0", "/dev/dm-0", "sr0", ""} {
		if _, err := flash.Find(disks, name); !errors.Is(err, flash.ErrRefused) {
			t.Errorf("find %q: %v", name, err)
		}
	}
	for _, d := range disks {
		if d.Name == "sda" && (d.Model != "Generic STORAGE DEVICE" || d.Bytes != 62333952*512) {
			t.Errorf("%+v", d)
		}
	}
	if _, err := flash.Disks(t.TempDir()); err == nil {
		t.Error("a machine without /proc has disks")
	}
}

const mib = 1 << 20

// image is 8 MiB with two islands of data.
func image(t *testing.T) (path string, content []byte) {
	t.Helper()
	content = make([]byte, 8*mib)
	for i := range 3*mib + 100 {
		content[i] = byte(rand.Uint32())
	}
	for i := 6 * mib; i < 6*mib+4096; i++ {
		content[i] = 7
	}
	path = filepath.Join(t.TempDir(), "card.img")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, at := range []int{0, 6 * mib} { // sparse, as the builder leaves it
		n := 4096
		if at == 0 {
			n = 3*mib + 100
		}
		if _, err := f.WriteAt(content[at:at+n], int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(8 * mib); err != nil {
		t.Fatal(err)
	}
	return path, content
}

// bmap makes the block map as bmaptool does.
func bmap(content []byte) string {
	sum := func(b []byte) string { h := sha256.Sum256(b); return hex.EncodeToString(h[:]) }
	const none = "0000000000000000000000000000000000000000000000000000000000000000"
	text := fmt.Sprintf(`<?xml version="1.0" ?>
<bmap version="2.0">
    <ImageSize> %d </ImageSize>
    <BlockSize> 4096 </BlockSize>
    <BlocksCount> %d </BlocksCount>
    <MappedBlocksCount> 770 </MappedBlocksCount>
    <ChecksumType> sha256 </ChecksumType>
    <BmapFileChecksum> %s </BmapFileChecksum>
    <BlockMap>
        <Range chksum="%s"> 0-768 </Range>
        <Range chksum="%s"> 1536 </Range>
    </BlockMap>
</bmap>
`, len(content), len(content)/4096, none, sum(content[:769*4096]), sum(content[1536*4096:1537*4096]))
	return strings.Replace(text, none, sum([]byte(text)), 1)
}

func TestParseMap(t *testing.T) {
	_, content := image(t)
	good := bmap(content)
	m, err := flash.ParseMap(strings.NewReader(good))
	if err != nil {
		t.Fatal(err)
	}
	if m.ImageBytes != 8*mib || len(m.Ranges) != 2 || m.Ranges[1].Start != 6*mib || m.Ranges[1].Bytes != 4096 || m.Bytes() != 770*4096 {
		t.Errorf("%+v", m)
	}
	for name, bad := range map[string]string{
		"changed": strings.Replace(good, "1536", "1537", 1), "cut": good[:len(good)/2], "empty": "", "version": strings.Replace(good, `"2.0"`, `"1.4"`, 1),
	} {
		if _, err := flash.ParseMap(strings.NewReader(bad)); !errors.Is(err, flash.ErrMap) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBmaptool reads a map that bmaptool itself made.
func TestBmaptool(t *testing.T) {
	if _, err := exec.LookPath("bmaptool"); err != nil {
		t.Skip("bmap-tools is not installed")
	}
	path, content := image(t)
	out, err := exec.Command("bmaptool", "create", path).Output()
	if err != nil {
		t.Skipf("bmaptool: %v", err) // a file system without holes
	}
	m, err := flash.ParseMap(bytes.NewReader(out))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	write(t, path, m, content)
}

func write(t *testing.T, path string, m flash.Map, want []byte) {
	t.Helper()
	from, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to := target(t)
	phases := map[string]int64{}
	w := flash.Writer{Image: from, Map: m, To: to, Progress: func(p string, done, _ int64) { phases[p] = done }}
	if err := w.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(to.Name())
	if err != nil || !bytes.Equal(got[:len(want)], want) {
		t.Errorf("the card differs from the image: %v", err)
	}
	if phases[flash.Writing] != m.Bytes() || phases[flash.Verifying] != m.Bytes() {
		t.Errorf("progress ended at %v of %d", phases, m.Bytes())
	}
}

func target(t *testing.T) *os.File {
	t.Helper()
	to, err := os.Create(filepath.Join(t.TempDir(), "card"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { to.Close() })
	if err := to.Truncate(16 * mib); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestWrite(t *testing.T) {
	path, content := image(t)
	m, err := flash.ParseMap(strings.NewReader(bmap(content)))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("by map", func(t *testing.T) { write(t, path, m, content) })
	t.Run("whole", func(t *testing.T) { write(t, path, flash.Whole(int64(len(content))), content) })
	t.Run("stream", func(t *testing.T) { // as from a compressed image
		w := flash.Writer{Image: bytes.NewBuffer(content), Map: m, To: target(t)}
		if err := w.Run(context.Background()); err != nil {
			t.Error(err)
		}
	})
	t.Run("damaged image", func(t *testing.T) {
		bad := bytes.Clone(content)
		bad[5000]++
		w := flash.Writer{Image: bytes.NewReader(bad), Map: m, To: target(t)}
		if err := w.Run(context.Background()); !errors.Is(err, flash.ErrImage) {
			t.Error(err)
		}
	})
	t.Run("short image", func(t *testing.T) {
		w := flash.Writer{Image: bytes.NewReader(content[:2*mib]), Map: m, To: target(t)}
		if err := w.Run(context.Background()); !errors.Is(err, flash.ErrImage) {
			t.Error(err)
		}
	})
	t.Run("bad card", func(t *testing.T) {
		to := target(t)
		w := flash.Writer{Image: bytes.NewReader(content), Map: m, To: to}
		w.Progress = func(_ string, done, total int64) {
			if done == total { // the card forgets a block
				_, _ = to.WriteAt([]byte{content[4096] + 1}, 4096)
			}
		}
		if err := w.Run(context.Background()); !errors.Is(err, flash.ErrCard) {
			t.Error(err)
		}
	})
	t.Run("stopped", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		w := flash.Writer{Image: bytes.NewReader(content), Map: m, To: target(t), Progress: func(string, int64, int64) { cancel() }}
		if err := w.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func FuzzParseMap(f *testing.F) {
	f.Add(bmap(make([]byte, 8*mib)))
	f.Add("<bmap version=\"2.0\"></bmap>")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := flash.ParseMap(strings.NewReader(text))
		if err != nil {
			return
		}
		end := int64(0)
		for _, r := range m.Ranges {
			if r.Start < end || r.Bytes <= 0 || r.Start+r.Bytes > m.ImageBytes {
				t.Errorf("%+v of %d bytes", r, m.ImageBytes)
			}
			end = r.Start + r.Bytes
		}
	})
}
