// Package fat reads and writes files of a FAT32 file system inside an image or on a
// device, without mounting it and so without any right but to open it.
//
// It never removes or renames: what a laptop writes to a card only adds files or replaces
// their contents. Nothing may be mounted from the device meanwhile.
package fat

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/diskfs/go-diskfs/backend"
	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem/fat32"
)

// Volume is one FAT32 file system.
type Volume struct {
	f     *os.File
	start int64
	fs    *fat32.FileSystem
}

// ErrDamaged says that the file system cannot be read.
var ErrDamaged = errors.New("damaged FAT file system")

const sector = 512

// Open opens the file system that takes size bytes at start of f. The caller keeps f.
func Open(f *os.File, start, size int64, writable bool) (v *Volume, err error) {
	// The library trusts what it reads; damaged numbers can send it out of a slice.
	defer guard(&err)
	if err := check(io.NewSectionReader(f, start, size), size); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	v = &Volume{f: f, start: start}
	v.fs, err = fat32.Read(backend.Sub(file.New(f, !writable), start, size), size, 0, sector)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return v, nil
}

// Create makes an empty file system there. It is the same bytes for the same arguments.
func Create(f *os.File, start, size int64, label string) (*Volume, error) {
	fsys, err := fat32.Create(backend.Sub(file.New(f, false), start, size), size, 0, sector, label, true)
	if err != nil {
		return nil, err
	}
	return &Volume{f: f, start: start, fs: fsys}, nil
}

// guard turns a panic inside the library into ErrDamaged.
func guard(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v", ErrDamaged, p)
	}
}

// Label of the file system.
func (v *Volume) Label() string { return strings.TrimSpace(v.fs.Label()) }

// File is an entry of a folder.
type File struct {
	Name  string
	Bytes int64
	Dir   bool
}

// List lists a folder by name; "." is the top.
func (v *Volume) List(dir string) (all []File, err error) {
	defer guard(&err)
	entries, err := v.fs.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("folder %s: %w", dir, fs.ErrNotExist)
	}
	for _, e := range entries {
		if e.Name() == "." || e.Name() == ".." {
			continue
		}
		i, err := e.Info()
		if err != nil {
			return nil, err
		}
		all = append(all, File{e.Name(), i.Size(), e.IsDir()})
	}
	slices.SortFunc(all, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// find looks a file up as FAT does: without regard to case.
func (v *Volume) find(name string) (File, error) {
	list, err := v.List(path.Dir(name))
	if err != nil {
		return File{}, err
	}
	for _, f := range list {
		if strings.EqualFold(f.Name, path.Base(name)) {
			f.Name = path.Join(path.Dir(name), f.Name)
			return f, nil
		}
	}
	return File{}, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// ReadFile reads a file of at most limit bytes.
func (v *Volume) ReadFile(name string, limit int64) (b []byte, err error) {
	defer guard(&err)
	i, err := v.find(name)
	switch {
	case err != nil:
		return nil, err
	case i.Dir:
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("is a folder")}
	case i.Bytes > limit:
		return nil, fmt.Errorf("%s has %d bytes, %d are permitted", name, i.Bytes, limit)
	case i.Bytes == 0:
		return nil, nil // the library takes a file without clusters for damage
	}
	f, err := v.fs.OpenFile(i.Name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	b = make([]byte, i.Bytes)
	_, err = io.ReadFull(f, b)
	return b, errors.Join(err, f.Close())
}

// WriteFile writes a file whole, in place of one that is there.
func (v *Volume) WriteFile(name string, b []byte) (err error) {
	defer guard(&err)
	if i, err := v.find(name); err == nil {
		name = i.Name
	}
	f, err := v.fs.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_RDWR)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close(), v.forgetFree()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// Mkdir makes a folder if it is not there.
func (v *Volume) Mkdir(name string) (err error) {
	defer guard(&err)
	return errors.Join(v.fs.Mkdir(name), v.forgetFree())
}

// Sync brings everything onto the medium.
func (v *Volume) Sync() error { return v.f.Sync() }

// forgetFree sets the count of free clusters to "unknown", as the format allows: the library
// does not keep it, and a wrong count would be believed.
func (v *Volume) forgetFree() error {
	var info [sector]byte
	if _, err := v.f.ReadAt(info[:], v.start); err != nil {
		return err
	}
	at := v.start + sector*int64(uint16(info[48])|uint16(info[49])<<8)
	_, err := v.f.WriteAt([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, at+488)
	return err
}
