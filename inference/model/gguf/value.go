package gguf

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// Kind is the type of a metadata value.
type Kind uint32

// Kinds by their number in the format.
const (
	Uint8   Kind = 0
	Int8    Kind = 1
	Uint16  Kind = 2
	Int16   Kind = 3
	Uint32  Kind = 4
	Int32   Kind = 5
	Float32 Kind = 6
	Bool    Kind = 7
	String  Kind = 8
	Array   Kind = 9
	Uint64  Kind = 10
	Int64   Kind = 11
	Float64 Kind = 12
)

var kinds = map[Kind]struct {
	name  string
	bytes int64 // 0: not fixed
}{
	Uint8: {"uint8", 1}, Int8: {"int8", 1}, Uint16: {"uint16", 2}, Int16: {"int16", 2},
	Uint32: {"uint32", 4}, Int32: {"int32", 4}, Uint64: {"uint64", 8}, Int64: {"int64", 8},
	Float32: {"float32", 4}, Float64: {"float64", 8}, Bool: {"bool", 1},
	String: {"string", 0}, Array: {"array", 0},
}

// String is the kind's name in the format's document.
func (k Kind) String() string {
	if e, ok := kinds[k]; ok {
		return e.name
	}
	return fmt.Sprintf("kind %d", uint32(k))
}

// Value is one metadata value. Arrays stay in the file until they are asked for.
type Value struct {
	Kind   Kind
	Elem   Kind   // of an Array
	Len    uint64 // of an Array: elements
	scalar any    // string, bool, uint64, int64 or float64
	offset int64  // of an Array: its first element in the file
	bytes  int64  // of an Array: its length in the file
}

// Scalar is the value as string, bool, uint64, int64 or float64; nil for an array.
func (v Value) Scalar() any { return v.scalar }

// String shows a scalar as it is and an array by its kind and length.
func (v Value) String() string {
	if v.Kind == Array {
		return fmt.Sprintf("%d × %v", v.Len, v.Elem)
	}
	return fmt.Sprint(v.scalar)
}

// decode turns the little-endian bytes of a fixed-size kind into a scalar.
func decode(k Kind, b []byte) any {
	le := binary.LittleEndian
	switch k {
	case Uint8:
		return uint64(b[0])
	case Int8:
		return int64(int8(b[0]))
	case Bool:
		return b[0] != 0
	case Uint16:
		return uint64(le.Uint16(b))
	case Int16:
		return int64(int16(le.Uint16(b)))
	case Uint32:
		return uint64(le.Uint32(b))
	case Int32:
		return int64(int32(le.Uint32(b)))
	case Float32:
		return float64(math.Float32frombits(le.Uint32(b)))
	case Uint64:
		return le.Uint64(b)
	case Int64:
		return int64(le.Uint64(b))
	default: // Float64
		return math.Float64frombits(le.Uint64(b))
	}
}

// Text is a string value.
func (h *Header) Text(key string) (string, error) {
	if s, ok := h.values[key].scalar.(string); ok {
		return s, nil
	}
	return "", h.missing(key, "a string")
}

// Uint is an integer value that is not negative.
func (h *Header) Uint(key string) (uint64, error) {
	switch n := h.values[key].scalar.(type) {
	case uint64:
		return n, nil
	case int64:
		if n >= 0 {
			return uint64(n), nil
		}
	}
	return 0, h.missing(key, "a whole number")
}

// Float is a floating point value.
func (h *Header) Float(key string) (float64, error) {
	if f, ok := h.values[key].scalar.(float64); ok {
		return f, nil
	}
	return 0, h.missing(key, "a number")
}

// Bool is a truth value.
func (h *Header) Bool(key string) (bool, error) {
	if b, ok := h.values[key].scalar.(bool); ok {
		return b, nil
	}
	return false, h.missing(key, "true or false")
}

func (h *Header) missing(key, want string) error {
	if v, ok := h.values[key]; ok {
		return fmt.Errorf("%w: %s is %v, want %s", ErrNoKey, key, v.Kind, want)
	}
	return fmt.Errorf("%w: %s", ErrNoKey, key)
}

// Strings reads an array of strings from the file.
func (h *Header) Strings(key string) ([]string, error) {
	v := h.values[key]
	if v.Kind != Array || v.Elem != String {
		return nil, h.missing(key, "an array of strings")
	}
	c := &cursor{r: bufio.NewReaderSize(io.NewSectionReader(h.file, v.offset, v.bytes), 1<<16), left: v.bytes}
	list := make([]string, 0, v.Len) // Len was held against limit and file
	for range v.Len {
		s, err := c.text(maxStringBytes, "array "+key)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// Uints reads an array of integers from the file; a single integer counts as one.
func (h *Header) Uints(key string) ([]uint64, error) {
	v := h.values[key]
	if v.Kind != Array {
		n, err := h.Uint(key)
		return []uint64{n}, err
	}
	list := make([]uint64, 0, v.Len)
	err := h.each(key, func(s any) bool {
		switch n := s.(type) {
		case uint64:
			list = append(list, n)
			return true
		case int64:
			list = append(list, uint64(n))
			return n >= 0
		}
		return false
	})
	return list, err
}

// Floats reads an array of floating point numbers from the file.
func (h *Header) Floats(key string) ([]float64, error) {
	list := make([]float64, 0, h.values[key].Len)
	err := h.each(key, func(s any) bool {
		f, ok := s.(float64)
		list = append(list, f)
		return ok
	})
	return list, err
}

// each decodes an array of a fixed-size kind until take says no.
func (h *Header) each(key string, take func(any) bool) error {
	v := h.values[key]
	size := kinds[v.Elem].bytes
	if v.Kind != Array || v.Elem == String {
		return h.missing(key, "an array of numbers")
	}
	r := bufio.NewReaderSize(io.NewSectionReader(h.file, v.offset, v.bytes), 1<<16)
	b := make([]byte, size)
	for range v.Len {
		if _, err := io.ReadFull(r, b); err != nil {
			return fmt.Errorf("%w: array %s: %w", ErrTruncated, key, err)
		}
		if !take(decode(v.Elem, b)) {
			return h.missing(key, "an array of other numbers than "+v.Elem.String())
		}
	}
	return nil
}
