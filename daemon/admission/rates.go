package admission

import (
	"time"

	"lineside/mqtt"
)

// maxClients bounds the table; idle ones are forgotten, which gives
// them a full bucket, as their idleness did.
const maxClients = 4096

// Rates holds a token bucket per client: so many asks per minute, a quarter of
// them at once.
type Rates struct {
	perMinute int // 0: no limit
	buckets   map[string]bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

// NewRates makes the table; perMinute 0 lets everything through.
func NewRates(perMinute int) *Rates {
	return &Rates{perMinute: perMinute, buckets: map[string]bucket{}}
}

// Take counts one ask of the client at that time.
func (r *Rates) Take(client string, at time.Time) Verdict {
	if r.perMinute == 0 {
		return Verdict{}
	}
	burst := max(float64(r.perMinute)/4, 1)
	perSecond := float64(r.perMinute) / 60
	b, known := r.buckets[client]
	switch {
	case !known:
		r.forget(at)
		b = bucket{burst, at}
	case at.After(b.at):
		b.tokens = min(b.tokens+at.Sub(b.at).Seconds()*perSecond, burst)
		b.at = at
	}
	if b.tokens < 1 {
		r.buckets[client] = b
		wait := time.Duration((1 - b.tokens) / perSecond * float64(time.Second))
		return Verdict{mqtt.RateLimited, "this client asks too often", max(wait, 10*time.Millisecond)}
	}
	b.tokens--
	r.buckets[client] = b
	return Verdict{}
}

// forget makes room for a new client: the longest idle of a few, since a table
// of thousands of clients is no plant's and must not cost more than one.
func (r *Rates) forget(at time.Time) {
	if len(r.buckets) < maxClients {
		return
	}
	oldest, when, seen := "", at.Add(time.Hour), 0
	for c, b := range r.buckets { // Go starts at a random place
		if b.at.Before(when) {
			oldest, when = c, b.at
		}
		if seen++; seen == 32 {
			break
		}
	}
	delete(r.buckets, oldest)
}
