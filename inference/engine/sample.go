package engine

import (
	"cmp"
	"container/heap"
	"math"
	"math/rand/v2"
	"slices"

	"lineside/inference"
)

// sampler draws tokens from logits. Greedy draws nothing: it takes the best,
// and of equals the lowest id.
type sampler struct {
	inference.Sampling
	rng *rand.Rand
	*scratch
}

// scratch is memory that choosing needs again and again. Only Run's goroutine uses it.
type scratch struct {
	mask  []uint64
	pool  []scored
	share []float64
}

func newSampler(s inference.Sampling, mem *scratch) sampler {
	return sampler{Sampling: s, rng: rand.New(rand.NewPCG(s.Seed, 0x9e3779b97f4a7c15)), scratch: mem}
}

// greedy reports whether the best token is always taken.
func (s *sampler) greedy() bool { return s.Temperature <= 0 }

// scored is a token that may be drawn.
type scored struct {
	id    int32
	logit float32
}

// best is the index of the highest logit.
func best(logits []float32) int32 {
	at, top := 0, float32(math.Inf(-1))
	for i, l := range logits {
		if l > top {
			at, top = i, l
		}
	}
	return int32(at)
}

// tiny is where a token's share cannot be drawn any more: e to the -tiny.
const tiny = 30

// legal lists the tokens worth drawing from: all, or those that a mask lets
// through, without those of no weight. It holds until the next call.
func (s *sampler) legal(logits []float32, mask []uint64) []scored {
	top := float32(math.Inf(-1))
	for i, l := range logits {
		if l > top && in(mask, i) {
			top = l
		}
	}
	least := top - tiny*s.Temperature
	pool := s.pool[:0]
	for i, l := range logits {
		if l >= least && in(mask, i) {
			pool = append(pool, scored{int32(i), l})
		}
	}
	s.pool = pool
	return pool
}

func in(mask []uint64, i int) bool { return mask == nil || mask[i>>6]>>(i&63)&1 == 1 }

// draw takes one token of a pool, which it may reorder: top_k, then top_p and
// min_p of the probabilities at the given temperature. Of a pool of one it draws nothing.
func (s *sampler) draw(pool []scored) int32 {
	best := slices.MinFunc(pool, scored.compare)
	if s.greedy() || len(pool) == 1 {
		return best.id
	}
	if s.TopK > 0 {
		pool = leading(pool, s.TopK, func(scored) bool { return true })
	}
	weight := func(c scored) float64 { return math.Exp(float64((c.logit - best.logit) / s.Temperature)) }
	if s.TopP > 0 && s.TopP < 1 {
		mass := 0.0
		for _, c := range pool {
			mass += weight(c)
		}
		mass *= float64(s.TopP)
		pool = leading(pool, len(pool), func(c scored) bool {
			more := mass > 0
			mass -= weight(c)
			return more
		})
	}
	s.share = s.share[:0]
	mass := 0.0
	for _, c := range pool {
		w := weight(c)
		if w < float64(s.MinP) {
			w = 0
		}
		s.share = append(s.share, w)
		mass += w
	}
	at := s.rng.Float64() * mass
	for i, w := range s.share {
		if at -= w; at < 0 && w > 0 {
			return pool[i].id
		}
	}
	return best.id
}

// compare puts the better token first, and of equals the one with the lower id.
func (a scored) compare(b scored) int {
	return cmp.Or(-cmp.Compare(a.logit, b.logit), cmp.Compare(a.id, b.id))
}

// leading moves the best tokens of a pool to its front, in order, as long as
// there are fewer than most and more wants the next, and returns them. The rest
// of the pool, mostly long, is never sorted.
func leading(pool []scored, most int, more func(scored) bool) []scored {
	h := ranking(pool)
	heap.Init(&h)
	n := 0
	for n < most && len(h) > 0 && more(h[0]) {
		heap.Pop(&h) // moves it behind the heap's end
		n++
	}
	front := pool[len(pool)-n:]
	slices.Reverse(front)
	return front
}

// ranking is a heap with the best token on top.
type ranking []scored

func (r ranking) Len() int           { return len(r) }
func (r ranking) Less(i, j int) bool { return r[i].compare(r[j]) < 0 }
func (r ranking) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r *ranking) Push(any)          { panic("nothing is pushed") }
func (r *ranking) Pop() any          { *r = (*r)[:len(*r)-1]; return nil }
