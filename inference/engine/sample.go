package engine

import (
	"cmp"
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
}

func newSampler(s inference.Sampling) sampler {
	return sampler{Sampling: s, rng: rand.New(rand.NewPCG(s.Seed, 0x9e3779b97f4a7c15))}
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

// pool lists the tokens worth drawing from: all legal ones, or those that a
// mask lets through, without those of no weight.
func (s *sampler) pool(logits []float32, mask []uint64) []scored {
	legal := func(i int) bool { return mask == nil || mask[i>>6]>>(i&63)&1 == 1 }
	top := float32(math.Inf(-1))
	for i, l := range logits {
		if l > top && legal(i) {
			top = l
		}
	}
	least := top - tiny*s.Temperature
	var pool []scored
	for i, l := range logits {
		if l >= least && legal(i) {
			pool = append(pool, scored{int32(i), l})
		}
	}
	return pool
}

// draw takes one token of a pool: top_k, then top_p and min_p of the
// probabilities at the given temperature. Of a pool of one it draws nothing.
func (s *sampler) draw(pool []scored) int32 {
	slices.SortFunc(pool, func(a, b scored) int {
		return cmp.Or(-cmp.Compare(a.logit, b.logit), cmp.Compare(a.id, b.id))
	})
	if s.greedy() || len(pool) == 1 {
		return pool[0].id
	}
	if s.TopK > 0 && len(pool) > s.TopK {
		pool = pool[:s.TopK]
	}
	share := make([]float64, len(pool))
	sum := 0.0
	for i, c := range pool {
		share[i] = math.Exp(float64((c.logit - pool[0].logit) / s.Temperature))
		sum += share[i]
	}
	keep, mass := len(pool), 0.0
	for i, p := range share {
		if s.MinP > 0 && p < float64(s.MinP)*share[0] {
			keep = i
			break
		}
		mass += p
		if s.TopP > 0 && s.TopP < 1 && mass >= float64(s.TopP)*sum {
			keep = i + 1
			break
		}
	}
	mass = 0
	for _, p := range share[:keep] {
		mass += p
	}
	at := s.rng.Float64() * mass
	for i, p := range share[:keep] {
		if at -= p; at < 0 {
			return pool[i].id
		}
	}
	return pool[keep-1].id
}
