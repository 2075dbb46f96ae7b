package initrd

import (
	"bufio"
	"fmt"
	"io"
)

// Archive writes files in the cpio format that the kernel unpacks ("newc", see
// https://docs.kernel.org/driver-api/early-userspace/buffer-format.html). Archives may
// follow one another in one file: a later one adds to an earlier one. Times and owners
// are 0, so that the same content gives the same bytes. The first error sticks.
type Archive struct {
	w   *bufio.Writer
	n   int // bytes written
	ino int
	err error
}

// NewArchive starts an archive on w.
func NewArchive(w io.Writer) *Archive { return &Archive{w: bufio.NewWriter(w)} }

// Kinds of files (inode(7)).
const (
	kindDir  = 0o040000
	kindFile = 0o100000
	kindLink = 0o120000
)

// Dir adds a folder. A folder stands before what it holds.
func (a *Archive) Dir(name string) { a.entry(name, kindDir|0o755, nil) }

// File adds a file with permission bits.
func (a *Archive) File(name string, mode uint32, content []byte) {
	a.entry(name, kindFile|mode&0o7777, content)
}

// Link adds a symbolic link.
func (a *Archive) Link(name, target string) { a.entry(name, kindLink|0o777, []byte(target)) }

// Close ends the archive and returns the first error. It leaves w open.
func (a *Archive) Close() error {
	a.entry("TRAILER!!!", 0, nil)
	a.pad(512) // the next archive begins at a boundary that every kernel accepts
	if a.err == nil {
		a.err = a.w.Flush()
	}
	if a.err != nil {
		return fmt.Errorf("write the initial RAM file system: %w", a.err)
	}
	return nil
}

func (a *Archive) entry(name string, mode uint32, content []byte) {
	a.ino++
	links := 1
	if mode&kindDir != 0 {
		links = 2
	}
	// magic, ino, mode, uid, gid, nlink, mtime, filesize, dev, rdev, namesize, check
	a.write(fmt.Appendf(nil, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		a.ino, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(name)+1, 0, name))
	a.pad(4)
	a.write(content)
	a.pad(4)
}

func (a *Archive) pad(to int) {
	if over := a.n % to; over != 0 {
		a.write(make([]byte, to-over))
	}
}

func (a *Archive) write(b []byte) {
	if a.err != nil {
		return
	}
	_, a.err = a.w.Write(b)
	a.n += len(b)
}
