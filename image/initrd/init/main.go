//go:build linux

// Command init is the first program of a machine: it loads the modules beside it, waits
// for the disk that the kernel's command line names, mounts it and hands over to the
// init program there, with links to the other partitions of a card in its /run. It does
// nothing else, and never writes to a disk.
//
// Of the command line it reads root=/dev/NAME or root=PARTUUID=… of a master boot record,
// rootfstype= (ext4 where absent), rw and init=.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"lineside/image/initrd"
	"lineside/image/layout"
)

const target = "/root"

func main() {
	// The kernel panics when its first program ends; panic= on the command line decides what then.
	fmt.Fprintf(os.Stderr, "initrd: %v\n", boot())
	rescue()
	os.Exit(1)
}

// boot returns only if it fails: otherwise this process has become another program.
func boot() error {
	for _, m := range []struct{ kind, dir string }{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}} {
		if err := unix.Mount(m.kind, m.dir, m.kind, unix.MS_NOSUID, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s: %w", m.dir, err)
		}
	}
	b, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	o := parse(string(b))
	// Listening begins before the modules are loaded, so that no disk is missed.
	events, err := listen()
	if err != nil {
		return err
	}
	if err := loadModules(); err != nil {
		return err
	}
	disk, err := events.waitFor(o.root)
	if err != nil {
		return err
	}
	var flags uintptr = unix.MS_RDONLY
	if o.writable {
		flags = 0
	}
	if err := unix.Mount(disk, target, o.kind, flags, ""); err != nil {
		return fmt.Errorf("mount %s as %s: %w", disk, o.kind, err)
	}
	if err := giveRun(); err != nil {
		return err
	}
	if strings.HasPrefix(o.root, partUUID) {
		if err := linkPartitions(target+layout.CardDir, disk, "/sys", "/dev"); err != nil {
			return fmt.Errorf("name the card's partitions: %w", err)
		}
	}
	return handOver(o.init)
}

// options is what the kernel's command line asks for.
type options struct {
	root, kind, init string
	writable         bool
}

func parse(cmdline string) options {
	o := options{root: "/dev/vda", kind: "ext4", init: "/sbin/init"}
	for word := range strings.FieldsSeq(cmdline) {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "root":
			o.root = value
		case "rootfstype":
			o.kind = value
		case "init":
			o.init = value
		case "rw":
			o.writable = true
		case "ro":
			o.writable = false
		}
	}
	return o
}

func loadModules() error {
	f, err := os.Open("/" + initrd.ModuleList)
	if err != nil {
		return err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for s.Scan() {
		if err := load(filepath.Join("/", initrd.ModuleDir, s.Text())); err != nil {
			return fmt.Errorf("load %s: %w", s.Text(), err)
		}
	}
	return s.Err()
}

func load(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	flags := 0
	if filepath.Ext(file) != ".ko" { // .ko.xz or .ko.zst: the kernel unpacks it
		flags = unix.MODULE_INIT_COMPRESSED_FILE
	}
	if err := unix.FinitModule(int(f.Fd()), "", flags); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

// giveRun gives the system its /run.
func giveRun() error {
	run := target + "/run"
	if err := unix.Mount("tmpfs", run, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	return copyTree("/"+initrd.Run, run)
}

// handOver moves into the new root and starts its init.
func handOver(program string) error {
	for _, dir := range []string{"/proc", "/sys", "/dev"} {
		if err := unix.Mount(dir, target+dir, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move %s: %w", dir, err)
		}
	}
	if err := unix.Chdir(target); err != nil {
		return err
	}
	if err := unix.Mount(target, "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move the root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	return fmt.Errorf("start %s: %w", program, unix.Exec(program, []string{program}, os.Environ()))
}

// copyTree copies folders, files and links; a source that is not there is empty.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && p == from {
			return nil
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, p)
		if err != nil || rel == "." {
			return err
		}
		dst := filepath.Join(to, rel)
		switch d.Type() {
		case fs.ModeDir:
			if err := os.Mkdir(dst, 0o755); !errors.Is(err, fs.ErrExist) {
				return err
			}
			return nil
		case fs.ModeSymlink:
			link, err := os.Readlink(p)
			if err != nil {
				return err
			}
			return os.Symlink(link, dst)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		return os.WriteFile(dst, b, info.Mode().Perm())
	})
}
