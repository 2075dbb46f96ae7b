package hwtest

import (
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Fix makes a folder one that takes no writes, as on a card that is worn out, until the test
// ends or calls back. It skips the test where it may not mount.
func Fix(t testing.TB, dir string) (back func()) {
	t.Helper()
	if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
		t.Skipf("%s cannot be made read-only (%v): run as root", dir, err)
	}
	back = sync.OnceFunc(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(back)
	if err := unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatalf("make %s read-only: %v", dir, err)
	}
	return back
}
