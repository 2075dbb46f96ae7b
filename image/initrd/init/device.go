//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const partUUID = "PARTUUID="

// device finds the device file of what root= names. fs.ErrNotExist: not yet.
func device(root string) (string, error) {
	id, ok := strings.CutPrefix(root, partUUID)
	if !ok {
		_, err := os.Stat(root)
		return root, err
	}
	return byPARTUUID(id, "/sys", "/dev")
}

// byPARTUUID finds a partition as the kernel itself would: its number on the disk whose
// master boot record has the signature, as in 4c534445-05.
func byPARTUUID(id, sys, dev string) (string, error) {
	partitions, err := filepath.Glob(filepath.Join(sys, "class/block/*/partition"))
	if err != nil {
		return "", err
	}
	for _, p := range partitions {
		var number int
		if b, err := os.ReadFile(p); err != nil || parseNumber(b, &number) != nil {
			continue // gone again
		}
		// /sys/class/block/vda5 leads to …/block/vda/vda5.
		dir, err := filepath.EvalSymlinks(filepath.Dir(p))
		if err != nil {
			continue
		}
		signature, err := diskSignature(filepath.Join(dev, filepath.Base(filepath.Dir(dir))))
		if err == nil && strings.EqualFold(id, fmt.Sprintf("%08x-%02x", signature, number)) {
			return filepath.Join(dev, filepath.Base(dir)), nil
		}
	}
	return "", fs.ErrNotExist
}

// linkPartitions leaves links to all partitions of the root's disk, by their numbers, so that
// the system can mount them before udev has named them. They are all there: the kernel adds
// them with the disk held, and byPARTUUID, which found the root, has opened the disk since.
func linkPartitions(links, root, sys, dev string) error {
	dir, err := filepath.EvalSymlinks(filepath.Join(sys, "class/block", filepath.Base(root)))
	if err != nil {
		return err
	}
	partitions, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "*/partition"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(links, 0o755); err != nil {
		return err
	}
	for _, p := range partitions {
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		name := filepath.Join(dev, filepath.Base(filepath.Dir(p)))
		if err := os.Symlink(name, filepath.Join(links, strings.TrimSpace(string(b)))); err != nil {
			return err
		}
	}
	return nil
}

func parseNumber(b []byte, n *int) error {
	_, err := fmt.Sscanf(string(b), "%d", n)
	return err
}

// diskSignature is in a master boot record at byte 440.
func diskSignature(disk string) (uint32, error) {
	f, err := os.Open(disk)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var b [4]byte
	if _, err := f.ReadAt(b[:], 440); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b[:]), nil
}
