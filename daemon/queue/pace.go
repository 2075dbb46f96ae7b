package queue

import "time"

// Pace estimates waiting times from how long answers took. It starts from a
// guess and follows the last dozen answers.
type Pace struct {
	Lanes int // answers worked on at once; at least 1
	mean  time.Duration
}

const (
	firstGuess = 5 * time.Second
	weight     = 6 // of the past against one new answer
)

// Observe takes in how long one answer took in the engine.
func (p *Pace) Observe(took time.Duration) {
	if p.mean == 0 {
		p.mean = took
		return
	}
	p.mean = (weight*p.mean + took) / (weight + 1)
}

// Answer is how long one answer is expected to take.
func (p *Pace) Answer() time.Duration {
	if p.mean == 0 {
		return firstGuess
	}
	return p.mean
}

// Wait is how long until a lane comes free for an ask with so many before it,
// counting those being worked on.
func (p *Pace) Wait(ahead int) time.Duration {
	return time.Duration(ahead) * p.Answer() / time.Duration(max(p.Lanes, 1))
}
