package quant

import (
	"encoding/binary"
	"fmt"
	"math"

	"lineside/inference/model/gguf"
)

// Floats turns stored blocks back into values. It knows every type that
// Append and Random write.
func Floats(t gguf.Type, data []byte) ([]float32, error) {
	size := int(t.BlockBytes())
	one, ok := map[gguf.Type]func([]byte, []float32) []float32{
		gguf.F32: floatsF32, gguf.F16: floatsF16, gguf.BF16: floatsBF16,
		gguf.Q4_0: floatsQ4, gguf.Q4_1: floatsQ41, gguf.Q5_0: floatsQ5, gguf.Q5_1: floatsQ51,
		gguf.Q8_0: floatsQ8, gguf.Q4_K: floatsQ4K, gguf.Q5_K: floatsQ5K, gguf.Q6_K: floatsQ6K,
	}[t]
	if !ok || len(data)%size != 0 {
		return nil, fmt.Errorf("cannot read %d bytes as %v", len(data), t)
	}
	out := make([]float32, 0, uint64(len(data)/size)*t.BlockElements())
	for ; len(data) > 0; data = data[size:] {
		out = one(data[:size], out)
	}
	return out, nil
}

func half(b []byte) float32 { return Float(binary.LittleEndian.Uint16(b)) }

func floatsF32(b []byte, out []float32) []float32 {
	return append(out, math.Float32frombits(binary.LittleEndian.Uint32(b)))
}

func floatsF16(b []byte, out []float32) []float32 { return append(out, half(b)) }

func floatsBF16(b []byte, out []float32) []float32 {
	return append(out, math.Float32frombits(uint32(binary.LittleEndian.Uint16(b))<<16))
}

func floatsQ8(b []byte, out []float32) []float32 {
	for _, q := range b[2:] {
		out = append(out, half(b)*float32(int8(q)))
	}
	return out
}

// nibbles appends step*(q+shift)+floor for 32 4-bit numbers, whose fifth bits are high's.
func nibbles(out []float32, qs []byte, high uint32, step, shift, floor float32) []float32 {
	for i := range 32 {
		q := uint32(qs[i%16]) >> (4 * (i / 16)) & 15
		q |= high >> i & 1 << 4
		out = append(out, step*(float32(q)+shift)+floor)
	}
	return out
}

func floatsQ4(b []byte, out []float32) []float32 {
	return nibbles(out, b[2:], 0, half(b), -8, 0)
}

func floatsQ41(b []byte, out []float32) []float32 {
	return nibbles(out, b[4:], 0, half(b), 0, half(b[2:]))
}

func floatsQ5(b []byte, out []float32) []float32 {
	return nibbles(out, b[6:], binary.LittleEndian.Uint32(b[2:]), half(b), -16, 0)
}

func floatsQ51(b []byte, out []float32) []float32 {
	return nibbles(out, b[8:], binary.LittleEndian.Uint32(b[4:]), half(b), 0, half(b[2:]))
}

// scalesK unpacks the eight 6-bit steps and eight 6-bit floors of a k-block.
func scalesK(b []byte) (step, floor [8]float32) {
	for j := range 4 {
		step[j], floor[j] = float32(b[j]&63), float32(b[j+4]&63)
		step[j+4] = float32(b[j+8]&15 | b[j]>>6<<4)
		floor[j+4] = float32(b[j+8]>>4 | b[j+4]>>6<<4)
	}
	return step, floor
}

func floatsQ4K(b []byte, out []float32) []float32 {
	d, low := half(b), half(b[2:])
	step, floor := scalesK(b[4:16])
	for i := range 256 {
		g := i / 32
		q := b[16+i/64*32+i%32] >> (4 * (g % 2)) & 15
		out = append(out, d*step[g]*float32(q)-low*floor[g])
	}
	return out
}

func floatsQ5K(b []byte, out []float32) []float32 {
	d, low := half(b), half(b[2:])
	step, floor := scalesK(b[4:16])
	for i := range 256 {
		g := i / 32
		q := b[48+i/64*32+i%32] >> (4 * (g % 2)) & 15
		q |= b[16+i%32] >> g & 1 << 4
		out = append(out, d*step[g]*float32(q)-low*floor[g])
	}
	return out
}

func floatsQ6K(b []byte, out []float32) []float32 {
	d := half(b[208:])
	for i := range 256 {
		part, l := i%128/32, i%32
		q := b[i/128*64+part%2*32+l] >> (4 * (part / 2)) & 15
		q |= b[128+i/128*32+l] >> (2 * part) & 3 << 4
		out = append(out, d*float32(int8(b[192+i/16]))*(float32(q)-32))
	}
	return out
}
