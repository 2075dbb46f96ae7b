package hwtest

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Fix makes a folder one that takes no writes, as on a card that is worn out, until the
// returned function brings it back. Only root may.
func Fix(dir string) (back func() error, err error) {
	if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
		return nil, fmt.Errorf("mount %s over itself: run as root: %w", dir, err)
	}
	back = func() error { return unix.Unmount(dir, unix.MNT_DETACH) }
	if err := unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		_ = back()
		return nil, fmt.Errorf("make %s read-only: %w", dir, err)
	}
	return back, nil
}
