package quant_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"lineside/inference/model/gguf"
	"lineside/inference/model/quant"
)

func TestHalf(t *testing.T) {
	for h := range 1 << 16 {
		f := quant.Float(uint16(h))
		if f != f {
			continue
		}
		if back := quant.Half(f); back != uint16(h) {
			t.Fatalf("%#04x is %g, which goes back to %#04x", h, f, back)
		}
	}
	tests := map[float32]uint16{
		1: 0x3c00, -2: 0xc000, 65504: 0x7bff, 65520: 0x7c00, 1e30: 0x7c00, 1e-30: 0,
		1 + 1.0/2048: 0x3c00, 1 + 3.0/2048: 0x3c02, // ties go to even
	}
	for f, want := range tests {
		if got := quant.Half(f); got != want {
			t.Errorf("Half(%g) = %#04x, want %#04x", f, got, want)
		}
	}
}

// TestRoundTrip holds each quantizer to half a step of error.
func TestRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	values := make([]float32, 32*64)
	for i := range values {
		values[i] = float32(rng.NormFloat64())
	}
	clear(values[:32]) // a block of nothing stays nothing
	for typ, tolerance := range map[gguf.Type]float64{gguf.F32: 0, gguf.F16: 0.002, gguf.BF16: 0.02, gguf.Q8_0: 0.02, gguf.Q4_0: 0.6} {
		b, err := quant.Append(nil, typ, values)
		if err != nil {
			t.Fatal(err)
		}
		if uint64(len(b)) != typ.Bytes(uint64(len(values))) {
			t.Errorf("%v: %d bytes", typ, len(b))
		}
		back, err := quant.Floats(typ, b)
		if err != nil {
			t.Fatal(err)
		}
		for i := range values {
			if d := math.Abs(float64(back[i] - values[i])); d > tolerance || i < 32 && back[i] != 0 {
				t.Fatalf("%v: value %d: %g became %g", typ, i, values[i], back[i])
			}
		}
	}
	if _, err := quant.Append(nil, gguf.Q4_0, values[:33]); err == nil {
		t.Error("33 values are no block of Q4_0")
	}
	if _, err := quant.Append(nil, gguf.Q4_K, values[:256]); err == nil {
		t.Error("Q4_K has no quantizer here")
	}
}

// TestRandom holds random blocks to mean and deviation.
func TestRandom(t *testing.T) {
	const sigma = 0.02
	for _, typ := range []gguf.Type{gguf.F32, gguf.F16, gguf.BF16, gguf.Q4_0, gguf.Q4_1, gguf.Q5_0, gguf.Q5_1,
		gguf.Q8_0, gguf.Q4_K, gguf.Q5_K, gguf.Q6_K} {
		r, err := quant.NewRandom(typ, sigma, 7, 9)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, typ.Bytes(1<<18))
		r.Read(b)
		values, err := quant.Floats(typ, b)
		if err != nil {
			t.Fatal(err)
		}
		var sum, square float64
		for _, v := range values {
			sum += float64(v)
			square += float64(v) * float64(v)
		}
		mean, dev := sum/float64(len(values)), math.Sqrt(square/float64(len(values)))
		if math.Abs(mean) > sigma*0.02 || math.Abs(dev/sigma-1) > 0.05 {
			t.Errorf("%v: mean %.5f, deviation %.5f, want 0 and %.3f", typ, mean, dev, sigma)
		}
	}
	if _, err := quant.NewRandom(gguf.Q2_K, 1, 0, 0); err == nil {
		t.Error("Q2_K has no random blocks here")
	}
}

func BenchmarkRandomQ4(b *testing.B) {
	r, err := quant.NewRandom(gguf.Q4_0, 0.02, 1, 1)
	if err != nil {
		b.Fatal(err)
	}
	p := make([]byte, 18<<14)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		r.Read(p)
	}
}
