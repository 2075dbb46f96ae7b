package release_test

import (
	"testing"

	"lineside/image/release"
)

func TestCompare(t *testing.T) {
	order := []string{"0.9", "v1.0.0", "1.0.0-3-gabc123", "v1.0.0-12-gabc123-dirty", "1.0.1", "1.2", "1.10.0", "v2"}
	for i, a := range order {
		for j, b := range order {
			got, err := release.Compare(a, b)
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if err != nil || got != want {
				t.Errorf("%s and %s: %d, %v; want %d", a, b, got, err, want)
			}
		}
	}
	if c, err := release.Compare("1.0", "v1.0.0"); c != 0 || err != nil {
		t.Error(c, err)
	}
	for _, bad := range []string{"", "unknown", "abc123", "1.2.3.4.5", "99999999999999999999", "1..2"} {
		if _, err := release.Compare("1.0", bad); err == nil {
			t.Errorf("%q is taken for a version", bad)
		}
	}
}
