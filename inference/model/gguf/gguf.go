// Package gguf reads the headers of GGUF files and writes GGUF files.
//
// It trusts nothing in a file: every count, length, offset and type is checked
// against the file's size before it is used, so that a file which passes Open
// can be handed to C. It never reads a tensor's data into memory and never
// judges what a model is good for.
//
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
package gguf

import (
	"errors"
	"fmt"
)

// Sentinels for callers that decide by the kind of failure. Every error of this
// package wraps one of them, except errors of the file system.
var (
	// ErrNotGGUF: the file is empty, a directory or of another format.
	ErrNotGGUF = errors.New("not a GGUF file")
	// ErrVersion: a GGUF of a version or byte order that cannot be read.
	ErrVersion = errors.New("unsupported GGUF version")
	// ErrTruncated: the file ends before what its header announces.
	ErrTruncated = errors.New("truncated GGUF file")
	// ErrMalformed: the header contradicts itself or breaks a limit.
	ErrMalformed = errors.New("malformed GGUF file")
	// ErrNoKey: the metadata has no such key, or it has another type.
	ErrNoKey = errors.New("metadata key missing")
)

// Limits of what is read. They are far above what any published model needs.
const (
	maxVersion     = 3
	maxKeys        = 1 << 14
	maxTensors     = 1 << 16
	maxKeyBytes    = 1<<16 - 1 // of the format
	maxStringBytes = 16 << 20
	maxArrayLen    = 1 << 22 // vocabularies have 2^18
	maxHeaderBytes = 512 << 20
	maxNameBytes   = 63 // GGML_MAX_NAME less its end
	maxDims        = 4  // GGML_MAX_DIMS
	maxAlignment   = 1 << 16
	defaultAlign   = 32
)

// Type is how a tensor's numbers are stored.
type Type uint32

// Tensor types that files may hold, by their number in the format.
const (
	F32     Type = 0
	F16     Type = 1
	Q4_0    Type = 2
	Q4_1    Type = 3
	Q5_0    Type = 6
	Q5_1    Type = 7
	Q8_0    Type = 8
	Q2_K    Type = 10
	Q3_K    Type = 11
	Q4_K    Type = 12
	Q5_K    Type = 13
	Q6_K    Type = 14
	IQ2_XXS Type = 16
	IQ2_XS  Type = 17
	IQ3_XXS Type = 18
	IQ1_S   Type = 19
	IQ4_NL  Type = 20
	IQ3_S   Type = 21
	IQ2_S   Type = 22
	IQ4_XS  Type = 23
	I8      Type = 24
	I16     Type = 25
	I32     Type = 26
	I64     Type = 27
	F64     Type = 28
	IQ1_M   Type = 29
	BF16    Type = 30
	TQ1_0   Type = 34
	TQ2_0   Type = 35
	MXFP4   Type = 39
)

// block is the unit a type is stored in.
type block struct {
	name     string
	elements uint64
	bytes    uint64
}

// blocks follows the structs of ggml-common.h. Types that were taken out of the
// format, or that only live in memory (q8_1, q8_K), are not in it.
var blocks = map[Type]block{
	F32: {"f32", 1, 4}, F16: {"f16", 1, 2}, BF16: {"bf16", 1, 2}, F64: {"f64", 1, 8},
	I8: {"i8", 1, 1}, I16: {"i16", 1, 2}, I32: {"i32", 1, 4}, I64: {"i64", 1, 8},
	Q4_0: {"q4_0", 32, 18}, Q4_1: {"q4_1", 32, 20},
	Q5_0: {"q5_0", 32, 22}, Q5_1: {"q5_1", 32, 24}, Q8_0: {"q8_0", 32, 34},
	Q2_K: {"q2_K", 256, 84}, Q3_K: {"q3_K", 256, 110}, Q4_K: {"q4_K", 256, 144},
	Q5_K: {"q5_K", 256, 176}, Q6_K: {"q6_K", 256, 210},
	IQ2_XXS: {"iq2_xxs", 256, 66}, IQ2_XS: {"iq2_xs", 256, 74}, IQ2_S: {"iq2_s", 256, 82},
	IQ3_XXS: {"iq3_xxs", 256, 98}, IQ3_S: {"iq3_s", 256, 110},
	IQ1_S: {"iq1_s", 256, 50}, IQ1_M: {"iq1_m", 256, 56},
	IQ4_NL: {"iq4_nl", 32, 18}, IQ4_XS: {"iq4_xs", 256, 136},
	TQ1_0: {"tq1_0", 256, 54}, TQ2_0: {"tq2_0", 256, 66}, MXFP4: {"mxfp4", 32, 17},
}

// Known reports whether files may hold the type.
func (t Type) Known() bool { return blocks[t].bytes != 0 }

// BlockElements is the number of values stored together; rows are whole blocks.
// It is 0 for an unknown type.
func (t Type) BlockElements() uint64 { return blocks[t].elements }

// BlockBytes is the size of one block in bytes, 0 for an unknown type.
func (t Type) BlockBytes() uint64 { return blocks[t].bytes }

// String is the type's name as llama.cpp prints it.
func (t Type) String() string {
	if b, ok := blocks[t]; ok {
		return b.name
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// Bytes is the size of n values of a type in bytes. n must be whole blocks.
func (t Type) Bytes(n uint64) uint64 {
	b := blocks[t]
	if b.elements == 0 {
		return 0
	}
	return n / b.elements * b.bytes
}

// Tensor describes one tensor of a file.
type Tensor struct {
	Name   string
	Type   Type
	Dims   []uint64 // 1 to 4 of them, the first is the length of a row
	Offset int64    // bytes from the start of the file
}

// Elements is the number of values.
func (t Tensor) Elements() uint64 {
	n := uint64(1)
	for _, d := range t.Dims {
		n *= d
	}
	return n
}

// Bytes is the size of the tensor's data.
func (t Tensor) Bytes() uint64 { return t.Type.Bytes(t.Elements()) }

// Rows is the number of rows, which is Elements over the first dimension.
func (t Tensor) Rows() uint64 { return t.Elements() / t.Dims[0] }

// check refuses what cannot be stored or would overflow in C.
func (t Tensor) check() error {
	switch {
	case t.Name == "" || len(t.Name) > maxNameBytes:
		return fmt.Errorf("%w: tensor name of %d bytes, want 1 to %d", ErrMalformed, len(t.Name), maxNameBytes)
	case !printable(t.Name):
		return fmt.Errorf("%w: tensor name %q has unprintable characters", ErrMalformed, t.Name)
	case len(t.Dims) < 1 || len(t.Dims) > maxDims:
		return fmt.Errorf("%w: tensor %s has %d dimensions, want 1 to %d", ErrMalformed, t.Name, len(t.Dims), maxDims)
	case !t.Type.Known():
		return fmt.Errorf("%w: tensor %s is of unknown %v", ErrMalformed, t.Name, t.Type)
	}
	n := uint64(1)
	for _, d := range t.Dims {
		if d == 0 || d > 1<<40 || n > (1<<48)/d {
			return fmt.Errorf("%w: tensor %s has impossible dimensions %v", ErrMalformed, t.Name, t.Dims)
		}
		n *= d
	}
	if e := t.Type.BlockElements(); t.Dims[0]%e != 0 {
		return fmt.Errorf("%w: tensor %s has rows of %d values, but %v stores blocks of %d",
			ErrMalformed, t.Name, t.Dims[0], t.Type, e)
	}
	return nil
}

func printable(s string) bool {
	for _, r := range s {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return false
		}
	}
	return true
}

// pad is n rounded up to a multiple of align.
func pad(n, align uint64) uint64 { return (n + align - 1) / align * align }
