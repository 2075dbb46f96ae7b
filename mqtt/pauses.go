package mqtt

import (
	"errors"
	"math/rand/v2"
	"net"
	"syscall"
	"time"
)

// A board is up before its network. Until that is there a try asks nobody and costs
// nothing, so that it may be repeated soon; for a while only, since a cable that is out
// may stay out.
const (
	noNetworkEvery = 200 * time.Millisecond
	noNetworkFor   = 30 * time.Second
)

// pauses are what a lane waits between its tries to connect.
type pauses struct {
	least, most time.Duration
	failures    int
	cut         time.Time // when the network was first found missing since the lane was up; zero: never
}

// next takes what a try came to: whether the lane was up, and why it no longer is or never
// was. again tells that it is the one before once more, of which enough was said.
func (p *pauses) next(err error, up bool, now time.Time) (wait time.Duration, again bool) {
	if up {
		p.failures, p.cut = 0, time.Time{}
	}
	if !up && noNetwork(err) {
		again = !p.cut.IsZero()
		if !again {
			p.cut = now
		}
		if now.Sub(p.cut) < noNetworkFor {
			return upperHalf(min(noNetworkEvery, p.least)), again
		}
	}
	wait = p.most
	if p.failures < 20 {
		wait = min(p.least<<p.failures, p.most)
	}
	p.failures++
	return upperHalf(wait), false
}

// upperHalf draws, so that two boards do not go on in step.
func upperHalf(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// noNetwork reports whether a try ended at once because there is no way to the broker, or
// to the name server.
func noNetwork(err error) bool {
	var name *net.DNSError
	if errors.As(err, &name) {
		return name.IsTemporary && !name.IsTimeout
	}
	return errors.Is(err, syscall.ENETUNREACH)
}
