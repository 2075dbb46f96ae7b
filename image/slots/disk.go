package slots

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"lineside/image/layout"
)

// Disk is what the package does to files, each step for itself, so that a test can cut
// the power between any two.
type Disk interface {
	ReadFile(name string) ([]byte, error)
	// WriteFile makes or overwrites a file; it is safe on the medium only after Sync.
	WriteFile(name string, b []byte) error
	Sync(name string) error // of a file or a folder
	Rename(from, to string) error
	MkdirAll(dir string) error
}

// osDisk is the operating system's.
type osDisk struct{}

func (osDisk) ReadFile(name string) ([]byte, error)  { return os.ReadFile(name) }
func (osDisk) WriteFile(name string, b []byte) error { return os.WriteFile(name, b, 0o644) }
func (osDisk) Rename(from, to string) error          { return os.Rename(from, to) }
func (osDisk) MkdirAll(dir string) error             { return os.MkdirAll(dir, 0o755) }
func (osDisk) Sync(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (b *Board) disk() Disk {
	if b.Disk == nil {
		return osDisk{}
	}
	return b.Disk
}

// Where things stand below the root.
const (
	stateFile = layout.SlotsDir + "/state.json"
	copyFile  = layout.SlotsDir + "/" + layout.AutobootFile
	autoboot  = layout.SelectorDir + "/" + layout.AutobootFile
	bootInfo  = "/proc/device-tree/chosen/bootloader/"
	cmdline   = "/proc/cmdline"
)

func (b *Board) path(p string) string { return filepath.Join(b.Root, filepath.FromSlash(p)) }

// replace writes a file whole: beside it, onto the medium, then over it.
func (b *Board) replace(name string, content []byte) error {
	d, path := b.disk(), b.path(name)
	fresh := strings.TrimSuffix(path, filepath.Ext(path)) + ".new"
	if err := d.WriteFile(fresh, content); err != nil {
		return err
	}
	if err := d.Sync(fresh); err != nil {
		return err
	}
	if err := d.Rename(fresh, path); err != nil {
		return err
	}
	return d.Sync(filepath.Dir(path))
}

// choose makes a slot the committed one, and keeps a copy of the file that says so.
func (b *Board) choose(s layout.Slot) (err error) {
	if b.Writable != nil {
		release, err := b.Writable()
		if err != nil {
			return fmt.Errorf("make %s writable: %w", layout.SelectorDir, err)
		}
		defer func() { _ = release() }() // it stays writable: a pity, no failure
	}
	if err := b.replace(autoboot, Autoboot(s)); err != nil {
		return fmt.Errorf("choose slot %s: %w", s, err)
	}
	_ = b.copy(s) // a full data partition must not undo the choice; Reconcile writes it later
	return nil
}

func (b *Board) copy(s layout.Slot) error {
	if err := b.disk().MkdirAll(b.path(filepath.Dir(copyFile))); err != nil {
		return err
	}
	return b.replace(copyFile, Autoboot(s))
}

// Autoboot is the whole autoboot.txt that starts a slot. The firmware reads 512 bytes of it.
func Autoboot(committed layout.Slot) []byte {
	return fmt.Appendf(nil, "# Written by Lineside. Do not edit: lineside image slots\n[all]\ntryboot_a_b=1\nboot_partition=%d\n[tryboot]\nboot_partition=%d\n",
		committed.BootPartition(), committed.Other().BootPartition())
}

// ParseAutoboot finds the committed slot. Anything but what Autoboot writes is damage.
func ParseAutoboot(b []byte) (layout.Slot, error) {
	for _, s := range []layout.Slot{layout.A, layout.B} {
		if bytes.Equal(b, Autoboot(s)) {
			return s, nil
		}
	}
	return "", fmt.Errorf("%s is damaged: it is written anew at the next start", layout.AutobootFile)
}

func (b *Board) committed() (layout.Slot, error) { return b.autoboot(autoboot) }
func (b *Board) copied() (layout.Slot, error)    { return b.autoboot(copyFile) }

func (b *Board) autoboot(name string) (layout.Slot, error) {
	content, err := b.disk().ReadFile(b.path(name))
	if err != nil {
		return "", fmt.Errorf("which slot starts: %w", err)
	}
	return ParseAutoboot(content)
}

// readState takes a missing or damaged state for an empty one: the selector decides what
// starts, the state only remembers why.
func (b *Board) readState() (State, error) {
	content, err := b.disk().ReadFile(b.path(stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return State{}, nil
	}
	if err != nil {
		return State{}, fmt.Errorf("state of the slots: %w", err)
	}
	var s State
	if json.Unmarshal(content, &s) != nil || !s.sound() {
		return State{}, nil
	}
	return s, nil
}

func (s *State) sound() bool {
	for slot := range s.Bad {
		if !slot.Valid() {
			return false
		}
	}
	t := s.Trial
	return t == nil || t.Slot.Valid() && (t.Phase == Armed || t.Phase == Fired || t.Phase == Running)
}

func (b *Board) writeState(s State) error {
	content, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return err
	}
	content = append(content, '\n')
	if old, err := b.disk().ReadFile(b.path(stateFile)); err == nil && bytes.Equal(old, content) {
		return nil
	}
	err = b.disk().MkdirAll(b.path(filepath.Dir(stateFile)))
	if err == nil {
		err = b.replace(stateFile, content)
	}
	if err != nil {
		return fmt.Errorf("note the state of the slots: %w", err)
	}
	return nil
}

// booted is the slot that the kernel was started with.
func (b *Board) booted() layout.Slot {
	line, err := b.disk().ReadFile(b.path(cmdline))
	if err != nil {
		return ""
	}
	for _, word := range strings.Fields(string(line)) {
		if s, ok := strings.CutPrefix(word, "rauc.slot="); ok && layout.Slot(s).Valid() {
			return layout.Slot(s)
		}
	}
	return ""
}

// tryboot reports whether the firmware says that it started this system on trial.
func (b *Board) tryboot() bool {
	v, err := b.number("tryboot")
	return err == nil && v != 0
}

// tryABCapability is the bit for tryboot_a_b in the bootloader's capabilities.
const tryABCapability = 1 << 2

// firmware tells why the bootloader cannot try a slot.
func (b *Board) firmware() error {
	v, err := b.number("capabilities")
	const mend = "update the EEPROM to one of 2022-12-01 or later with a recovery card"
	switch {
	case err != nil:
		return fmt.Errorf("%w: it does not say what it can (%w): %s", ErrFirmware, err, mend)
	case v&tryABCapability == 0:
		return fmt.Errorf("%w: its capabilities are %#x, without bit 2: %s", ErrFirmware, v, mend)
	}
	return nil
}

// number reads a cell of the firmware's part of the device tree: big-endian, 32 bits.
func (b *Board) number(name string) (uint32, error) {
	v, err := b.disk().ReadFile(b.path(bootInfo + name))
	if err != nil {
		return 0, err
	}
	if len(v) != 4 {
		return 0, fmt.Errorf("%s%s has %d bytes, not 4", bootInfo, name, len(v))
	}
	return binary.BigEndian.Uint32(v), nil
}
