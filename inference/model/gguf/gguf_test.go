package gguf_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lineside/inference/model/gguf"
	"lineside/inference/model/modeltest"
)

// small is a layout with every kind of value and two tensors.
func small() *gguf.Layout {
	var l gguf.Layout
	l.Set("general.architecture", "llama")
	l.Set("a.bool", true)
	l.Set("a.u8", uint8(7))
	l.Set("a.i8", int8(-7))
	l.Set("a.u16", uint16(700))
	l.Set("a.i16", int16(-700))
	l.Set("a.u32", uint32(70000))
	l.Set("a.i32", int32(-70000))
	l.Set("a.u64", uint64(1)<<40)
	l.Set("a.i64", int64(-1)<<40)
	l.Set("a.f32", float32(0.5))
	l.Set("a.f64", 0.25)
	l.Set("words", []string{"one", "", "drei"})
	l.Set("ints", []int32{3, 2, 1})
	l.Set("floats", []float32{-1, 0.5})
	l.Add("w", gguf.Q4_0, 64, 3)
	l.Add("b", gguf.F32, 5)
	return &l
}

func encode(t testing.TB, l *gguf.Layout) []byte {
	t.Helper()
	var b bytes.Buffer
	n, err := l.WriteTo(&b, func(t gguf.Tensor, w io.Writer) error {
		_, err := w.Write(bytes.Repeat([]byte{t.Name[0]}, int(t.Bytes())))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if want, err := l.Bytes(); err != nil || n != want || int(n) != b.Len() {
		t.Fatalf("wrote %d, Bytes says %d, buffer has %d (%v)", n, want, b.Len(), err)
	}
	return b.Bytes()
}

func read(b []byte) (*gguf.Header, error) { return gguf.Read(bytes.NewReader(b), int64(len(b))) }

func TestWrittenIsRead(t *testing.T) {
	h, err := read(encode(t, small()))
	if err != nil {
		t.Fatal(err)
	}
	scalars := map[string]any{}
	for _, k := range h.Keys {
		if v, ok := h.Value(k); ok && v.Kind != gguf.Array {
			scalars[k] = v.Scalar()
		}
	}
	want := map[string]any{
		"general.architecture": "llama", "a.bool": true,
		"a.u8": uint64(7), "a.u16": uint64(700), "a.u32": uint64(70000), "a.u64": uint64(1) << 40,
		"a.i8": int64(-7), "a.i16": int64(-700), "a.i32": int64(-70000), "a.i64": int64(-1) << 40,
		"a.f32": 0.5, "a.f64": 0.25,
	}
	if d := cmp.Diff(want, scalars); d != "" {
		t.Error(d)
	}
	if words, err := h.Strings("words"); err != nil || strings.Join(words, "|") != "one||drei" {
		t.Errorf("words %q, %v", words, err)
	}
	if ints, err := h.Uints("ints"); err != nil || !cmp.Equal(ints, []uint64{3, 2, 1}) {
		t.Errorf("ints %v, %v", ints, err)
	}
	if fs, err := h.Floats("floats"); err != nil || !cmp.Equal(fs, []float64{-1, 0.5}) {
		t.Errorf("floats %v, %v", fs, err)
	}
	for _, name := range []string{"w", "b"} {
		x, ok := h.Tensor(name)
		if !ok {
			t.Fatalf("no tensor %s", name)
		}
		data, err := io.ReadAll(h.Data(x))
		if err != nil || uint64(len(data)) != x.Bytes() || data[0] != name[0] || data[len(data)-1] != name[0] {
			t.Errorf("data of %s: %d bytes, %v", name, len(data), err)
		}
		if x.Offset%32 != 0 {
			t.Errorf("%s at %d is not aligned", name, x.Offset)
		}
	}
	if h.TensorBytes() != 6*18+5*4 {
		t.Errorf("tensor bytes %d", h.TensorBytes())
	}
}

func TestWrongKindOfValue(t *testing.T) {
	h, err := read(encode(t, small()))
	if err != nil {
		t.Fatal(err)
	}
	_, e1 := h.Text("a.u8")
	_, e2 := h.Uint("a.i8") // negative
	_, e3 := h.Strings("ints")
	_, e4 := h.Uints("words")
	_, e5 := h.Bool("absent")
	_, e6 := h.Float("a.u8")
	_, e7 := h.Floats("ints")
	for i, err := range []error{e1, e2, e3, e4, e5, e6, e7} {
		if !errors.Is(err, gguf.ErrNoKey) {
			t.Errorf("case %d: %v", i+1, err)
		}
	}
}

// TestEveryTruncation cuts a good file after each byte of what is needed.
func TestEveryTruncation(t *testing.T) {
	b := encode(t, small())
	h, err := read(b)
	if err != nil {
		t.Fatal(err)
	}
	last := h.Tensors[len(h.Tensors)-1]
	need := int(last.Offset) + int(last.Bytes())
	for n := range need {
		_, err := read(b[:n])
		switch {
		case n < 4 && !errors.Is(err, gguf.ErrNotGGUF), n >= 4 && !errors.Is(err, gguf.ErrTruncated):
			t.Fatalf("cut after %d of %d bytes: %v", n, need, err)
		}
	}
	if _, err := read(b[:need]); err != nil {
		t.Errorf("padding after the last tensor is not needed: %v", err)
	}
}

// raw builds hostile headers by hand.
type raw []byte

func header(version uint32, tensors, keys uint64) raw {
	b := binary.LittleEndian.AppendUint32(raw("GGUF"), version)
	return raw(b).u64(tensors).u64(keys)
}
func (b raw) u32(v uint32) raw  { return binary.LittleEndian.AppendUint32(b, v) }
func (b raw) u64(v uint64) raw  { return binary.LittleEndian.AppendUint64(b, v) }
func (b raw) text(s string) raw { return append(b.u64(uint64(len(s))), s...) }
func (b raw) zeros(n int) raw   { return append(b, make([]byte, n)...) }
func (b raw) key(k string) raw  { return b.text(k) }
func (b raw) tensor(name string, typ uint32, offset uint64, dims ...uint64) raw {
	b = b.text(name).u32(uint32(len(dims)))
	for _, d := range dims {
		b = b.u64(d)
	}
	return b.u32(typ).u64(offset)
}

func TestHostileHeaders(t *testing.T) {
	long := strings.Repeat("n", 64)
	tests := []struct {
		name string
		file raw
		want error
		says string
	}{
		{"empty", raw{}, gguf.ErrNotGGUF, "empty"},
		{"zeros", raw{}.zeros(64), gguf.ErrNotGGUF, `\x00`},
		{"a zip", raw("PK\x03\x04 and so on"), gguf.ErrNotGGUF, "PK"},
		{"version 1", header(1, 0, 0), gguf.ErrVersion, "version 1"},
		{"version 4", header(4, 0, 0), gguf.ErrVersion, "version 4"},
		{"big-endian", header(3<<24, 0, 0), gguf.ErrVersion, "big-endian"},
		{"2^63 tensors", header(3, 1<<63, 0), gguf.ErrMalformed, "tensors"},
		{"more tensors than bytes", header(3, 60000, 0).zeros(99), gguf.ErrTruncated, "tensors"},
		{"2^64-1 keys", header(3, 0, 1<<64-1), gguf.ErrMalformed, "keys"},
		{"more keys than bytes", header(3, 0, 16000).zeros(99), gguf.ErrTruncated, "keys"},
		{"key of 2^63 bytes", header(3, 0, 1).u64(1 << 63).zeros(32), gguf.ErrMalformed, "key 0"},
		{"key longer than the file", header(3, 0, 1).u64(60000).zeros(32), gguf.ErrTruncated, "key 0"},
		{"empty key", header(3, 0, 1).key("").u32(4).u32(1).zeros(32), gguf.ErrMalformed, "key"},
		{"key with control bytes", header(3, 0, 1).key("a\x1b[2J").u32(4).u32(1), gguf.ErrMalformed, `\x1b`},
		{"key twice", header(3, 0, 2).key("k").u32(4).u32(1).key("k").u32(4).u32(1), gguf.ErrMalformed, "twice"},
		{"kind 99", header(3, 0, 1).key("k").u32(99).zeros(32), gguf.ErrMalformed, "kind 99"},
		{"string of 2^40 bytes", header(3, 0, 1).key("k").u32(8).u64(1 << 40).zeros(32), gguf.ErrMalformed, "value of k"},
		{"array of arrays", header(3, 0, 1).key("k").u32(9).u32(9).u64(1).zeros(32), gguf.ErrMalformed, "array"},
		{"array of 2^61 u64", header(3, 0, 1).key("k").u32(9).u32(10).u64(1 << 61).zeros(32), gguf.ErrMalformed, "elements"},
		{"array past the end", header(3, 0, 1).key("k").u32(9).u32(10).u64(5).zeros(32), gguf.ErrTruncated, "elements"},
		{"strings past the end", header(3, 0, 1).key("k").u32(9).u32(8).u64(2).u64(4).zeros(8), gguf.ErrTruncated, "element"},
		{"alignment 0", header(3, 0, 1).key("general.alignment").u32(4).u32(0), gguf.ErrMalformed, "alignment"},
		{"alignment 24", header(3, 0, 1).key("general.alignment").u32(4).u32(24), gguf.ErrMalformed, "alignment"},
		{"alignment 2^31", header(3, 0, 1).key("general.alignment").u32(4).u32(1 << 31), gguf.ErrMalformed, "alignment"},
		{"alignment as text", header(3, 0, 1).key("general.alignment").u32(8).text("32"), gguf.ErrMalformed, "alignment"},
		{"no dimensions", header(3, 1, 0).tensor("t", 0, 0), gguf.ErrMalformed, "dimensions"},
		{"5 dimensions", header(3, 1, 0).tensor("t", 0, 0, 1, 1, 1, 1, 1), gguf.ErrMalformed, "dimensions"},
		{"2^32-1 dimensions", header(3, 1, 0).text("t").u32(1<<32 - 1).zeros(99), gguf.ErrMalformed, "dimensions"},
		{"a dimension of 0", header(3, 1, 0).tensor("t", 0, 0, 4, 0), gguf.ErrMalformed, "impossible"},
		{"dimensions that overflow", header(3, 1, 0).tensor("t", 0, 0, 1<<32, 1<<32), gguf.ErrMalformed, "impossible"},
		{"a negative dimension", header(3, 1, 0).tensor("t", 0, 0, 1<<63), gguf.ErrMalformed, "impossible"},
		{"removed type 4", header(3, 1, 0).tensor("t", 4, 0, 32), gguf.ErrMalformed, "type 4"},
		{"type 2^32-1", header(3, 1, 0).tensor("t", 1<<32-1, 0, 32), gguf.ErrMalformed, "unknown type"},
		{"half a block", header(3, 1, 0).tensor("t", 2, 0, 48), gguf.ErrMalformed, "blocks of 32"},
		{"name of 64 bytes", header(3, 1, 0).tensor(long, 0, 0, 1).zeros(64), gguf.ErrMalformed, "64 bytes"},
		{"name with NUL", header(3, 1, 0).tensor("a\x00b", 0, 0, 1).zeros(64), gguf.ErrMalformed, "unprintable"},
		{"tensor twice", header(3, 2, 0).tensor("t", 0, 0, 1).tensor("t", 0, 32, 1).zeros(99), gguf.ErrMalformed, "twice"},
		{"tensor past the end", header(3, 1, 0).tensor("t", 0, 0, 1<<20).zeros(99), gguf.ErrTruncated, "needs 4194304"},
		{"offset far away", header(3, 1, 0).tensor("t", 0, 1<<63, 1).zeros(99), gguf.ErrMalformed, "begins at"},
		{"overlap", header(3, 2, 0).tensor("a", 0, 0, 16).tensor("b", 0, 32, 16).zeros(999), gguf.ErrMalformed, "begins at 32"},
		{"gap", header(3, 2, 0).tensor("a", 0, 0, 8).tensor("b", 0, 64, 8).zeros(999), gguf.ErrMalformed, "begins at 64"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := read(tt.file)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("%v, want %q with %q", err, tt.want, tt.says)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %v", err)
			}
		})
	}
}

func TestOpenRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	if err := gguf.Check(dir); !errors.Is(err, gguf.ErrNotGGUF) || !strings.Contains(err.Error(), "directory") {
		t.Errorf("a directory: %v", err)
	}
	if err := gguf.Check(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) || strings.Contains(err.Error(), "open") {
		t.Errorf("a missing file: %v", err)
	}
	good := filepath.Join(dir, "good.gguf")
	if err := os.WriteFile(good, encode(t, small()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := gguf.Check(good); err != nil {
		t.Error(err)
	}
}

func TestWriterRefuses(t *testing.T) {
	fill := func(gguf.Tensor, io.Writer) error { return nil }
	var short, kind, rows, twice gguf.Layout
	short.Add("t", gguf.F32, 4)
	kind.Set("k", struct{}{})
	rows.Add("t", gguf.Q4_K, 128)
	twice.Add("t", gguf.F32, 1)
	twice.Add("t", gguf.F32, 1)
	for name, l := range map[string]*gguf.Layout{"0 bytes": &short, "struct": &kind, "blocks of 256": &rows, "twice": &twice} {
		if _, err := l.WriteTo(io.Discard, fill); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPublishedVocabularies reads headers that llama.cpp's own tools wrote.
func TestPublishedVocabularies(t *testing.T) {
	for file, tokens := range map[string]int{"llama3-bpe-vocab.gguf": 128256, "llama2-spm-vocab.gguf": 32000} {
		f, err := gguf.Open(modeltest.Shared(t, "data", file))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		list, err := f.Strings("tokenizer.ggml.tokens")
		if err != nil || len(list) != tokens || f.Architecture() != "llama" {
			t.Errorf("%s: %d tokens, architecture %q, %v", file, len(list), f.Architecture(), err)
		}
	}
}

// FuzzRead holds the reader to its word: no panic, and whatever passes lies
// within the file, in order, without overlap.
func FuzzRead(f *testing.F) {
	f.Add(encode(f, small()))
	f.Add([]byte(header(3, 1, 0).tensor("t", 0, 0, 1).zeros(64)))
	f.Add([]byte(header(2, 0, 1).key("general.alignment").u32(4).u32(64)))
	f.Add([]byte(header(3, 0, 1).key("k").u32(9).u32(8).u64(2).u64(4).zeros(64)))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := read(b)
		if err != nil {
			for _, s := range []error{gguf.ErrNotGGUF, gguf.ErrVersion, gguf.ErrTruncated, gguf.ErrMalformed} {
				if errors.Is(err, s) {
					return
				}
			}
			t.Fatalf("an error of no kind: %v", err)
		}
		end := h.DataOffset
		for _, x := range h.Tensors {
			if x.Offset < end || x.Offset+int64(x.Bytes()) > int64(len(b)) {
				t.Fatalf("tensor %+v lies outside [%d, %d)", x, end, len(b))
			}
			end = x.Offset + int64(x.Bytes())
		}
		for _, k := range h.Keys {
			h.Strings(k)
			h.Uints(k)
			h.Floats(k)
		}
	})
}
