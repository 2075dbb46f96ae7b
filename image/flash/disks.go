// Package flash finds the cards that may be written, writes an image to one by its block
// map, and reads it back.
//
// It never offers a disk that the running system uses, and asks nobody: the command does.
package flash

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Disk is a whole disk of this machine.
type Disk struct {
	Name    string `json:"name"`  // "sdb"
	Path    string `json:"path"`  // "/dev/sdb", below the root
	Model   string `json:"model"` // as the disk says; may be empty
	Bytes   int64  `json:"bytes"`
	Refused string `json:"refused,omitempty"` // why it must not be written; empty: it may
}

// ErrRefused says that a disk must not be written.
var ErrRefused = errors.New("this disk is not written")

// Disks lists the disks below a root folder ("/" on a real machine), as its /sys and
// /proc show them.
func Disks(root string) ([]Disk, error) {
	uses, err := uses(root)
	if err != nil {
		return nil, err
	}
	list, err := os.ReadDir(filepath.Join(root, "sys/block"))
	if err != nil {
		return nil, fmt.Errorf("list disks: %w", err)
	}
	var all []Disk
	for _, e := range list {
		dir := filepath.Join(root, "sys/block", e.Name())
		if virtual(dir, e.Name()) {
			continue
		}
		d := Disk{
			Name: e.Name(), Path: filepath.Join(root, "dev", e.Name()), Bytes: number(dir, "size") * 512,
			Model: strings.Join(strings.Fields(text(dir, "device/vendor")+" "+text(dir, "device/model")+" "+text(dir, "device/name")), " "),
		}
		d.Refused = refuse(dir, d, uses)
		all = append(all, d)
	}
	return all, nil
}

// virtual reports disks that are no medium: loop, RAM, stacked, optical.
func virtual(dir, name string) bool {
	for _, p := range []string{"loop", "ram", "zram", "dm-", "md", "sr", "nbd", "fd"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	_, err := os.Stat(filepath.Join(dir, "device"))
	return err != nil || strings.Contains(name, "boot") || strings.Contains(name, "rpmb") // eMMC's own parts
}

func text(dir, file string) string {
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func number(dir, file string) int64 {
	n, _ := strconv.ParseInt(text(dir, file), 10, 64)
	return n
}

// refuse says why a disk must not be written.
func refuse(dir string, d Disk, uses map[string]string) string {
	for _, dev := range devices(dir) {
		if use := uses[dev]; use != "" {
			return use
		}
	}
	switch {
	case !removable(dir):
		return "it is built in"
	case d.Bytes == 0:
		return "there is no card in it"
	case text(dir, "ro") == "1":
		return "it is write-protected: move the card's slider"
	}
	return ""
}

// removable says that a medium can be taken out: the kernel says so, it is an SD card, or it
// hangs on USB.
func removable(dir string) bool {
	if text(dir, "removable") == "1" || text(dir, "device/type") == "SD" {
		return true
	}
	path, err := filepath.EvalSymlinks(dir)
	return err == nil && strings.Contains(path, "/usb")
}

// devices are the numbers ("8:16") of a disk, its partitions, and what is stacked on them.
func devices(dir string) []string {
	var all []string
	queue := []string{dir}
	for seen := map[string]bool{}; len(queue) > 0; queue = queue[1:] {
		at, err := filepath.EvalSymlinks(queue[0])
		if err != nil || seen[at] {
			continue
		}
		seen[at] = true
		if dev := text(at, "dev"); dev != "" {
			all = append(all, dev)
		}
		parts, _ := filepath.Glob(filepath.Join(at, "*", "partition"))
		for _, p := range parts {
			queue = append(queue, filepath.Dir(p))
		}
		stacked, _ := filepath.Glob(filepath.Join(at, "holders", "*"))
		queue = append(queue, stacked...)
	}
	return all
}

// systemDirs are mounted from a disk that the machine runs from.
var systemDirs = []string{"/", "/boot", "/boot/efi", "/usr", "/var", "/home", "/etc", "/nix", "/opt", "/srv"}

// uses says by device number what the running system does with a disk.
func uses(root string) (map[string]string, error) {
	f, err := os.Open(filepath.Join(root, "proc/self/mountinfo"))
	if err != nil {
		return nil, fmt.Errorf("what is mounted: %w", err)
	}
	defer f.Close()
	all := map[string]string{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		w := strings.Fields(lines.Text())
		if len(w) < 5 {
			continue
		}
		dev, where := w[2], unescape(w[4])
		switch {
		case slices.Contains(systemDirs, where):
			all[dev] = "the system runs from it"
		case all[dev] == "":
			all[dev] = fmt.Sprintf("it is in use at %s: unmount it first (umount %q)", where, where)
		}
	}
	swaps, err := os.ReadFile(filepath.Join(root, "proc/swaps"))
	if err != nil {
		return all, nil // a kernel without swap
	}
	for line := range strings.Lines(string(swaps)) {
		w := strings.Fields(line)
		if len(w) < 1 || !strings.HasPrefix(w[0], "/dev/") {
			continue
		}
		name := filepath.Base(w[0])
		found, _ := filepath.Glob(filepath.Join(root, "sys/block", "*", name))
		for _, dir := range append(found, filepath.Join(root, "sys/block", name)) {
			if dev := text(dir, "dev"); dev != "" {
				all[dev] = "the system swaps to it"
			}
		}
	}
	return all, nil
}

// unescape undoes the kernel's octal escapes of blanks.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\134`, `\`).Replace(s)
}

// Find is the disk of a name or path, if it may be written.
func Find(disks []Disk, name string) (Disk, error) {
	for _, d := range disks {
		if name != d.Name && name != d.Path && name != "/dev/"+d.Name {
			continue
		}
		if d.Refused != "" {
			return d, fmt.Errorf("%w: %s: %s", ErrRefused, d.Name, d.Refused)
		}
		return d, nil
	}
	return Disk{}, fmt.Errorf("%w: %s is no disk: run lineside image flash without it to see what is there", ErrRefused, name)
}
