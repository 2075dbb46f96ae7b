package engine

import (
	"math"
	"math/rand/v2"
	"testing"

	"lineside/inference"
)

func TestGreedyTakesTheLowestOfEquals(t *testing.T) {
	if got := best([]float32{1, 3, 2, 3}); got != 1 {
		t.Errorf("best is %d", got)
	}
	s := newSampler(inference.Sampling{}, &scratch{})
	if got := s.draw([]scored{{7, 1}, {3, 2}, {2, 2}}); got != 2 {
		t.Errorf("drew %d", got)
	}
}

// TestDraw compares frequencies with what the settings promise.
func TestDraw(t *testing.T) {
	logits := []float32{0, float32(math.Log(2)), float32(math.Log(3)), float32(math.Log(4)), -100}
	for name, test := range map[string]struct {
		s    inference.Sampling
		mask []uint64
		want [5]float64
	}{
		"temperature 1":     {inference.Sampling{Temperature: 1}, nil, [5]float64{.1, .2, .3, .4, 0}},
		"temperature 0.5":   {inference.Sampling{Temperature: .5}, nil, [5]float64{1. / 30, 4. / 30, 9. / 30, 16. / 30, 0}},
		"top_k":             {inference.Sampling{Temperature: 1, TopK: 2}, nil, [5]float64{0, 0, 3. / 7, 4. / 7, 0}},
		"top_p":             {inference.Sampling{Temperature: 1, TopP: .65}, nil, [5]float64{0, 0, 3. / 7, 4. / 7, 0}},
		"top_p of 1 is off": {inference.Sampling{Temperature: 1, TopP: 1}, nil, [5]float64{.1, .2, .3, .4, 0}},
		"tiny top_p":        {inference.Sampling{Temperature: 1, TopP: .01}, nil, [5]float64{0, 0, 0, 1, 0}},
		"top_k and top_p":   {inference.Sampling{Temperature: 1, TopK: 3, TopP: .75}, nil, [5]float64{0, 0, 3. / 7, 4. / 7, 0}},
		"top_p and min_p":   {inference.Sampling{Temperature: 1, TopP: .95, MinP: .6}, nil, [5]float64{0, 0, 3. / 7, 4. / 7, 0}},
		"min_p":             {inference.Sampling{Temperature: 1, MinP: .6}, nil, [5]float64{0, 0, 3. / 7, 4. / 7, 0}},
		"mask":              {inference.Sampling{Temperature: 1}, []uint64{0b10011}, [5]float64{1. / 3, 2. / 3, 0, 0, 0}},
		"mask before top_k": {inference.Sampling{Temperature: 1, TopK: 1}, []uint64{0b00011}, [5]float64{0, 1, 0, 0, 0}},
		"greedy with mask":  {inference.Sampling{}, []uint64{0b10011}, [5]float64{0, 1, 0, 0, 0}},
	} {
		s := newSampler(test.s, &scratch{})
		var got [5]float64
		const n = 20000
		for range n {
			got[s.draw(s.legal(logits, test.mask))] += 1. / n
		}
		for i := range got {
			if math.Abs(got[i]-test.want[i]) > .02 {
				t.Errorf("%s: frequencies %.3f, want %.3f", name, got, test.want)
				break
			}
		}
	}
}

func TestSeed(t *testing.T) {
	logits := make([]float32, 100)
	draw := func(seed uint64) (ids [20]int32) {
		s := newSampler(inference.Sampling{Temperature: 1, Seed: seed}, &scratch{})
		for i := range ids {
			ids[i] = s.draw(s.legal(logits, nil))
		}
		return ids
	}
	if a, b := draw(1), draw(1); a != b {
		t.Error("the same seed drew other tokens")
	}
	if draw(1) == draw(2) {
		t.Error("another seed drew the same tokens")
	}
}

func BenchmarkBest(b *testing.B) {
	logits := make([]float32, 128256)
	for i := range logits {
		logits[i] = float32(i * 7919 % 1000)
	}
	for b.Loop() {
		best(logits)
	}
}

// BenchmarkDraw is a token of a vocabulary of 128k, as drawn with these settings.
func BenchmarkDraw(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	logits := make([]float32, 128256)
	for i := range logits {
		logits[i] = 3 * float32(rng.NormFloat64())
	}
	for name, set := range map[string]inference.Sampling{
		"temperature": {Temperature: 0.8}, "top_p": {Temperature: 0.8, TopP: 0.9}, "top_k": {Temperature: 0.8, TopK: 40}, "min_p": {Temperature: 0.8, MinP: 0.05},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			s := newSampler(set, &scratch{})
			for b.Loop() {
				s.draw(s.legal(logits, nil))
			}
		})
	}
}
