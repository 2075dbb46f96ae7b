package flash

import (
	"os"

	"golang.org/x/sys/unix"
)

// forget has the kernel drop what it remembers of a file or disk, so that reading it back
// asks the medium. Where it cannot, reading back proves less.
func forget(f *os.File) {
	if i, err := f.Stat(); err == nil && i.Mode()&os.ModeDevice != 0 {
		_ = unix.IoctlSetInt(int(f.Fd()), unix.BLKFLSBUF, 0)
		return
	}
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}
