package constraint

import (
	"container/heap"
	"math/bits"
)

// maxForced is the most bytes that Forced looks ahead.
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

// Closing is the shortest text that makes the answer whole from here; false if
// there is none of at most limit bytes.
func (s *State) Closing(limit int) ([]byte, bool) {
	if s.ended || s.at.accept {
		return nil, true
	}
	if int(s.at.short) > limit {
		return nil, false
	}
	text := make([]byte, 0, s.at.short)
	for at := s.at; !at.accept; {
		if len(text)+int(at.short) > limit {
			return nil, false
		}
		b, next := s.c.dfa.homeward(at)
		if next == nil {
			rest, ok := s.c.dfa.search(at, limit-len(text))
			return append(text, rest...), ok
		}
		text, at = append(text, b), next
	}
	return text, true
}

// homeward is the first step of a shortest way from s to an end; nil where the
// limit of nesting cuts that way off.
func (d *dfa) homeward(s *dstate) (byte, *dstate) {
	for _, c := range s.configs {
		if d.shortest(c) != s.short {
			continue
		}
		for _, e := range d.m.nodes[c.node].edges {
			if d.tooDeep(e.to, c.frame) || d.shortest(config{e.to, c.count, c.frame}) != s.short-1 {
				continue
			}
			if next := d.step(s, e.lo); next != nil && next.short == s.short-1 {
				return e.lo, next
			}
		}
	}
	return 0, nil
}

// maxSearch is the most states that a search for the shortest ending visits.
const maxSearch = 20_000

// search finds the shortest way from s to an end where it cannot be read off
// (A*, the lengths that do not mind the limit of nesting being lower bounds).
func (d *dfa) search(s *dstate, limit int) ([]byte, bool) {
	best := map[*dstate]*trail{s: {at: s}}
	q := trailHeap{best[s]}
	for len(q) > 0 && len(best) < maxSearch {
		t := heap.Pop(&q).(*trail)
		if t.at.accept {
			return t.text(), true
		}
		if best[t.at] != t {
			continue
		}
		for _, b := range d.m.reps {
			next := d.step(t.at, b)
			if next == nil || t.bytes+1+int(next.short) > limit {
				continue
			}
			if old := best[next]; old == nil || t.bytes+1 < old.bytes {
				best[next] = &trail{next, t, b, t.bytes + 1}
				heap.Push(&q, best[next])
			}
		}
	}
	return nil, false
}

// trail is one way of the search.
type trail struct {
	at    *dstate
	prev  *trail
	b     byte
	bytes int // so far
}

func (t *trail) text() []byte {
	text := make([]byte, t.bytes)
	for ; t.prev != nil; t = t.prev {
		text[t.bytes-1] = t.b
	}
	return text
}

// total is the length of the whole way, a lower bound.
func (t *trail) total() int { return t.bytes + int(t.at.short) }

type trailHeap []*trail

func (h trailHeap) Len() int { return len(h) }
func (h trailHeap) Less(i, j int) bool {
	if h[i].total() != h[j].total() {
		return h[i].total() < h[j].total()
	}
	return h[i].bytes > h[j].bytes
}
func (h trailHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *trailHeap) Push(x any)   { *h = append(*h, x.(*trail)) }
func (h *trailHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
