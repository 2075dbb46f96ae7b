package constraint

import (
	"container/heap"
	"math"
	"math/bits"
	"slices"
)

// maxForced is the most bytes that Forced and Options look ahead.
const maxForced = 4096

// Forced is the longest text that every continuation begins with, so the only
// one possible; nil where there is a choice, and where the answer may end.
func (s *State) Forced() []byte {
	if s.ended {
		return nil
	}
	var text []byte
	for at := s.at; len(text) < maxForced; {
		b, ok := at.only()
		if !ok {
			break
		}
		if at = s.c.dfa.step(at, b); at == nil {
			break
		}
		text = append(text, b)
	}
	return text
}

// only is the one byte that may follow.
func (s *dstate) only() (byte, bool) {
	n, b := 0, 0
	for i, w := range s.out {
		n += bits.OnesCount64(w)
		if w != 0 {
			b = i<<6 + bits.TrailingZeros64(w)
		}
	}
	return byte(b), n == 1 && !s.accept
}

// Options lists the texts that lead from here to the next place where all ways
// meet again: the values of an enum, say, each up to its closing quote. It is
// nil where there are more than limit of them, or where they do not meet
// within a few hundred bytes. The texts are in no order.
func (s *State) Options(limit int) [][]byte {
	const reach = 256 // bytes to the meeting place
	if s.ended || s.at.accept {
		return nil
	}
	// Every way goes through the meeting place, so the shortest one does.
	way, ok := s.Closing(math.MaxInt32)
	if !ok {
		return nil
	}
	at := s.at
	for _, b := range way[:min(len(way), reach)] {
		if at = s.c.dfa.step(at, b); at == nil {
			return nil
		}
		w := ways{dfa: &s.c.dfa, meet: at, limit: limit, reach: reach}
		if w.follow(s.at, nil) {
			return w.texts
		}
	}
	return nil
}

// ways collects the texts from one state to a place where they meet.
type ways struct {
	dfa   *dfa
	meet  *dstate
	limit int
	reach int
	texts [][]byte
}

func (w *ways) follow(s *dstate, text []byte) bool {
	if s == w.meet && len(text) > 0 {
		w.texts = append(w.texts, slices.Clone(text))
		return len(w.texts) <= w.limit
	}
	if s.accept || len(text) >= w.reach {
		return false
	}
	n := 0
	for _, o := range s.out {
		n += bits.OnesCount64(o)
	}
	if n > w.limit {
		return false
	}
	for b := range 256 {
		if !s.allows(byte(b)) {
			continue
		}
		next := w.dfa.step(s, byte(b))
		if next == nil || !w.follow(next, append(text, byte(b))) {
			return false
		}
	}
	return true
}

// Closing is the shortest text that makes the answer whole from here; false if
// there is none of at most limit bytes. Asking again along the answer is cheap.
func (s *State) Closing(limit int) ([]byte, bool) {
	if s.ended || s.at.accept {
		return nil, true
	}
	if int(s.at.short) > limit {
		return nil, false
	}
	d := &s.c.dfa
	if s.at.closing.Load() == unknown && !d.findClosing(s.at) {
		return nil, false
	}
	var text []byte
	for at := s.at; !at.accept; {
		n, b := ending(at.closing.Load())
		if len(text)+n > limit {
			return nil, false
		}
		text = append(text, b)
		at = d.step(at, b)
	}
	return text, true
}

// unknown marks a state whose shortest ending has not been looked for.
const unknown = int64(-1)

func packEnding(n int, b byte) int64 { return int64(n)<<8 | int64(b) }
func ending(v int64) (n int, b byte) { return int(v >> 8), byte(v) }

// maxClosing is the most states that a search for the shortest ending visits.
const maxClosing = 20_000

// findClosing searches the shortest way from s to an end (A*, with the
// machine's own lower bounds) and notes it in every state on the way.
func (d *dfa) findClosing(s *dstate) bool {
	from := map[*dstate]*trail{s: {at: s}}
	q := trailHeap{from[s]}
	for len(q) > 0 && len(from) < maxClosing {
		t := heap.Pop(&q).(*trail)
		if t.stale {
			continue
		}
		known := t.at.closing.Load()
		if t.at.accept || known != unknown {
			rest, _ := ending(max(known, 0))
			for ; t.prev != nil; t = t.prev {
				rest++
				t.prev.at.closing.CompareAndSwap(unknown, packEnding(rest, t.b))
			}
			return true
		}
		for _, b := range d.m.reps {
			next := d.step(t.at, b)
			if next == nil {
				continue
			}
			n := &trail{at: next, prev: t, b: b, cost: t.cost + 1}
			n.total = n.cost + int(next.short)
			if k := next.closing.Load(); k != unknown {
				rest, _ := ending(k)
				n.total = n.cost + rest
			}
			if old := from[next]; old != nil {
				if old.cost <= n.cost {
					continue
				}
				old.stale = true
			}
			from[next] = n
			heap.Push(&q, n)
		}
	}
	return false
}

// trail is one way of the search.
type trail struct {
	at    *dstate
	prev  *trail
	b     byte
	cost  int // bytes so far
	total int // bytes to an end, a lower bound
	stale bool
}

type trailHeap []*trail

func (h trailHeap) Len() int { return len(h) }
func (h trailHeap) Less(i, j int) bool {
	if h[i].total != h[j].total {
		return h[i].total < h[j].total
	}
	return h[i].cost > h[j].cost
}
func (h trailHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *trailHeap) Push(x any)   { *h = append(*h, x.(*trail)) }
func (h *trailHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
