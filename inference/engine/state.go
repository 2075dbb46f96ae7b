package engine

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Saved prefixes: one file each, named by a hash of the key and the tokens.
// Layout, little-endian: magic, length and bytes of the key, number of tokens
// and the tokens, length and bytes of the runtime's state, SHA-256 of all
// before it. A file is written beside its place, synced and renamed, so it is
// whole or absent.

const (
	stateMagic  = "lineside-prefix-1\n"
	stateSuffix = ".prefix"
	mostTokens  = 1 << 20 // in a saved prefix; more is damage
)

// stateName is the file of a prefix.
func stateName(dir, key string, tokens []int32) string {
	h := sha256.New()
	h.Write([]byte(key))
	h.Write([]byte{0})
	_ = binary.Write(h, binary.LittleEndian, tokens) // a hash takes everything
	return filepath.Join(dir, hex.EncodeToString(h.Sum(nil)[:16])+stateSuffix)
}

// encodeState lays out a file.
func encodeState(key string, tokens []int32, state []byte) []byte {
	le := binary.LittleEndian
	b := make([]byte, 0, len(stateMagic)+len(key)+4*len(tokens)+len(state)+64)
	b = append(b, stateMagic...)
	b = append(le.AppendUint32(b, uint32(len(key))), key...)
	b = le.AppendUint32(b, uint32(len(tokens)))
	for _, id := range tokens {
		b = le.AppendUint32(b, uint32(id))
	}
	b = append(le.AppendUint64(b, uint64(len(state))), state...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

var (
	errDamaged = errors.New("damaged")
	errForeign = errors.New("of another model, template or build")
)

// decodeState reads a file back. The tokens and the state are only returned
// from a whole file with the same key.
func decodeState(key string, b []byte) (tokens []int32, state []byte, err error) {
	le := binary.LittleEndian
	body, ok := bytes.CutPrefix(b, []byte(stateMagic))
	if !ok || len(body) < sha256.Size {
		return nil, nil, errDamaged
	}
	sum := sha256.Sum256(b[:len(b)-sha256.Size])
	if !bytes.Equal(sum[:], b[len(b)-sha256.Size:]) {
		return nil, nil, errDamaged
	}
	body = body[:len(body)-sha256.Size]
	take := func(n uint64) []byte {
		if n > uint64(len(body)) {
			ok = false
			return nil
		}
		part := body[:n]
		body = body[n:]
		return part
	}
	size := func(width int) uint64 {
		p := take(uint64(width))
		switch {
		case p == nil:
			return 0
		case width == 4:
			return uint64(le.Uint32(p))
		}
		return le.Uint64(p)
	}
	if got := take(size(4)); !ok || string(got) != key {
		if !ok {
			return nil, nil, errDamaged
		}
		return nil, nil, errForeign
	}
	n := size(4)
	if !ok || n == 0 || n > mostTokens {
		return nil, nil, errDamaged
	}
	raw := take(4 * n)
	state = take(size(8))
	if !ok || len(body) > 0 {
		return nil, nil, errDamaged
	}
	for i := range n {
		tokens = append(tokens, int32(le.Uint32(raw[4*i:])))
	}
	return tokens, state, nil
}

// saver writes and removes files behind the engine's back, one after the other.
type saver struct {
	mu   sync.Mutex // held while a file is written
	busy sync.WaitGroup
}

// wait returns when all files are written.
func (s *saver) wait() { s.busy.Wait() }

func (s *saver) save(o Options, tokens []int32, state []byte) {
	s.busy.Go(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		name := stateName(o.StateDir, o.StateKey, tokens)
		if err := writeFile(name, encodeState(o.StateKey, tokens, state)); err != nil {
			o.Log.Warn("prefix not saved: the next start computes it again", "err", err)
		}
	})
}

func (s *saver) remove(o Options, tokens []int32) {
	s.busy.Go(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if err := os.Remove(stateName(o.StateDir, o.StateKey, tokens)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			o.Log.Warn("saved prefix not removed", "err", err)
		}
	})
}

// writeFile puts a file in its place whole or not at all, also across a power cut.
func writeFile(name string, data []byte) (err error) {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".*"+stateSuffix+".new")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// restore puts saved prefixes back into the tree, pinned, as far as there is
// room for them. What cannot be used is left out with a word in the log, and
// removed when it can never be used.
func (e *Engine) restore() error {
	if e.opt.StateDir == "" || e.opt.NoPrefixSharing {
		return nil
	}
	entries, err := os.ReadDir(e.opt.StateDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		e.opt.Log.Warn("saved prefixes not read", "err", err)
	}
	for _, entry := range entries {
		name := filepath.Join(e.opt.StateDir, entry.Name())
		if strings.HasSuffix(name, stateSuffix+".new") { // cut off while it was written
			os.Remove(name)
			continue
		}
		if !strings.HasSuffix(name, stateSuffix) || !entry.Type().IsRegular() {
			continue
		}
		if err := e.restoreFile(name); err != nil {
			e.opt.Log.Warn("saved prefix left out", "file", name, "err", err)
		}
	}
	return nil
}

func (e *Engine) restoreFile(name string) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	tokens, state, err := decodeState(e.opt.StateKey, b)
	if err != nil {
		return errors.Join(err, os.Remove(name))
	}
	for _, id := range tokens {
		if id < 0 || int(id) >= e.limits.Vocab {
			return errors.Join(errDamaged, os.Remove(name))
		}
	}
	if e.tree.pinnedSize()+len(tokens) > e.mostPinned() {
		return fmt.Errorf("%d tokens do not fit beside the others", len(tokens))
	}
	if err := e.plant(tokens, state); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	e.tree.pin(tokens)
	return nil
}
