package daemon

import (
	"testing"
	"time"
)

func TestParted(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct{ wall, monotonic, want time.Duration }{
		{250 * time.Millisecond, 250 * time.Millisecond, 0},
		{2 * time.Second, 250 * time.Millisecond, 0}, // a time server's small step
		{day + 250*time.Millisecond, 250 * time.Millisecond, day},
		{-2*day + 100*time.Millisecond, 250 * time.Millisecond, -2 * day},
	} {
		if got := parted(c.wall, c.monotonic); got != c.want {
			t.Errorf("wall %s, monotonic %s: set by %s, want %s", c.wall, c.monotonic, got, c.want)
		}
	}
	var c wallClock
	now := time.Now()
	if got := c.set(now) + c.set(now.Add(time.Hour)); got != 0 {
		t.Errorf("the clock was set by %s although both clocks went on", got)
	}
}
