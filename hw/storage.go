package hw

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// ErrReadOnly: a file system takes no writes. One that turned read-only after an error
// may still take those to files that were open before, and their fsync, without an
// error (ext4 of Linux 6.1 does); nothing of it reaches the disk.
var ErrReadOnly = errors.New("the file system is read-only")

// Writable returns an error that wraps ErrReadOnly where path, which must be there, lies on
// a file system that takes no writes. It is one system call, cheap beside any write. Only
// Linux is asked.
func Writable(path string) error {
	is, err := readOnly(path)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return nil
	case err != nil:
		return fmt.Errorf("ask whether %s is writable: %w", path, err)
	case is:
		return fmt.Errorf("%s: %w: restart the board; if it comes back, plan a new card", path, ErrReadOnly)
	}
	return nil
}

// MakeDir makes a folder for Lineside's data, where it is missing, and all above it. The error
// wraps ErrReadOnly where the file system takes no writes, whether the folder is there or not.
func MakeDir(path string, perm fs.FileMode) error {
	err := os.MkdirAll(path, perm)
	if errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	} else if err != nil {
		return err
	}
	return Writable(path)
}

// findStorage adds free space, whether it can be used, and the wear that eMMC devices
// report. SD cards have no standard for it.
func (b *Board) findStorage() {
	for _, mount := range b.options.Disks {
		b.add(source{slow: true, call: func(out []float64) (err error) {
			if !b.tree.whole {
				return errCaptured
			}
			out[0], out[1], err = diskSpace(mount)
			return err
		}}, reading(Disk, mount+" free", "statfs "+mount), reading(Disk, mount+" size", "statfs "+mount))
		b.add(source{call: func(out []float64) error {
			if !b.tree.whole {
				return errCaptured
			}
			out[0] = 0
			is, err := readOnly(mount)
			if is {
				out[0] = 1
			}
			return err
		}}, reading(ReadOnly, mount, "statfs "+mount))
	}
	for _, dev := range b.tree.list("sys/block") {
		base := "sys/block/" + dev + "/device/"
		if !strings.HasPrefix(dev, "mmcblk") || !b.tree.has(base+"life_time") {
			continue
		}
		b.add(source{path: cpath(base + "life_time"), many: parseLifeTime, slow: true},
			reading(Wear, dev+"-a", base+"life_time"), reading(Wear, dev+"-b", base+"life_time"))
		b.add(source{path: cpath(base + "pre_eol_info"), slow: true, one: func(data []byte) (float64, error) {
			// 1: under 80 % of the reserved blocks are used, 2: under 90 %, 3: beyond.
			v, err := parseHex(data)
			if err == nil && (v < 1 || v > 3) {
				err = errRange
			}
			return float64(70 + 10*v), err
		}}, reading(Wear, dev+"-reserve", base+"pre_eol_info"))
	}
}
