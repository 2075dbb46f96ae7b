package store

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// FS is the disk below the store. Tests put one in its place that fails or loses
// power at any step.
type FS interface {
	MkdirAll(dir string) error
	ReadDir(dir string) ([]fs.DirEntry, error)
	ReadFile(path string) ([]byte, error)
	Stat(path string) (fs.FileInfo, error)
	Open(path string) (io.ReadCloser, error)
	// Append opens a file for writing behind its first keep bytes, and drops the
	// rest. It makes the file if there is none.
	Append(path string, keep int64) (Writer, error)
	Rename(from, to string) error
	Symlink(target, path string) error
	Readlink(path string) (string, error)
	RemoveAll(path string) error
	// SyncDir makes renames, new names and removals in dir last.
	SyncDir(dir string) error
	// Free is the space for new files in bytes.
	Free(dir string) (uint64, error)
}

// Writer is a file open for writing. Sync makes what was written last.
type Writer interface {
	io.Writer
	Sync() error
	Close() error
}

// OS is the operating system's disk.
type OS struct{}

// MkdirAll makes a folder and those above it. What root makes belongs to whom the
// folder above belongs: a technician's sudo must not lock the daemon out.
func (OS) MkdirAll(dir string) error {
	var made []string
	above := dir
	for ; ; above = filepath.Dir(above) {
		if _, err := os.Stat(above); err == nil || above == filepath.Dir(above) {
			break
		}
		made = append(made, above)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil || os.Geteuid() != 0 || len(made) == 0 {
		return err
	}
	var st unix.Stat_t
	err := unix.Stat(above, &st)
	for _, d := range made {
		if err == nil {
			err = os.Lchown(d, int(st.Uid), int(st.Gid))
		}
	}
	return err
}

// ReadDir lists a folder by name.
func (OS) ReadDir(dir string) ([]fs.DirEntry, error) { return os.ReadDir(dir) }

// ReadFile reads a whole file.
func (OS) ReadFile(path string) ([]byte, error) { return os.ReadFile(path) }

// Stat tells of a file without following a link.
func (OS) Stat(path string) (fs.FileInfo, error) { return os.Lstat(path) }

// Open opens a file for one reading from its start, past the page cache as far as
// possible: models are larger than what else lives there.
func (OS) Open(path string) (io.ReadCloser, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) // so that the disk is read, not a memory of it
	return uncached{f}, nil
}

// uncached forgets a file's pages when it is closed.
type uncached struct{ *os.File }

func (u uncached) Close() error {
	unix.Fadvise(int(u.Fd()), 0, 0, unix.FADV_DONTNEED)
	return u.File.Close()
}

// Append opens a file for writing behind its first keep bytes.
func (OS) Append(path string, keep int64) (Writer, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(keep); err != nil {
		f.Close()
		return nil, err
	}
	if _, err := f.Seek(keep, io.SeekStart); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Rename gives a file or folder another name, in one step.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Symlink makes a link that must not be there yet.
func (OS) Symlink(target, path string) error { return os.Symlink(target, path) }

// Readlink is where a link leads.
func (OS) Readlink(path string) (string, error) { return os.Readlink(path) }

// RemoveAll removes a file or folder; none is no error.
func (OS) RemoveAll(path string) error { return os.RemoveAll(path) }

// SyncDir syncs a folder.
func (OS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Free is the space that users other than root have.
func (OS) Free(dir string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return st.Bavail * uint64(st.Bsize), nil
}
