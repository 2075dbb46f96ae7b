package release_test

import (
	"os/exec"
	"testing"

	"lineside/image/release"
)

var order = []string{"0~20261124110000.abc", "0~20261125110000.0bc", "0.9", "1.0.0~rc1", "v1.0.0", "1.0.0+3.gabc123", "v1.0.0+12.gabc123", "1.0.1", "1.2", "1.10.0", "v2"}

func TestCompare(t *testing.T) {
	for i, a := range order {
		for j, b := range order {
			got := release.Compare(a, b)
			if (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%s and %s: %d", a, b, got)
			}
		}
	}
	if c := release.Compare("1.00", "v1.0\n"); c != 0 {
		t.Error(c)
	}
}

// TestDpkg has Debian's own program agree.
func TestDpkg(t *testing.T) {
	dpkg, err := exec.LookPath("dpkg")
	if err != nil {
		t.Skip("this is no Debian")
	}
	for i, a := range order {
		for _, b := range order[:i] {
			trim := func(s string) string {
				if s[0] == 'v' {
					return s[1:]
				}
				return s
			}
			if err := exec.Command(dpkg, "--compare-versions", trim(a), "gt", trim(b)).Run(); err != nil {
				t.Errorf("dpkg does not find %s newer than %s: %v", a, b, err)
			}
		}
	}
}

func FuzzCompare(f *testing.F) {
	f.Add("1.0~a", "v1.0-3")
	f.Fuzz(func(t *testing.T, a, b string) {
		if x, y := release.Compare(a, b), release.Compare(b, a); (x < 0) != (y > 0) {
			t.Errorf("%q and %q: %d, and the other way %d", a, b, x, y)
		}
		if release.Compare(a, a) != 0 {
			t.Errorf("%q is not itself", a)
		}
	})
}
