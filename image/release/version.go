package release

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// version is what `git describe` says of a release: v1.2.3, or v1.2.3-4-g0123abc four
// commits later.
var version = regexp.MustCompile(`^v?(\d+(?:\.\d+){0,3})(?:-(\d+)-g[0-9a-f]+)?(-dirty)?$`)

// Compare says which of two versions is older: -1 for a, 1 for b, 0 where they are the
// same. An error means that it cannot tell.
func Compare(a, b string) (int, error) {
	x, err := parts(a)
	if err != nil {
		return 0, err
	}
	y, err := parts(b)
	if err != nil {
		return 0, err
	}
	for i := range x {
		if c := cmp.Compare(x[i], y[i]); c != 0 {
			return c, nil
		}
	}
	return 0, nil
}

// parts are up to four numbers and the commits since.
func parts(s string) ([5]int, error) {
	var p [5]int
	m := version.FindStringSubmatch(strings.TrimSpace(s))
	if m == nil {
		return p, fmt.Errorf("%q is no version as in 1.2.3", s)
	}
	for i, n := range append(strings.Split(m[1], "."), "") {
		if n == "" {
			break
		}
		var err error
		if p[i], err = strconv.Atoi(n); err != nil {
			return p, fmt.Errorf("%q is no version: %w", s, err)
		}
	}
	if m[2] != "" {
		var err error
		if p[4], err = strconv.Atoi(m[2]); err != nil {
			return p, fmt.Errorf("%q is no version: %w", s, err)
		}
	}
	return p, nil
}
