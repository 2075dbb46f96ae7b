// Package quant turns 32-bit floats into the stored forms of GGUF tensors, and
// makes random blocks of any of them. It never reads or writes files.
//
// Block layouts follow the structs of ggml-common.h.
package quant

import (
	"encoding/binary"
	"fmt"
	"math"

	"lineside/inference/model/gguf"
)

// Append quantizes values and appends their blocks to dst. It knows F32, F16,
// BF16, Q8_0 and Q4_0, rounding as ggml's reference code does. The number of
// values must be whole blocks.
func Append(dst []byte, t gguf.Type, values []float32) ([]byte, error) {
	n := int(t.BlockElements())
	if n == 0 || len(values)%n != 0 {
		return nil, fmt.Errorf("%d values are no whole blocks of %v", len(values), t)
	}
	one, ok := map[gguf.Type]func([]byte, []float32) []byte{
		gguf.F32: appendF32, gguf.F16: appendF16, gguf.BF16: appendBF16,
		gguf.Q8_0: appendQ8, gguf.Q4_0: appendQ4,
	}[t]
	if !ok {
		return nil, fmt.Errorf("cannot quantize to %v: want f32, f16, bf16, q8_0 or q4_0", t)
	}
	for ; len(values) > 0; values = values[n:] {
		dst = one(dst, values[:n])
	}
	return dst, nil
}

func appendF32(dst []byte, v []float32) []byte {
	return binary.LittleEndian.AppendUint32(dst, math.Float32bits(v[0]))
}

func appendF16(dst []byte, v []float32) []byte {
	return binary.LittleEndian.AppendUint16(dst, Half(v[0]))
}

// appendBF16 keeps the upper half of a float, rounded to even.
func appendBF16(dst []byte, v []float32) []byte {
	bits := math.Float32bits(v[0])
	if v[0] != v[0] {
		return binary.LittleEndian.AppendUint16(dst, uint16(bits>>16)|64)
	}
	return binary.LittleEndian.AppendUint16(dst, uint16((bits+0x7fff+bits>>16&1)>>16))
}

// appendQ8 stores 32 values as a half-float step and 32 signed bytes.
func appendQ8(dst []byte, v []float32) []byte {
	var top float32
	for _, x := range v {
		top = max(top, x, -x)
	}
	step := top / 127
	dst = binary.LittleEndian.AppendUint16(dst, Half(step))
	for _, x := range v {
		q := int8(0)
		if step != 0 {
			q = int8(math.Round(float64(x / step)))
		}
		dst = append(dst, byte(q))
	}
	return dst
}

// appendQ4 stores 32 values as a half-float step and 32 numbers from -8 to 7.
// The value farthest from 0 becomes exactly -8 steps.
func appendQ4(dst []byte, v []float32) []byte {
	var far float32
	for _, x := range v {
		if max(x, -x) > max(far, -far) {
			far = x
		}
	}
	step := far / -8
	dst = binary.LittleEndian.AppendUint16(dst, Half(step))
	q := func(x float32) byte {
		if step == 0 {
			return 8
		}
		return byte(min(15, max(0, int(x/step+8.5))))
	}
	for i := range 16 {
		dst = append(dst, q(v[i])|q(v[i+16])<<4)
	}
	return dst
}

// Half is the 16-bit float nearest to f, ties to even.
func Half(f float32) uint16 {
	bits := math.Float32bits(f)
	sign := uint16(bits >> 16 & 0x8000)
	exp, man := int(bits>>23&0xff)-127, bits&0x7fffff
	switch {
	case exp == 128 && man != 0:
		return sign | 0x7e00
	case exp > 15:
		return sign | 0x7c00
	case exp < -25:
		return sign
	}
	man |= 1 << 23
	shift := 13
	if exp < -14 { // subnormal
		shift += -14 - exp
	}
	h := man >> shift
	rest, half := man&(1<<shift-1), uint32(1)<<(shift-1)
	if rest > half || rest == half && h&1 == 1 {
		h++
	}
	if exp >= -14 {
		h += uint32(exp+14) << 10 // the implicit bit adds the last one
	}
	return sign | uint16(h)
}

// Float is the value of a 16-bit float.
func Float(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exp, man := uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch exp {
	case 0:
		f := float32(man) * (1.0 / (1 << 24))
		return math.Float32frombits(math.Float32bits(f) | sign)
	case 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | man<<13)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | man<<13)
}
