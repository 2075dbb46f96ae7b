//go:build cgo

package llama

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"unsafe"

	"lineside/inference/engine"
)

// maxText is the longest text that is split into tokens in one call, in bytes.
const maxText = 16 << 20

var errClosed = errors.New("the model is closed")

// vocabulary implements engine.Vocabulary. Pieces are copied to Go once, so that
// only Tokenize calls C.
type vocabulary struct {
	mu sync.RWMutex // held while C reads s
	s  *session     // nil after close

	bytes []byte   // all pieces one after the other
	end   []uint32 // where each ends
	eog   []bool

	// lead is what a line end before a text becomes where llama.cpp puts a space
	// before every text (SentencePiece): with it in front, the text stays as it is.
	lead []int32
}

// Vocabulary is a vocabulary without a model.
type Vocabulary struct{ *vocabulary }

// Close frees it.
func (v Vocabulary) Close() { v.close() }

var _ engine.Vocabulary = (*vocabulary)(nil)

// LoadVocabulary reads the vocabulary alone of the GGUF at path.
func LoadVocabulary(path string) (Vocabulary, error) {
	if _, err := check(path, true); err != nil {
		return Vocabulary{}, err
	}
	s, err := open(context.Background(), path, C.ls_options{vocab_only: true}, &hooks{}, nil)
	if err != nil {
		return Vocabulary{}, err
	}
	v, err := newVocabulary(s)
	if err != nil {
		s.close()
		return Vocabulary{}, err
	}
	return Vocabulary{v}, nil
}

func newVocabulary(s *session) (*vocabulary, error) {
	n := int(C.ls_vocab_size(s.c))
	if n <= 0 {
		return nil, fmt.Errorf("%w: the vocabulary is empty", ErrModel)
	}
	v := &vocabulary{s: s, end: make([]uint32, n), eog: make([]bool, n)}
	for need := n * 16; need > len(v.bytes); {
		v.bytes = make([]byte, need)
		need = int(C.ls_pieces(s.c, (*C.char)(unsafe.Pointer(&v.bytes[0])), C.size_t(len(v.bytes)),
			(*C.uint32_t)(unsafe.Pointer(&v.end[0])), (*C.bool)(unsafe.Pointer(&v.eog[0]))))
	}
	v.bytes = append([]byte(nil), v.bytes[:v.end[n-1]]...)
	return v, v.findLead()
}

// findLead sets lead where the tokenizer adds a space.
func (v *vocabulary) findLead() error {
	ids, err := v.split("a", false)
	if err != nil || len(ids) == 0 || !bytes.HasPrefix(v.Piece(ids[0]), []byte(" ")) {
		return err
	}
	lead, err := v.split("\n", false)
	if err != nil {
		return err
	}
	v.lead = lead
	return nil
}

func (v *vocabulary) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.s != nil {
		v.s.close()
		v.s = nil
	}
}

// Size implements engine.Vocabulary.
func (v *vocabulary) Size() int { return len(v.end) }

// Piece implements engine.Vocabulary.
func (v *vocabulary) Piece(id int32) []byte {
	if id < 0 || int(id) >= len(v.end) {
		return nil
	}
	from := uint32(0)
	if id > 0 {
		from = v.end[id-1]
	}
	return v.bytes[from:v.end[id]:v.end[id]]
}

// EndOfGeneration implements engine.Vocabulary.
func (v *vocabulary) EndOfGeneration(id int32) bool {
	return id >= 0 && int(id) < len(v.eog) && v.eog[id]
}

// Tokenize implements engine.Vocabulary.
func (v *vocabulary) Tokenize(text string, special bool) ([]int32, error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > maxText {
		return nil, fmt.Errorf("text of %d bytes is longer than %d", len(text), maxText)
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.s == nil {
		return nil, errClosed
	}
	var ids []int32
	for _, part := range runs(text) {
		more, err := v.asItIs(part, special)
		if err != nil {
			return nil, err
		}
		if ids == nil {
			ids = more
			continue
		}
		ids = append(ids, more...)
	}
	return ids, nil
}

// asItIs splits a text without a space before it.
func (v *vocabulary) asItIs(text string, special bool) ([]int32, error) {
	if v.lead == nil {
		return v.split(text, special)
	}
	ids, err := v.split("\n"+text, special)
	if err == nil && !slices.Equal(ids[:min(len(v.lead), len(ids))], v.lead) {
		err = fmt.Errorf("tokenizing %d bytes: %w", len(text), errThrown)
	}
	if err != nil {
		return nil, err
	}
	return ids[len(v.lead):], nil
}

// split is llama.cpp's own tokenizing.
func (v *vocabulary) split(text string, special bool) ([]int32, error) {
	out := make([]int32, len(text)/2+16)
	for {
		n := C.ls_tokenize(v.s.c, (*C.char)(unsafe.Pointer(unsafe.StringData(text))), C.int32_t(len(text)),
			ptr(out), C.int32_t(len(out)), C.bool(special))
		switch {
		case n >= 0:
			return out[:n:n], nil
		case n == math.MinInt32:
			return nil, fmt.Errorf("tokenizing %d bytes: %w", len(text), errThrown)
		}
		out = make([]int32, -n)
	}
}
