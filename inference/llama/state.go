//go:build cgo

package llama

// #include "shim.h"
import "C"

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"lineside/inference/engine"
)

// build names the code whose states can be read back: llama.cpp's layout of cells
// and the processor's byte order. It changes with go.mod's version of ollama.
const build = "ollama/llama v0.24.0 f16 " + runtime.GOARCH

// A saved state is stateMagic, the fingerprint of model and build, the number of
// tokens (4 bytes), the length of the data (8), the data and its CRC-32C (4).
const (
	stateMagic  = "lsstate1"
	stateHeader = len(stateMagic) + sha256.Size + 4 + 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// fingerprint tells models and builds apart.
type fingerprint [sha256.Size]byte

// fingerprintOf hashes the build, the file's size, its beginning and samples of
// its tensors: enough to tell two models apart without reading gigabytes.
func fingerprintOf(path string) (fingerprint, error) {
	const samples, length = 64, 64 << 10
	f, err := os.Open(path)
	if err != nil {
		return fingerprint{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return fingerprint{}, err
	}
	h := sha256.New()
	fmt.Fprintln(h, build, st.Size())
	for i := range int64(samples) {
		at := max(st.Size()-length, 0) / (samples - 1) * i
		if _, err := io.Copy(h, io.NewSectionReader(f, at, length)); err != nil {
			return fingerprint{}, err
		}
	}
	return fingerprint(h.Sum(nil)), nil
}

// SaveSeq implements engine.Runtime.
func (r *Runtime) SaveSeq(seq int32) ([]byte, error) {
	if err := r.sequence(seq); err != nil {
		return nil, err
	}
	tokens := int32(C.ls_last(r.s.c, C.int32_t(seq))) + 1
	size := int(C.ls_state_size(r.s.c, C.int32_t(seq)))
	if tokens == 0 || size == 0 {
		return nil, fmt.Errorf("sequence %d is empty", seq)
	}
	b := make([]byte, stateHeader+size+4)
	head := append(b[:0], stateMagic...)
	head = append(head, r.origin[:]...)
	head = binary.LittleEndian.AppendUint32(head, uint32(tokens))
	binary.LittleEndian.AppendUint64(head, uint64(size))
	if n := C.ls_state_get(r.s.c, C.int32_t(seq), (*C.uint8_t)(&b[stateHeader]), C.size_t(size)); int(n) != size {
		return nil, fmt.Errorf("state of sequence %d: %w", seq, errThrown)
	}
	body := b[:stateHeader+size]
	binary.LittleEndian.PutUint32(b[len(body):], crc32.Checksum(body, castagnoli))
	return b, nil
}

// LoadSeq implements engine.Runtime. It returns ErrState for what it did not
// write, and engine.ErrNoCells where the cache has no room.
func (r *Runtime) LoadSeq(dst int32, state []byte) (int, error) {
	if err := r.sequence(dst); err != nil {
		return 0, err
	}
	if C.ls_last(r.s.c, C.int32_t(dst)) >= 0 {
		return 0, fmt.Errorf("sequence %d is not empty", dst)
	}
	tokens, data, err := r.openState(state)
	if err != nil {
		return 0, err
	}
	var e reason
	n := C.ls_state_set(r.s.c, C.int32_t(dst), (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(data))), C.size_t(len(data)), e.ptr(), e.cap())
	if int(n) == len(data) && int(C.ls_last(r.s.c, C.int32_t(dst)))+1 == tokens {
		return tokens, nil
	}
	C.ls_remove(r.s.c, C.int32_t(dst), -1, -1)
	slog.Debug("llama.cpp refused a state", "reason", e.String())
	if strings.Contains(e.String(), "available cells") {
		return 0, fmt.Errorf("state of %d tokens: %w", tokens, engine.ErrNoCells)
	}
	return 0, fmt.Errorf("%w: llama.cpp cannot read it", ErrState)
}

// openState checks a saved state and returns its tokens and llama.cpp's part.
func (r *Runtime) openState(b []byte) (tokens int, data []byte, err error) {
	if len(b) < stateHeader+4 || string(b[:len(stateMagic)]) != stateMagic {
		return 0, nil, fmt.Errorf("%w: it is no saved state", ErrState)
	}
	body, sum := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	at := len(stateMagic) + sha256.Size
	data = body[stateHeader:]
	switch {
	case fingerprint(b[len(stateMagic):at]) != r.origin:
		return 0, nil, fmt.Errorf("%w: another model or another build wrote it", ErrState)
	case binary.LittleEndian.Uint64(b[at+4:]) != uint64(len(data)):
		return 0, nil, fmt.Errorf("%w: it is cut short", ErrState)
	case crc32.Checksum(body, castagnoli) != sum:
		return 0, nil, fmt.Errorf("%w: it is damaged", ErrState)
	}
	tokens = int(binary.LittleEndian.Uint32(b[at:]))
	if tokens > r.limits.Cells {
		return 0, nil, fmt.Errorf("state of %d tokens: %w", tokens, engine.ErrNoCells)
	}
	return tokens, data, nil
}
