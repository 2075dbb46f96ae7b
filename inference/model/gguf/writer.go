package gguf

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// Layout is a file to be written: its metadata and its tensors, in order.
// The zero value is an empty file.
type Layout struct {
	keys    []string
	values  map[string]any
	tensors []Tensor
}

// Set gives a metadata key its value: bool, string, (u)int8 to (u)int64,
// float32, float64 or a slice of one of them. Setting a key again replaces it.
// A value of any other type makes WriteTo fail.
func (l *Layout) Set(key string, value any) {
	if l.values == nil {
		l.values = map[string]any{}
	}
	if _, ok := l.values[key]; !ok {
		l.keys = append(l.keys, key)
	}
	l.values[key] = value
}

// Add appends a tensor; dims begin with the length of a row.
func (l *Layout) Add(name string, t Type, dims ...uint64) {
	l.tensors = append(l.tensors, Tensor{Name: name, Type: t, Dims: dims})
}

// Tensors are the tensors added so far; their offsets are not set.
func (l *Layout) Tensors() []Tensor { return l.tensors }

// Bytes is the size of the file that WriteTo would write.
func (l *Layout) Bytes() (int64, error) {
	head, err := l.header()
	if err != nil {
		return 0, err
	}
	n := pad(uint64(len(head)), defaultAlign)
	for _, t := range l.tensors {
		n += pad(t.Bytes(), defaultAlign)
	}
	return int64(n), nil
}

// WriteTo writes the file. For each tensor, in order, fill writes exactly
// Tensor.Bytes bytes to w; the layout aligns them.
func (l *Layout) WriteTo(w io.Writer, fill func(t Tensor, w io.Writer) error) (int64, error) {
	head, err := l.header()
	if err != nil {
		return 0, err
	}
	out := &counter{w: bufio.NewWriterSize(w, 1<<20)}
	if _, err := out.Write(head); err != nil {
		return out.n, err
	}
	if err := out.pad(); err != nil {
		return out.n, err
	}
	for _, t := range l.tensors {
		start := out.n
		if err := fill(t, out); err != nil {
			return out.n, fmt.Errorf("tensor %s: %w", t.Name, err)
		}
		if got := uint64(out.n - start); got != t.Bytes() {
			return out.n, fmt.Errorf("tensor %s: %d bytes were written, it has %d", t.Name, got, t.Bytes())
		}
		if err := out.pad(); err != nil {
			return out.n, err
		}
	}
	return out.n, out.w.Flush()
}

func (l *Layout) header() ([]byte, error) {
	le := binary.LittleEndian
	b := []byte("GGUF")
	b = le.AppendUint32(b, maxVersion)
	b = le.AppendUint64(b, uint64(len(l.tensors)))
	b = le.AppendUint64(b, uint64(len(l.keys)))
	for _, k := range l.keys {
		b = appendText(b, k)
		var err error
		if b, err = appendValue(b, l.values[k]); err != nil {
			return nil, fmt.Errorf("metadata key %s: %w", k, err)
		}
	}
	seen := map[string]bool{}
	var at uint64
	for _, t := range l.tensors {
		if err := t.check(); err != nil {
			return nil, err
		}
		if seen[t.Name] {
			return nil, fmt.Errorf("%w: tensor %s twice", ErrMalformed, t.Name)
		}
		seen[t.Name] = true
		b = appendText(b, t.Name)
		b = le.AppendUint32(b, uint32(len(t.Dims)))
		for _, d := range t.Dims {
			b = le.AppendUint64(b, d)
		}
		b = le.AppendUint32(b, uint32(t.Type))
		b = le.AppendUint64(b, at)
		at = pad(at+t.Bytes(), defaultAlign)
	}
	return b, nil
}

func appendText(b []byte, s string) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(len(s)))
	return append(b, s...)
}

// appendValue writes a value with its kind before it.
func appendValue(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case string:
		return appendText(appendKind(b, String), v), nil
	case []string:
		b = appendArray(b, String, len(v))
		for _, s := range v {
			b = appendText(b, s)
		}
		return b, nil
	case bool:
		return binary.Append(appendKind(b, Bool), binary.LittleEndian, v)
	case []bool:
		return binary.Append(appendArray(b, Bool, len(v)), binary.LittleEndian, v)
	case uint8:
		return append(appendKind(b, Uint8), v), nil
	case []uint8:
		return append(appendArray(b, Uint8, len(v)), v...), nil
	case int8:
		return append(appendKind(b, Int8), byte(v)), nil
	case uint16:
		return binary.Append(appendKind(b, Uint16), binary.LittleEndian, v)
	case int16:
		return binary.Append(appendKind(b, Int16), binary.LittleEndian, v)
	case uint32:
		return binary.Append(appendKind(b, Uint32), binary.LittleEndian, v)
	case []uint32:
		return binary.Append(appendArray(b, Uint32, len(v)), binary.LittleEndian, v)
	case int32:
		return binary.Append(appendKind(b, Int32), binary.LittleEndian, v)
	case []int32:
		return binary.Append(appendArray(b, Int32, len(v)), binary.LittleEndian, v)
	case uint64:
		return binary.Append(appendKind(b, Uint64), binary.LittleEndian, v)
	case int64:
		return binary.Append(appendKind(b, Int64), binary.LittleEndian, v)
	case float32:
		return binary.Append(appendKind(b, Float32), binary.LittleEndian, v)
	case []float32:
		return binary.Append(appendArray(b, Float32, len(v)), binary.LittleEndian, v)
	case float64:
		return binary.Append(appendKind(b, Float64), binary.LittleEndian, v)
	}
	return nil, fmt.Errorf("a %T cannot be stored", v)
}

func appendKind(b []byte, k Kind) []byte {
	return binary.LittleEndian.AppendUint32(b, uint32(k))
}

func appendArray(b []byte, elem Kind, n int) []byte {
	return binary.LittleEndian.AppendUint64(appendKind(appendKind(b, Array), elem), uint64(n))
}

// counter counts what passes and can fill up to the alignment.
type counter struct {
	w *bufio.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

func (c *counter) pad() error {
	_, err := c.Write(make([]byte, pad(uint64(c.n), defaultAlign)-uint64(c.n)))
	return err
}
