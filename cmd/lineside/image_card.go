package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"lineside/image/fat"
	"lineside/image/flash"
	"lineside/image/layout"
)

// card is an image file or a device, with its partitions.
type card struct {
	*os.File
	table layout.Table
}

// openCard opens an image or device. Writing wants that nothing uses a device.
func openCard(path string, writable bool) (*card, error) {
	flag := os.O_RDONLY
	if writable {
		flag = os.O_RDWR
		if err := idle(path); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(path, flag, 0)
	if errors.Is(err, fs.ErrPermission) && strings.HasPrefix(path, "/dev/") {
		return nil, fmt.Errorf("%w: a real card asks for rights: run it with sudo", err)
	}
	if err != nil {
		return nil, err
	}
	c := &card{File: f}
	if c.table, err = layout.ReadTable(f); err == nil {
		err = c.table.Check()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return c, nil
}

// idle refuses a device that the system uses.
func idle(path string) error {
	if i, err := os.Stat(path); err != nil || i.Mode()&os.ModeDevice == 0 {
		return err
	}
	disks, err := flash.Disks("/")
	if err == nil {
		_, err = flash.Find(disks, path)
	}
	return err
}

// fat opens one of the card's FAT partitions.
func (c *card) fat(number int, writable bool) (*fat.Volume, error) {
	e, ok := c.table.Find(number)
	if !ok {
		return nil, layout.ErrOtherLayout
	}
	v, err := fat.Open(c.File, e.Start, e.Bytes, writable)
	if err != nil {
		return nil, fmt.Errorf("partition %d: %w", number, err)
	}
	return v, nil
}

// selector is a card's first partition: in an image, on a device, or mounted as a folder.
type selector interface {
	ReadFile(name string, limit int64) ([]byte, error)
	WriteFile(name string, b []byte) error
	Mkdir(name string) error
	List(dir string) ([]fat.File, error)
	Close() error
}

// openSelector opens it wherever it is.
func openSelector(path string, writable bool) (selector, error) {
	i, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if i.IsDir() {
		if _, err := os.Stat(filepath.Join(path, layout.AutobootFile)); err != nil {
			return nil, fmt.Errorf("%s is not the first partition of a card, which has an %s", path, layout.AutobootFile)
		}
		return folder(path), nil
	}
	c, err := openCard(path, writable)
	if err != nil {
		return nil, err
	}
	v, err := c.fat(layout.Selector, writable)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &volume{v, c}, nil
}

// volume closes its card with it.
type volume struct {
	*fat.Volume
	card *card
}

func (v *volume) Close() error { return errors.Join(v.Sync(), v.card.Close()) }

// folder is a mounted selector partition.
type folder string

func (f folder) path(name string) string { return filepath.Join(string(f), filepath.FromSlash(name)) }

func (f folder) ReadFile(name string, limit int64) ([]byte, error) {
	i, err := os.Stat(f.path(name))
	if err == nil && i.Size() > limit {
		err = fmt.Errorf("%s has %d bytes, %d are permitted", name, i.Size(), limit)
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(f.path(name))
}

func (f folder) WriteFile(name string, b []byte) error {
	file, err := os.Create(f.path(name))
	if err != nil {
		return err
	}
	_, err = file.Write(b)
	return errors.Join(err, file.Sync(), file.Close())
}

func (f folder) Mkdir(name string) error { return os.MkdirAll(f.path(name), 0o755) }
func (f folder) Close() error            { return nil }

func (f folder) List(dir string) ([]fat.File, error) {
	list, err := os.ReadDir(f.path(dir))
	var all []fat.File
	for _, e := range list {
		if i, err := e.Info(); err == nil {
			all = append(all, fat.File{Name: e.Name(), Bytes: i.Size(), Dir: e.IsDir()})
		}
	}
	return all, err
}
