//go:build unix

package hwtest

import (
	"os"
	"path/filepath"
	"syscall"
)

// Offline makes a file answer "try again" (EAGAIN), as a sensor does whose
// block has no power, until the returned function brings it back.
func Offline(root, path string) (back func() error, err error) {
	full := filepath.Join(root, path)
	was, err := os.ReadFile(full)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(full); err != nil {
		return nil, err
	}
	if err := syscall.Mkfifo(full, 0o644); err != nil {
		return nil, err
	}
	// A pipe with a writer that writes nothing.
	f, err := os.OpenFile(full, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return func() error {
		f.Close()
		return put(root, path, string(was))
	}, nil
}
