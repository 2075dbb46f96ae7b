// Package storetest gives tests of the store a disk that fails on demand: it
// loses power at any step, fills up, or forbids writing.
package storetest

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"lineside/inference/model/store"
)

// ErrPower is what every operation returns after the power is gone.
var ErrPower = errors.New("power cut")

// Disk is the real disk until it has done a number of steps. What was written
// but not synced is then in doubt: Cut decides it.
type Disk struct {
	store.OS
	Steps int   // operations that still succeed; negative: no end
	Room  int64 // bytes that may still be written; negative: no end
	Deny  bool  // every change is forbidden
	Count int   // operations that were asked for

	mu       sync.Mutex
	unsynced map[string]int64 // file → bytes that are safe
	renames  []rename         // not yet made last by SyncDir
}

type rename struct {
	from, to string
	replaced []byte // content of the file that to was
	link     string // where the link led that to was
	existed  bool
}

// NewDisk is a disk that does not fail until told to.
func NewDisk() *Disk { return &Disk{Steps: -1, Room: -1, unsynced: map[string]int64{}} }

// step accounts one operation.
func (d *Disk) step(changes bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.Steps == 0:
		return ErrPower
	case d.Deny && changes:
		return fs.ErrPermission
	case d.Steps > 0:
		d.Steps--
	}
	return nil
}

// Dead reports whether the power is gone.
func (d *Disk) Dead() bool { return d.Steps == 0 }

// Cut is what the machine finds when power is back. With lose, everything that was
// not synced is gone: bytes behind the last sync are rubbish, and renames are undone. Without,
// all of it had reached the disk.
func (d *Disk) Cut(lose bool) error {
	if !lose {
		return nil
	}
	for _, r := range slices.Backward(d.renames) {
		if err := os.Rename(r.to, r.from); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if r.link != "" {
			if err := os.Symlink(r.link, r.to); err != nil {
				return err
			}
		} else if r.existed {
			if err := os.WriteFile(r.to, r.replaced, 0o644); err != nil {
				return err
			}
		}
	}
	for path, safe := range d.unsynced {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // renamed or removed since
		}
		clear(b[min(safe, int64(len(b))):]) // blocks that were allocated and never written
		if err := os.WriteFile(path, b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// MkdirAll is one step.
func (d *Disk) MkdirAll(dir string) error {
	if err := d.step(false); err != nil {
		return err
	}
	return d.OS.MkdirAll(dir)
}

// ReadDir is one step.
func (d *Disk) ReadDir(dir string) ([]fs.DirEntry, error) {
	if err := d.step(false); err != nil {
		return nil, err
	}
	return d.OS.ReadDir(dir)
}

// ReadFile is one step.
func (d *Disk) ReadFile(path string) ([]byte, error) {
	if err := d.step(false); err != nil {
		return nil, err
	}
	return d.OS.ReadFile(path)
}

// Open is one step.
func (d *Disk) Open(path string) (io.ReadCloser, error) {
	if err := d.step(false); err != nil {
		return nil, err
	}
	return d.OS.Open(path)
}

// Append is one step; so are each write, sync and close of what it returns.
func (d *Disk) Append(path string, keep int64) (store.Writer, error) {
	if err := d.step(true); err != nil {
		return nil, err
	}
	w, err := d.OS.Append(path, keep)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.unsynced[path] = 0 // truncation is in doubt too
	d.mu.Unlock()
	return &writer{d: d, w: w, path: path, n: keep}, nil
}

// Rename is one step.
func (d *Disk) Rename(from, to string) error {
	if err := d.step(true); err != nil {
		return err
	}
	r := rename{from: from, to: to}
	if link, err := os.Readlink(to); err == nil {
		r.link = link
	} else if b, err := os.ReadFile(to); err == nil {
		r.replaced, r.existed = b, true
	}
	if err := d.OS.Rename(from, to); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.renames = append(d.renames, r)
	if n, ok := d.unsynced[from]; ok {
		delete(d.unsynced, from)
		d.unsynced[to] = n
	}
	return nil
}

// Symlink is one step.
func (d *Disk) Symlink(target, path string) error {
	if err := d.step(true); err != nil {
		return err
	}
	return d.OS.Symlink(target, path)
}

// Readlink is one step.
func (d *Disk) Readlink(path string) (string, error) {
	if err := d.step(false); err != nil {
		return "", err
	}
	return d.OS.Readlink(path)
}

// RemoveAll is one step.
func (d *Disk) RemoveAll(path string) error {
	if err := d.step(true); err != nil {
		return err
	}
	d.mu.Lock()
	d.renames = slices.DeleteFunc(d.renames, func(r rename) bool { return r.to == path })
	d.mu.Unlock()
	return d.OS.RemoveAll(path)
}

// SyncDir is one step, and makes renames into or out of dir last.
func (d *Disk) SyncDir(dir string) error {
	if err := d.step(false); err != nil {
		return err
	}
	d.mu.Lock()
	d.renames = slices.DeleteFunc(d.renames, func(r rename) bool { return filepath.Dir(r.to) == dir })
	d.mu.Unlock()
	return nil // Cut decides what lasts; the real disk need not be waited for
}

// Free is what Room leaves.
func (d *Disk) Free(dir string) (uint64, error) {
	if err := d.step(false); err != nil {
		return 0, err
	}
	return d.OS.Free(dir)
}

type writer struct {
	d    *Disk
	w    store.Writer
	path string
	n    int64
}

// Write writes half when the power goes, and what there is room for when the disk is full.
func (w *writer) Write(p []byte) (int, error) {
	if err := w.d.step(true); err != nil {
		n, _ := w.w.Write(p[:len(p)/2])
		return n, err
	}
	if w.d.Room >= 0 && int64(len(p)) > w.d.Room {
		n, _ := w.w.Write(p[:w.d.Room])
		w.d.Room = 0
		return n, &fs.PathError{Op: "write", Path: w.path, Err: syscall.ENOSPC}
	}
	n, err := w.w.Write(p)
	w.n += int64(n)
	if w.d.Room >= 0 {
		w.d.Room -= int64(n)
	}
	return n, err
}

func (w *writer) Sync() error {
	if err := w.d.step(false); err != nil {
		return err
	}
	w.d.mu.Lock()
	delete(w.d.unsynced, w.path)
	w.d.mu.Unlock()
	return nil
}

func (w *writer) Close() error {
	return errors.Join(w.d.step(false), w.w.Close())
}
