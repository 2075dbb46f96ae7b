//go:build !linux

package hwtest

import "testing"

// Fix makes a folder one that takes no writes; elsewhere than on Linux it skips the test.
func Fix(t testing.TB, dir string) (back func()) {
	t.Skipf("%s cannot be made read-only: only Linux does it here", dir)
	return nil
}
