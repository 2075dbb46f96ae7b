package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is a span of time that is written with its unit, as in "60s".
type Duration struct{ time.Duration }

// UnmarshalText reads "250ms", "60s", "10m", "1h30m". A bare number is an error.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration: write a number with a unit, as in \"250ms\", \"60s\" or \"10m\"", text)
	}
	d.Duration = v
	return nil
}

// MarshalText writes the duration as it is read.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Bytes is a size that is written with its unit, as in "64KiB", or as a plain
// number of bytes.
type Bytes int64

var units = []struct {
	suffix string
	factor Bytes
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
	{"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1},
}

// UnmarshalText reads "512B", "64KiB", "16MiB", "1GiB", "64kB".
func (b *Bytes) UnmarshalText(text []byte) error {
	s := string(text)
	for _, u := range units {
		number, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil || n < 0 || n > (1<<62)/int64(u.factor) {
			break
		}
		*b = Bytes(n) * u.factor
		return nil
	}
	return fmt.Errorf("%q is not a size: write a whole number with a unit, as in \"64KiB\" or \"16MiB\"", text)
}

// MarshalText writes the size as it is read.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

func (b Bytes) String() string {
	for _, u := range []int{2, 1, 0} {
		if f := units[u].factor; b >= f && b%f == 0 {
			return fmt.Sprintf("%d%s", b/f, units[u].suffix)
		}
	}
	return fmt.Sprintf("%dB", int64(b))
}
