package quant

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"

	"lineside/inference/model/gguf"
)

// Random makes random blocks whose values have mean 0 and a given deviation.
//
// The numbers in a block are random bits, which is as fast as a disk. Where that
// would leave a mean, the sign of the block's step is drawn too, or its floor
// takes the mean away: a mean of even half a step, shared by all weights,
// makes a deep model's hidden states collapse into one direction.
type Random struct {
	rng   *rand.Rand
	sigma float32
	block int
	fill  func([]byte)
	table []uint32 // normal quantiles, for plain floats
}

// NewRandom makes blocks of type t with deviation sigma, the same for the same seeds.
func NewRandom(t gguf.Type, sigma float32, seed1, seed2 uint64) (*Random, error) {
	r := &Random{rng: rand.New(rand.NewPCG(seed1, seed2)), sigma: sigma, block: int(t.BlockBytes())}
	switch t {
	case gguf.F32, gguf.F16, gguf.BF16:
		r.plain(t)
	case gguf.Q4_0:
		r.fill = func(b []byte) { r.step(b, 4.61, true); r.bits(b[2:]) }
	case gguf.Q4_1:
		r.fill = func(b []byte) { r.floor(b[2:], 7.5*r.step(b, 4.61, false)); r.bits(b[4:]) }
	case gguf.Q5_0:
		r.fill = func(b []byte) { r.step(b, 9.23, true); r.bits(b[2:]) }
	case gguf.Q5_1:
		r.fill = func(b []byte) { r.floor(b[2:], 15.5*r.step(b, 9.23, false)); r.bits(b[4:]) }
	case gguf.Q8_0:
		r.fill = func(b []byte) { r.step(b, 73.3, true); r.bits(b[2:]); odd(b[2:]) }
	case gguf.Q4_K:
		r.fill = func(b []byte) { r.k(b, 4.61, 7.5); r.bits(b[16:]) }
	case gguf.Q5_K:
		r.fill = func(b []byte) { r.k(b, 9.23, 15.5); r.bits(b[16:]) }
	case gguf.Q6_K:
		r.fill = r.sixK
	default:
		return nil, fmt.Errorf("cannot make random blocks of %v", t)
	}
	return r, nil
}

// Read fills p, whose length must be whole blocks, and never fails.
func (r *Random) Read(p []byte) (int, error) {
	for b := p; len(b) >= r.block; b = b[r.block:] {
		r.fill(b[:r.block])
	}
	return len(p), nil
}

// bits fills b with random bits.
func (r *Random) bits(b []byte) {
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, r.rng.Uint64())
		b = b[8:]
	}
	if len(b) > 0 {
		w := r.rng.Uint64()
		for i := range b {
			b[i] = byte(w >> (8 * i))
		}
	}
}

// odd leaves only odd numbers: no mean, and never -128, which no quantizer writes.
func odd(b []byte) {
	for i := range b {
		b[i] |= 1
	}
}

// step writes a block's step for numbers of the given deviation, within half and
// one and a half of the middle, and returns it.
func (r *Random) step(b []byte, deviation float32, signed bool) float32 {
	w := r.rng.Uint32()
	s := r.sigma / deviation * (0.5 + float32(w>>8)/(1<<24)) * 0.96 // mean square of the factor is 13/12
	if signed && w&1 == 1 {
		s = -s
	}
	h := Half(s)
	binary.LittleEndian.PutUint16(b, h)
	return Float(h)
}

func (r *Random) floor(b []byte, f float32) { binary.LittleEndian.PutUint16(b, Half(-f)) }

// k writes the head of a k-block: two half floats and sixteen 6-bit scales, the
// floors equal to the steps so that mean steps are taken away exactly.
func (r *Random) k(b []byte, deviation, mean float32) {
	d := r.sigma / deviation / 48.9 // root mean square of 32 to 63
	h := Half(d)
	binary.LittleEndian.PutUint16(b, h)
	binary.LittleEndian.PutUint16(b[2:], Half(mean*Float(h)))
	w := r.rng.Uint64()
	s := b[4:16]
	for j := range 4 {
		lo, hi := byte(w>>(8*j))&31|32, byte(w>>(8*j+32))&31|32
		s[j] = lo | hi>>4<<6
		s[j+4] = lo | hi>>4<<6
		s[j+8] = hi&15 | hi&15<<4
	}
}

// sixK writes a Q6_K block with signed scales.
func (r *Random) sixK(b []byte) {
	r.bits(b[:208])
	for i := range b[192:208] {
		s := &b[192+i]
		if *s&1 == 1 {
			*s = -(*s>>2 | 64)
		} else {
			*s = *s>>2 | 64
		}
	}
	binary.LittleEndian.PutUint16(b[208:], Half(r.sigma/18.5/97))
}

// plain draws floats from a table of normal quantiles.
func (r *Random) plain(t gguf.Type) {
	const n = 1 << 12
	r.table = make([]uint32, n)
	for i := range r.table {
		z := math.Sqrt2 * math.Erfinv(2*(float64(i)+0.5)/n-1)
		b, _ := Append(nil, t, []float32{r.sigma * float32(z)}) // these types cannot fail
		for j, x := range b {
			r.table[i] |= uint32(x) << (8 * j)
		}
	}
	if t == gguf.F32 {
		r.fill = func(b []byte) { binary.LittleEndian.PutUint32(b, r.table[r.rng.Uint32()>>20]) }
		return
	}
	r.block = 8 // four at a time; rows of tensors are multiples of it
	r.fill = func(b []byte) {
		w := r.rng.Uint64()
		for i := range 4 {
			binary.LittleEndian.PutUint16(b[2*i:], uint16(r.table[w>>(16*i)&(n-1)]))
		}
	}
}
