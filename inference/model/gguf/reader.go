package gguf

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Header is everything of a file but its tensors' data.
type Header struct {
	Version    uint32
	Alignment  uint64
	Keys       []string // metadata keys in the file's order
	Tensors    []Tensor // in the file's order
	DataOffset int64    // where the first tensor's data begins
	Size       int64    // bytes of the whole file

	values map[string]Value
	byName map[string]int
	file   io.ReaderAt
}

// File is a header whose file is still open, for arrays and tensor data.
type File struct {
	*Header
	f *os.File
}

// Close closes the file. Arrays and data cannot be read afterwards.
func (f *File) Close() error { return f.f.Close() }

// Open reads and checks the header of the file at path.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, plain(err)
	}
	h, err := readFile(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &File{Header: h, f: f}, nil
}

// Check opens path, checks its header and closes it again: the guard to call
// before C sees a file.
func Check(path string) error {
	f, err := Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

func readFile(f *os.File) (*Header, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	switch {
	case st.IsDir():
		return nil, fmt.Errorf("%w: a directory", ErrNotGGUF)
	case !st.Mode().IsRegular():
		return nil, fmt.Errorf("%w: not a regular file", ErrNotGGUF)
	}
	return Read(f, st.Size())
}

// plain shortens "open x: no such file or directory" to "x: no such file …".
func plain(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return fmt.Errorf("%s: %w", pe.Path, pe.Err)
	}
	return err
}

// Read reads and checks a header from size bytes at r, which it keeps for
// later reads of arrays and data.
func Read(r io.ReaderAt, size int64) (*Header, error) {
	limit := min(size, maxHeaderBytes)
	c := &cursor{r: bufio.NewReaderSize(io.NewSectionReader(r, 0, limit), 1<<16), left: limit, whole: limit == size}
	h := &Header{Size: size, Alignment: defaultAlign, file: r}
	if size == 0 {
		return nil, fmt.Errorf("%w: the file is empty", ErrNotGGUF)
	}
	magic, err := c.take(4, "magic")
	if err != nil || string(magic) != "GGUF" {
		return nil, fmt.Errorf("%w: it begins with %q", ErrNotGGUF, magic)
	}
	if h.Version, err = c.version(); err != nil {
		return nil, err
	}
	tensors, err := c.count(maxTensors, 25, "tensors")
	if err != nil {
		return nil, err
	}
	keys, err := c.count(maxKeys, 13, "metadata keys")
	if err != nil {
		return nil, err
	}
	if err := h.readMetadata(c, keys); err != nil {
		return nil, err
	}
	if err := h.readTensors(c, tensors); err != nil {
		return nil, err
	}
	return h, h.place(c.pos)
}

func (h *Header) readMetadata(c *cursor, n uint64) error {
	h.values = make(map[string]Value, min(n, 256))
	for i := range n {
		key, err := c.text(maxKeyBytes, fmt.Sprintf("key %d", i))
		if err != nil {
			return err
		}
		if key == "" || !printable(key) {
			return fmt.Errorf("%w: metadata key %q", ErrMalformed, key)
		}
		if _, twice := h.values[key]; twice {
			return fmt.Errorf("%w: metadata key %s twice", ErrMalformed, key)
		}
		v, err := c.value(key)
		if err != nil {
			return err
		}
		h.values[key] = v
		h.Keys = append(h.Keys, key)
	}
	v, ok := h.values["general.alignment"]
	if !ok {
		return nil
	}
	a, _ := v.scalar.(uint64)
	if v.Kind != Uint32 || a < 8 || a > maxAlignment || a&(a-1) != 0 {
		return fmt.Errorf("%w: general.alignment is %v, want a power of two from 8 to %d", ErrMalformed, v, maxAlignment)
	}
	h.Alignment = a
	return nil
}

func (h *Header) readTensors(c *cursor, n uint64) error {
	h.byName = make(map[string]int, min(n, 1024))
	for i := range n {
		t, err := c.tensor(i)
		if err != nil {
			return err
		}
		if _, twice := h.byName[t.Name]; twice {
			return fmt.Errorf("%w: tensor %s twice", ErrMalformed, t.Name)
		}
		h.byName[t.Name] = int(i)
		h.Tensors = append(h.Tensors, t)
	}
	return nil
}

// place turns offsets into places of the file. Like llama.cpp it wants each
// tensor to begin where the one before it ends, so none can overlap.
func (h *Header) place(end int64) error {
	h.DataOffset = int64(pad(uint64(end), h.Alignment))
	var next uint64
	for i := range h.Tensors {
		t := &h.Tensors[i]
		if uint64(t.Offset) != next {
			return fmt.Errorf("%w: tensor %s begins at %d of the data, but the tensors before it end at %d",
				ErrMalformed, t.Name, uint64(t.Offset), next)
		}
		t.Offset = h.DataOffset + int64(next)
		need := uint64(t.Offset) + t.Bytes() // below 2^53: both are bounded
		if need > uint64(h.Size) {
			return fmt.Errorf("%w: tensor %s needs %d bytes up to %d, but the file has %d",
				ErrTruncated, t.Name, t.Bytes(), need, h.Size)
		}
		next = pad(next+t.Bytes(), h.Alignment)
	}
	return nil
}

// Value is the metadata value of a key.
func (h *Header) Value(key string) (Value, bool) {
	v, ok := h.values[key]
	return v, ok
}

// Tensor is the tensor of a name.
func (h *Header) Tensor(name string) (Tensor, bool) {
	i, ok := h.byName[name]
	if !ok {
		return Tensor{}, false
	}
	return h.Tensors[i], true
}

// Data reads one tensor's stored bytes.
func (h *Header) Data(t Tensor) *io.SectionReader {
	return io.NewSectionReader(h.file, t.Offset, int64(t.Bytes()))
}

// TensorBytes is the sum of all tensors' data.
func (h *Header) TensorBytes() uint64 {
	var n uint64
	for _, t := range h.Tensors {
		n += t.Bytes()
	}
	return n
}

// Architecture is general.architecture, empty where the file names none.
func (h *Header) Architecture() string {
	s, _ := h.values["general.architecture"].scalar.(string)
	return s
}

// cursor reads a header forwards and knows how many bytes are left.
type cursor struct {
	r     *bufio.Reader
	pos   int64
	left  int64
	whole bool // left ends with the file, not with the limit for headers
	buf   [8]byte
}

func (c *cursor) short(what string) error {
	if !c.whole {
		return fmt.Errorf("%w: header above %d bytes (at %s)", ErrMalformed, maxHeaderBytes, what)
	}
	return fmt.Errorf("%w: the file ends within its header (at %s)", ErrTruncated, what)
}

// take reads the next n bytes.
func (c *cursor) take(n int64, what string) ([]byte, error) {
	b := c.buf[:]
	if n > int64(len(b)) {
		if n > c.left {
			return nil, c.short(what)
		}
		b = make([]byte, n)
	}
	got, err := io.ReadFull(c.r, b[:n])
	c.pos += int64(got)
	c.left -= int64(got)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return b[:got], c.short(what)
	}
	return b[:got], err
}

func (c *cursor) skip(n int64, what string) error {
	if n > c.left {
		return c.short(what)
	}
	got, err := io.CopyN(io.Discard, c.r, n)
	c.pos += got
	c.left -= got
	if errors.Is(err, io.EOF) {
		return c.short(what)
	}
	return err
}

func (c *cursor) u32(what string) (uint32, error) {
	b, err := c.take(4, what)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b), nil
}

func (c *cursor) u64(what string) (uint64, error) {
	b, err := c.take(8, what)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

func (c *cursor) version() (uint32, error) {
	v, err := c.u32("version")
	switch {
	case err != nil:
		return 0, err
	case v&0xffff == 0:
		return 0, fmt.Errorf("%w: the file is big-endian: convert it for little-endian machines", ErrVersion)
	case v < 2 || v > maxVersion:
		return 0, fmt.Errorf("%w: version %d, want 2 or %d", ErrVersion, v, maxVersion)
	}
	return v, nil
}

// count reads a number of things that take at least size bytes each.
func (c *cursor) count(limit uint64, size int64, what string) (uint64, error) {
	n, err := c.u64("number of " + what)
	switch {
	case err != nil:
		return 0, err
	case n > limit:
		return 0, fmt.Errorf("%w: %d %s, limit is %d", ErrMalformed, n, what, limit)
	case int64(n) > c.left/size:
		return 0, fmt.Errorf("%w: %d %s do not fit the file's %d bytes", ErrTruncated, n, what, c.left)
	}
	return n, nil
}

// text reads a string of at most limit bytes.
func (c *cursor) text(limit uint64, what string) (string, error) {
	n, err := c.length(limit, what)
	if err != nil {
		return "", err
	}
	b, err := c.take(n, what)
	return string(b), err
}

func (c *cursor) length(limit uint64, what string) (int64, error) {
	n, err := c.u64("length of " + what)
	switch {
	case err != nil:
		return 0, err
	case n > limit:
		return 0, fmt.Errorf("%w: %s has %d bytes, limit is %d", ErrMalformed, what, n, limit)
	case int64(n) > c.left:
		return 0, c.short(what)
	}
	return int64(n), nil
}

func (c *cursor) value(key string) (Value, error) {
	k, err := c.u32("kind of " + key)
	if err != nil {
		return Value{}, err
	}
	v := Value{Kind: Kind(k)}
	switch {
	case v.Kind == Array:
		return c.array(key)
	case v.Kind == String:
		v.scalar, err = c.text(maxStringBytes, "value of "+key)
		return v, err
	case kinds[v.Kind].bytes == 0:
		return v, fmt.Errorf("%w: %s is of unknown %v", ErrMalformed, key, v.Kind)
	}
	b, err := c.take(kinds[v.Kind].bytes, key)
	if err != nil {
		return v, err
	}
	v.scalar = decode(v.Kind, b)
	return v, nil
}

// array walks over an array and notes where it lies.
func (c *cursor) array(key string) (Value, error) {
	k, err := c.u32("kind of " + key)
	if err != nil {
		return Value{}, err
	}
	v := Value{Kind: Array, Elem: Kind(k)}
	size := kinds[v.Elem].bytes
	if v.Elem == String {
		size = 8 // an empty string's length
	}
	if size == 0 {
		return v, fmt.Errorf("%w: %s is an array of %v", ErrMalformed, key, v.Elem)
	}
	if v.Len, err = c.count(maxArrayLen, size, "elements of "+key); err != nil {
		return v, err
	}
	v.offset = c.pos
	if v.Elem != String {
		err = c.skip(int64(v.Len)*size, key)
	}
	for i := uint64(0); v.Elem == String && i < v.Len && err == nil; i++ {
		var n int64
		if n, err = c.length(maxStringBytes, "an element of "+key); err == nil {
			err = c.skip(n, key)
		}
	}
	v.bytes = c.pos - v.offset
	return v, err
}

func (c *cursor) tensor(i uint64) (Tensor, error) {
	name, err := c.text(maxNameBytes, fmt.Sprintf("name of tensor %d", i))
	if err != nil {
		return Tensor{}, err
	}
	t := Tensor{Name: name}
	n, err := c.u32("dimensions of " + name)
	if err != nil {
		return t, err
	}
	for range min(n, maxDims+1) { // one too many is enough for check to refuse
		d, err := c.u64("dimensions of " + name)
		if err != nil {
			return t, err
		}
		t.Dims = append(t.Dims, d)
	}
	kind, err := c.u32("type of " + name)
	if err != nil {
		return t, err
	}
	t.Type = Type(kind)
	if err := t.check(); err != nil {
		return t, err
	}
	at, err := c.u64("offset of " + name)
	t.Offset = int64(at)
	return t, err
}
