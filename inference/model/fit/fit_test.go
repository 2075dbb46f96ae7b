package fit_test

import (
	"math"
	"testing"

	"lineside/inference/model/catalogue"
	"lineside/inference/model/fit"
	"lineside/inference/model/shape"
)

func find(t *testing.T, id string) catalogue.Model {
	t.Helper()
	m, err := catalogue.Find(id)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestRuntimeTotals holds file, cache and scratch to the figures worked out for
// Q4_K_M, in GB with passes of 512 and of 128 tokens.
func TestRuntimeTotals(t *testing.T) {
	files := map[string]uint64{"llama-3.2-1b": 807694464, "llama-3.2-3b": 2019377696, "llama-3.1-8b": 4920739232}
	for id, rows := range map[string]map[int][2]float64{
		"llama-3.2-1b": {2048: {1.14, 0.94}, 4096: {1.21, 1.01}, 8192: {1.34, 1.14}, 16384: {1.61, 1.41}, 32768: {2.15, 1.95}, 131072: {5.37, 5.17}},
		"llama-3.2-3b": {2048: {2.52, 2.32}, 4096: {2.76, 2.56}, 8192: {3.23, 3.03}, 16384: {4.17, 3.97}, 32768: {6.05, 5.84}, 131072: {17.32, 17.12}},
		"llama-3.1-8b": {2048: {5.46, 5.26}, 4096: {5.73, 5.53}, 8192: {6.27, 6.06}, 16384: {7.34, 7.14}, 32768: {9.49, 9.28}, 131072: {22.37, 22.17}},
	} {
		for context, want := range rows {
			for i, ubatch := range []int{512, 128} {
				p := fit.Memory(fit.Request{Shape: find(t, id).Shape, File: files[id], RAM: 64 << 30, Context: context, UBatch: ubatch, Flash: true})
				if got := float64(p.Weights+p.KV+p.Compute) / 1e9; math.Abs(got-want[i]) > 0.006 {
					t.Errorf("%s at %d, passes of %d: %.3f GB, want %.2f", id, context, ubatch, got, want[i])
				}
			}
		}
	}
}

// TestSmallestBoards holds the plan to the table of boards, in GiB.
func TestSmallestBoards(t *testing.T) {
	order := []shape.Mixture{shape.Q4_0, shape.Q4_K_M, shape.Q5_K_M, shape.Q8_0, shape.F16}
	for id, want := range map[string][5]int{
		"llama-1-7b": {8, 8, 8, 16, 32}, "llama-1-13b": {16, 16, 16, 32, 64}, "llama-1-33b": {32, 32, 32, 64, 0}, "llama-1-65b": {64, 64, 64, 0, 0},
		"llama-2-7b": {8, 8, 16, 16, 32}, "llama-2-13b": {16, 16, 16, 32, 64}, "llama-2-70b": {64, 64, 64, 0, 0},
		"llama-3.1-8b": {8, 8, 16, 16, 32}, "llama-3.3-70b": {64, 64, 64, 0, 0}, "llama-3.1-405b": {},
		"llama-3.2-1b": {2, 2, 2, 4, 4}, "llama-3.2-3b": {4, 4, 8, 8, 16}, "llama-3.2-11b-vision": {},
		"llama-4-maverick": {}, "mistral-7b-v0.3": {8, 8, 8, 16, 32}, "ministral-8b-2410": {8, 8, 16, 16, 32},
		"ministral-3-3b": {4, 8, 8, 8, 16}, "ministral-3-8b": {8, 8, 16, 16, 32}, "mistral-small-22b": {32, 32, 32, 32, 64},
		"mistral-small-24b": {32, 32, 32, 32, 64}, "mixtral-8x7b": {64, 64, 64, 64, 0},
	} {
		for i, q := range order {
			if got := fit.SmallestBoard(find(t, id), q); got != want[i] {
				t.Errorf("%s %s: %d GiB, want %d", id, q, got, want[i])
			}
		}
	}
}

func TestPlan(t *testing.T) {
	m := find(t, "llama-3.2-3b")
	base := fit.Request{Shape: m.Shape, File: 2019377696, RAM: 4 << 30, Context: 8192, UBatch: 512, Flash: true}
	tests := []struct {
		name   string
		change func(*fit.Request)
		fits   bool
		max    int
	}{
		{"just fits", func(*fit.Request) {}, true, 8192}, // by 8 MB, says the reference
		{"one cell row more", func(r *fit.Request) { r.Context += 256 }, false, 8192},
		{"smaller passes leave room", func(r *fit.Request) { r.UBatch = 128 }, true, 9984},
		{"scores kept", func(r *fit.Request) { r.Flash = false }, false, 6144},
		{"scores kept, smaller passes", func(r *fit.Request) { r.Flash, r.UBatch = false, 128 }, true, 8960},
		{"2 GiB", func(r *fit.Request) { r.RAM = 2 << 30 }, false, 0},
		{"beyond its training", func(r *fit.Request) { r.RAM, r.Context = 256<<30, 131072+256 }, false, 131072},
	}
	for _, tt := range tests {
		r := base
		tt.change(&r)
		p := fit.Memory(r)
		if p.Fits != tt.fits || p.MaxContext != tt.max {
			t.Errorf("%s: %+v, want fits %v up to %d", tt.name, p, tt.fits, tt.max)
		}
		if p.MaxContext > 0 {
			r.Context = p.MaxContext
			if !fit.Memory(r).Fits {
				t.Errorf("%s: the largest context %d does not fit", tt.name, p.MaxContext)
			}
		}
	}
}

// TestScratch holds the scratch to what llama.cpp says it allocates, in MiB, less the copy
// of the scores that it allocates elsewhere.
func TestScratch(t *testing.T) {
	tests := []struct {
		id              string
		context, ubatch int
		want            float64
	}{
		{"llama-3.2-1b", 1024, 128, 63.62}, {"llama-3.2-1b", 4096, 128, 70.50}, {"llama-3.2-1b", 8192, 512, 546.01}, {"llama-3.2-1b", 32768, 128, 532.50},
		{"llama-3.2-3b", 4096, 128, 64.12}, {"llama-3.2-3b", 8192, 128, 107.00}, {"llama-3.2-3b", 32768, 512, 1628.01},
		{"llama-3.1-8b", 1024, 512, 258.50}, {"llama-3.1-8b", 8192, 128, 141.00}, {"llama-3.1-8b", 16384, 128, 273.00},
	}
	for _, tt := range tests {
		s := find(t, tt.id).Shape
		p := fit.Memory(fit.Request{Shape: s, File: 1, RAM: 1 << 40, Context: tt.context, UBatch: tt.ubatch})
		copied := uint64(2 * tt.ubatch * tt.context * s.Heads)
		if got := float64(p.Compute-copied) / (1 << 20); math.Abs(got/tt.want-1) > 0.001 {
			t.Errorf("%s at %d, passes of %d: %.2f MiB, llama.cpp takes %.2f", tt.id, tt.context, tt.ubatch, got, tt.want)
		}
	}
}

func TestOptions(t *testing.T) {
	m := find(t, "llama-3.2-3b")
	var fits []shape.Mixture
	for _, o := range fit.Options(fit.Request{Shape: m.Shape, RAM: 4 << 30, Context: 4096}, m.Header) {
		if o.Fits {
			fits = append(fits, o.Quantization)
		}
	}
	if len(fits) != 3 || fits[2] != shape.Q5_K_M {
		t.Errorf("at 4k on 4 GiB fit %v, want up to q5_k_m", fits)
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]uint64{"4GiB": 4 << 30, "512 MB": 512e6, "7.6G": 7600000000, "1073741824": 1 << 30, "900M": 900e6} {
		if got, err := fit.ParseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "GiB", "-1GiB", "0", "4 apples", "4GiBs", "1e30G", "NaN", "4x4G"} {
		if n, err := fit.ParseSize(text); err == nil {
			t.Errorf("%q is %d", text, n)
		}
	}
}
