//go:build !linux

package hw

import (
	"io"
	"os"
	"path/filepath"
)

// tree reads captured boards on a laptop; only Linux has a board of its own.
type tree struct {
	root  *os.Root
	whole bool
}

func openTree(root string) (*tree, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	r, err := os.OpenRoot(abs)
	return &tree{root: r, whole: abs == "/"}, err
}

func (t *tree) close() error { return t.root.Close() }

func cpath(path string) []byte { return append([]byte(path), 0) }

func (t *tree) read(path []byte, buf []byte) ([]byte, error) {
	f, err := t.root.Open(string(path[:len(path)-1]))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	n, err := io.ReadFull(f, buf)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return buf[:n], err
}

func (t *tree) write(path []byte, data []byte) error {
	f, err := t.root.OpenFile(string(path[:len(path)-1]), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

func (t *tree) list(dir string) []string {
	f, err := t.root.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	names, _ := f.Readdirnames(-1)
	sortNatural(names)
	return names
}

func (t *tree) has(path string) bool {
	_, err := t.root.Stat(path)
	return err == nil
}
