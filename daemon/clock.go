package daemon

import "time"

// leap is by how much the wall clock must part from the monotonic one to have been set.
const leap = 2 * time.Second

// wallClock notices when somebody sets the board's clock. Deadlines and pauses run by the
// monotonic clock and stay as they are; stamps move, and who reads the audit must know.
type wallClock struct{ last time.Time }

// set is by how much the clock was set since the last call; 0: it was not.
func (c *wallClock) set(now time.Time) time.Duration {
	was := c.last
	c.last = now
	if was.IsZero() {
		return 0
	}
	return parted(now.Round(0).Sub(was.Round(0)), now.Sub(was))
}

func parted(wall, monotonic time.Duration) time.Duration {
	if d := wall - monotonic; d.Abs() >= leap {
		return d.Round(time.Second)
	}
	return 0
}
