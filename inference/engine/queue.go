package engine

import (
	"cmp"
	"slices"
)

// queue holds the asks that wait for a slot, in the order in which they will
// be served: higher priority first, then the clients in turn, then by arrival.
// Turns are start-time fair queueing: the n-th waiting ask of a client stands
// in the n-th round from now. It is bounded and not safe for concurrent use.
type queue struct {
	bound  int
	asks   []*ask
	turns  map[turn]uint64 // last round that each client has an ask in
	rounds map[int]uint64  // of the ask that was served last, by priority
	count  uint64          // asks that ever came
}

type turn struct {
	client   string
	priority int
}

// place is where an ask stands in the queue.
type place struct {
	priority int
	round    uint64
	arrival  uint64
}

func (p place) compare(o place) int {
	return cmp.Or(-cmp.Compare(p.priority, o.priority), cmp.Compare(p.round, o.round), cmp.Compare(p.arrival, o.arrival))
}

// push takes an ask in; false means there is no place.
func (q *queue) push(a *ask) bool {
	if len(q.asks) >= q.bound {
		return false
	}
	if len(q.asks) == 0 { // nobody competes: all start level
		q.turns, q.rounds = map[turn]uint64{}, map[int]uint64{}
	}
	q.count++
	t := turn{a.req.Client, a.req.Priority}
	a.place = place{t.priority, max(q.turns[t], q.rounds[t.priority]) + 1, q.count}
	q.turns[t] = a.place.round
	at, _ := slices.BinarySearchFunc(q.asks, a, func(x, y *ask) int { return x.place.compare(y.place) })
	q.asks = slices.Insert(q.asks, at, a)
	return true
}

// first is the next ask to serve, or nil.
func (q *queue) first() *ask {
	if len(q.asks) == 0 {
		return nil
	}
	return q.asks[0]
}

// serve takes an ask out to be worked on.
func (q *queue) serve(a *ask) {
	q.remove(func(o *ask) bool { return o == a })
	q.rounds[a.place.priority] = max(q.rounds[a.place.priority], a.place.round)
}

// remove takes out the asks that are over and returns them.
func (q *queue) remove(over func(*ask) bool) []*ask {
	var gone []*ask
	q.asks = slices.DeleteFunc(q.asks, func(a *ask) bool {
		if over(a) {
			gone = append(gone, a)
			return true
		}
		return false
	})
	return gone
}
