package admission

import "time"

// Backlog tells how long a message may have waited at the broker. No broker says
// so to a 3.1.1 client; what is known is how long the board was away, and that
// what waited comes first after a connect, in one go.
type Backlog struct {
	away time.Time // since when the board was away; zero: it is not
	up   time.Time // when it came back; zero: it has not
	last time.Time // when the last message of the backlog came
}

const (
	quiet   = 50 * time.Millisecond // without a message: the backlog has ended
	longest = time.Second           // after a connect, what comes is new in any case
)

// Down notes that the connection is gone, or was when the last run ended.
func (b *Backlog) Down(at time.Time) {
	if b.away.IsZero() || !b.up.IsZero() && at.Sub(b.up) > longest { // a backlog that ended without a message to tell
		b.away = at
	}
	b.up = time.Time{}
}

// Up notes that the connection is back.
func (b *Backlog) Up(at time.Time) {
	if !b.away.IsZero() && b.up.IsZero() {
		b.up, b.last = at, at
	}
}

// Waited is the longest time that a message which comes now may have waited.
func (b *Backlog) Waited(at time.Time) time.Duration {
	if b.away.IsZero() {
		return 0
	}
	if !b.up.IsZero() && (at.Sub(b.last) > quiet || at.Sub(b.up) > longest) {
		b.away, b.up = time.Time{}, time.Time{}
		return 0
	}
	b.last = at
	return max(at.Sub(b.away), 0)
}
