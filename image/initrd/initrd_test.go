package initrd

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const dep = `kernel/fs/ext4/ext4.ko: kernel/lib/crc16.ko kernel/fs/mbcache.ko kernel/fs/jbd2/jbd2.ko
kernel/fs/jbd2/jbd2.ko:
kernel/fs/mbcache.ko:
kernel/lib/crc16.ko:
kernel/drivers/virtio/virtio-ring.ko:
kernel/drivers/block/virtio_blk.ko: kernel/drivers/virtio/virtio-ring.ko
`

func TestLoadOrder(t *testing.T) {
	deps, err := parseDependencies(strings.NewReader(dep))
	if err != nil {
		t.Fatal(err)
	}
	got, err := loadOrder(deps, []string{"virtio_ring", "virtio_blk", "ext4", "jbd2"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"kernel/drivers/virtio/virtio-ring.ko", "kernel/drivers/block/virtio_blk.ko",
		"kernel/fs/jbd2/jbd2.ko", "kernel/fs/mbcache.ko", "kernel/lib/crc16.ko", "kernel/fs/ext4/ext4.ko",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if _, err := loadOrder(deps, []string{"btrfs"}); !errors.Is(err, errNoModule) {
		t.Errorf("an unknown module: %v", err)
	}
	if _, err := parseDependencies(strings.NewReader("nonsense\n")); err == nil {
		t.Error("nonsense is read as dependencies")
	}
}

// TestBuiltIn has what the kernel has in itself neither copied nor missed.
func TestBuiltIn(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "modules.builtin"), []byte("kernel/fs/ext4/ext4.ko\nkernel/drivers/mmc/core/mmc_block.ko\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := notBuiltIn(dir, []string{"mmc-block", "squashfs", "ext4"})
	if err != nil || !slices.Equal(got, []string{"squashfs"}) {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestInit has the system's own cpio unpack what is written.
func TestInit(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"modules.dep": dep, "kernel/drivers/virtio/virtio-ring.ko": "ring", "kernel/drivers/block/virtio_blk.ko": "blk", "program": "#!",
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var first, second bytes.Buffer
	for _, w := range []*bytes.Buffer{&first, &second} {
		if err := Init(w, filepath.Join(dir, "program"), dir, []string{"virtio_blk"}); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the same content gives other bytes")
	}
	a := NewArchive(&first) // archives may follow one another
	a.Dir("run")
	a.Link("run/link", "target")
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if first.Len()%512 != 0 {
		t.Errorf("%d bytes", first.Len())
	}
	if _, err := exec.LookPath("cpio"); err != nil {
		t.Skip("no cpio to unpack with")
	}
	out := t.TempDir()
	// cpio reads one archive at a time; the kernel goes on after each.
	for archive := range bytes.SplitSeq(first.Bytes(), []byte("TRAILER!!!")) {
		if len(bytes.Trim(archive, "\x00")) < 110 {
			continue
		}
		cmd := exec.Command("cpio", "-i", "--quiet", "-D", out)
		cmd.Stdin = bytes.NewReader(append(bytes.TrimLeft(archive, "\x00"), "TRAILER!!!\x00\x00\x00\x00"...))
		if b, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, b)
		}
	}
	for name, want := range map[string]string{
		"init": "#!", ModuleDir + "/virtio_blk.ko": "blk", ModuleDir + "/virtio-ring.ko": "ring", ModuleList: "virtio-ring.ko\nvirtio_blk.ko\n",
	} {
		if b, err := os.ReadFile(filepath.Join(out, name)); err != nil || string(b) != want {
			t.Errorf("%s holds %q, %v", name, b, err)
		}
	}
	if link, err := os.Readlink(filepath.Join(out, "run/link")); err != nil || link != "target" {
		t.Errorf("the link leads to %q, %v", link, err)
	}
	if info, err := os.Stat(filepath.Join(out, "init")); err == nil && info.Mode().Perm() != 0o755 {
		t.Errorf("init has mode %o", info.Mode())
	}
}
