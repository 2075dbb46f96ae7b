package hw

import (
	"errors"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tree reads files below one folder. Below / it opens them plainly; below any
// other folder no link leads out, so a captured tree shows only itself.
type tree struct {
	fd    int
	whole bool // the root is /
}

func openTree(root string) (*tree, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Open(abs, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open board", Path: root, Err: err}
	}
	t := &tree{fd: fd, whole: abs == "/"}
	if !t.whole {
		if f, err := t.open(cpath("."), unix.O_PATH|unix.O_DIRECTORY); err != nil {
			unix.Close(fd)
			return nil, &os.PathError{Op: "open board (a captured tree needs Linux 5.6 or later)", Path: root, Err: err}
		} else {
			unix.Close(f)
		}
	}
	return t, nil
}

func (t *tree) close() error { return unix.Close(t.fd) }

// cpath is a path made once, so that opening it allocates nothing.
func cpath(path string) []byte { return append([]byte(path), 0) }

// open calls the kernel directly: the library's call would copy the path each time.
func (t *tree) open(path []byte, flags int) (int, error) {
	flags |= unix.O_CLOEXEC
	if flags&unix.O_PATH == 0 {
		flags |= unix.O_NONBLOCK | unix.O_NOCTTY // a pipe or terminal in a captured tree must not hold us
	}
	for {
		var fd uintptr
		var no unix.Errno
		if t.whole {
			fd, _, no = unix.Syscall6(unix.SYS_OPENAT, uintptr(t.fd), uintptr(unsafe.Pointer(&path[0])), uintptr(flags), 0, 0, 0)
		} else {
			how := unix.OpenHow{Flags: uint64(flags), Resolve: unix.RESOLVE_IN_ROOT}
			fd, _, no = unix.Syscall6(unix.SYS_OPENAT2, uintptr(t.fd), uintptr(unsafe.Pointer(&path[0])),
				uintptr(unsafe.Pointer(&how)), unix.SizeofOpenHow, 0, 0)
		}
		switch no {
		case 0:
			return int(fd), nil
		case unix.EINTR:
			continue
		}
		return -1, no
	}
}

// read fills buf from the start of the file and returns what it holds. Longer
// files are cut: no file that is read here is longer than buf.
func (t *tree) read(path []byte, buf []byte) ([]byte, error) {
	fd, err := t.open(path, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	n := 0
	for n < len(buf) {
		m, err := unix.Read(fd, buf[n:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if m == 0 {
			break
		}
		n += m
	}
	return buf[:n], nil
}

// write writes data to an existing file in one call, as sysfs wants it.
func (t *tree) write(path []byte, data []byte) error {
	fd, err := t.open(path, unix.O_WRONLY|unix.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = unix.Write(fd, data)
	if e := unix.Close(fd); err == nil {
		err = e
	}
	return err
}

// list returns the sorted names in a folder, none where it cannot be read.
func (t *tree) list(dir string) []string {
	fd, err := t.open(cpath(dir), unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil
	}
	f := os.NewFile(uintptr(fd), dir)
	defer f.Close()
	names, _ := f.Readdirnames(-1)
	sortNatural(names)
	return names
}

// has reports whether the path exists, readable or not.
func (t *tree) has(path string) bool {
	fd, err := t.open(cpath(path), unix.O_PATH)
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}
