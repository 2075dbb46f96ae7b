// Package base makes the small Debian that test machines start from: a kernel, its
// modules and a disk with a root, kept in the user's cache under the hash of all that
// goes into them, and the initial RAM file systems to boot it with.
//
// It installs nothing of Lineside: a test does that in the running machine.
package base

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"lineside/image/initrd"
)

// packages is what Lineside finds on a plain Debian, and what tests use inside.
var packages = strings.Fields(`
	linux-image-arm64 kmod udev systemd systemd-sysv systemd-timesyncd dbus
	base-files base-passwd libc-bin perl-base bash dash coreutils util-linux mount procps hostname passwd login adduser
	libpam-modules libpam-runtime init-system-helpers dpkg debianutils diffutils findutils
	grep mawk sed tar gzip e2fsprogs iproute2 nftables`)

// modules are loaded before the root is there: the bus, disks, the network, the agent's
// line, and the root's file system, which asks for its checksum by another name.
var modules = []string{"virtio_pci", "virtio_mmio", "virtio_blk", "virtio_net", "virtio_console", "crc32c_generic", "ext4"}

// unneeded takes two thirds of the disk and no test looks at it.
const unneeded = `cd "$1" && rm -rf boot usr/share/doc usr/share/man usr/share/locale usr/share/i18n usr/lib/udev/hwdb.d usr/lib/udev/hwdb.bin
cd "$1"/lib/modules/*/kernel && rm -rf sound drivers/gpu drivers/media drivers/infiniband drivers/scsi drivers/iio drivers/staging drivers/net/ethernet drivers/net/wireless net/wireless net/mac80211 net/bluetooth drivers/usb`

// setup is what an administrator of such a machine would have set.
const setup = `echo lineside-vm >"$1"/etc/hostname
echo '127.0.0.1 localhost lineside-vm' >"$1"/etc/hosts
echo '/dev/vda / ext4 defaults 0 0' >"$1"/etc/fstab
echo 0123456789abcdef0123456789abcdef >"$1"/etc/machine-id
printf '[Match]\nType=ether\n[Network]\nDHCP=ipv4\n' >"$1"/etc/systemd/network/wired.network
rm -f "$1"/etc/resolv.conf
mkdir -p "$1"/etc/systemd/system/multi-user.target.wants "$1"/etc/systemd/system/sockets.target.wants
ln -s /lib/systemd/system/systemd-networkd.service "$1"/etc/systemd/system/multi-user.target.wants/
ln -s /lib/systemd/system/multi-user.target "$1"/etc/systemd/system/default.target
for unit in getty.target serial-getty@.service e2scrub_reap.service systemd-pcrphase.service systemd-pcrphase-sysinit.service; do
	ln -s /dev/null "$1"/etc/systemd/system/$unit
done`

// diskSize is the size of the root, most of it a hole.
const diskSize = "1G"

// Base is a machine without Lineside.
type Base struct {
	Kernel  string // a kernel image
	Modules string // folder of its modules, as /lib/modules/6.1.0-49-arm64
	Disk    string // raw, ext4; boot it with root=/dev/vda rw
}

// Need skips a test where no machine shall be booted or none can be.
func Need(t testing.TB) {
	t.Helper()
	if os.Getenv("LINESIDE_VM") == "" {
		t.Skip("boots a machine: run make vm-test, or set LINESIDE_VM=1")
	}
	for _, tool := range []string{"qemu-system-aarch64", "mmdebstrap", "dtc"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s: run tools/deps.sh vm", tool)
		}
	}
}

// Source is the top folder of this module's source.
func Source() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "../../..")
}

// Make returns the cached base, or makes it: under a minute where the machine has
// nothing else to do. What it does goes to log.
func Make(ctx context.Context, log io.Writer) (Base, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return Base{}, err
	}
	cache = filepath.Join(cache, "lineside")
	script := filepath.Join(Source(), "tools", "debroot.sh")
	text, err := os.ReadFile(script)
	if err != nil {
		return Base{}, err
	}
	h := sha256.Sum256(fmt.Appendln(nil, packages, unneeded, setup, diskSize, string(text)))
	dir := filepath.Join(cache, "vm-"+hex.EncodeToString(h[:8]))
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		err = build(ctx, cache, dir, script, log)
		if err != nil {
			return Base{}, err
		}
	}
	versions, err := filepath.Glob(filepath.Join(dir, "modules", "*"))
	if err != nil || len(versions) != 1 {
		return Base{}, fmt.Errorf("%s has %d kernels, want one: remove it and try again", dir, len(versions))
	}
	return Base{Kernel: filepath.Join(dir, "vmlinuz"), Modules: versions[0], Disk: filepath.Join(dir, "root.ext4")}, nil
}

// build makes the folder, whole or not at all.
func build(ctx context.Context, cache, dir, script string, log io.Writer) error {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(cache, "vm-making-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	fmt.Fprintln(log, "making a Debian for arm64, once")
	begun := time.Now()
	command := strings.Join([]string{
		"set -eu",
		fmt.Sprintf(`cp "$1"/boot/vmlinuz-* '%s/vmlinuz'`, tmp),
		fmt.Sprintf(`(%s)`, unneeded), setup,
		fmt.Sprintf(`cp -R "$1"/lib/modules '%s/'`, tmp),
		fmt.Sprintf(`/sbin/mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 -d "$1" '%s/root.ext4' %s`, tmp, diskSize),
	}, "\n")
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, script, append([]string{"arm64", command}, packages...)...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		return fmt.Errorf("make a Debian root: %w:\n%s", err, strings.Join(lines[max(0, len(lines)-15):], "\n"))
	}
	fmt.Fprintf(log, "made in %s, kept as %s\n", time.Since(begun).Round(time.Second), dir)
	err = os.Rename(tmp, dir)
	if _, stat := os.Stat(dir); stat == nil {
		return nil // another test was as quick
	}
	return err
}

// Initrd writes the initial RAM file system that boots the base, into dir.
func (b Base) Initrd(ctx context.Context, dir string) (file string, err error) {
	init, err := Program(ctx, dir, "./image/initrd/init")
	if err != nil {
		return "", err
	}
	file = filepath.Join(dir, "initrd")
	f, err := os.Create(file)
	if err != nil {
		return "", err
	}
	return file, errors.Join(initrd.Init(f, init, b.Modules, modules), f.Close())
}

// Program builds one of this module's programs for the machine, without C, into dir.
func Program(ctx context.Context, dir, pkg string) (file string, err error) {
	file = filepath.Join(dir, path.Base(pkg))
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", file, pkg)
	cmd.Dir = Source()
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	if b, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w: %s", pkg, err, b)
	}
	return file, nil
}
