package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// The parts of bbolt's file format that are walked; it is stable. A page is a header
// of id, flags, count and overflow, then its elements, then their keys and values.
const (
	pageHeader   = 16
	element      = 16 // of a branch or a leaf
	branchPage   = 1
	leafPage     = 2
	bucketHeader = 16 // root page and sequence, before the page of an inline bucket
	isBucket     = 1  // flag of a leaf's element
	metaSize     = 64
	metaMagic    = 0xED0CDAED
)

var native = binary.NativeEndian

// sound says what is wrong with the pages of a file. bbolt panics on damaged pages,
// and does so in goroutines of its own, where nobody can recover: a worn card would
// keep the board from ever starting again.
func sound(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return err // an empty file is a new one
	}
	w := walker{f: f, size: info.Size(), seen: map[uint64]bool{}}
	root, err := w.meta()
	if err != nil {
		return err
	}
	return w.tree(root, nil, nil)
}

type walker struct {
	f    io.ReaderAt
	size int64
	page int64  // bytes
	high uint64 // the first page that is not used
	seen map[uint64]bool
}

// meta finds the newer of the two good meta pages and returns the root of the tree.
func (w *walker) meta() (root uint64, err error) {
	newest := uint64(0)
	for _, at := range []int64{0, int64(os.Getpagesize())} {
		m := make([]byte, metaSize)
		if _, err := w.f.ReadAt(m, at+pageHeader); err != nil {
			continue
		}
		sum := fnv.New64a()
		_, _ = sum.Write(m[:metaSize-8])
		size := int64(native.Uint32(m[8:]))
		if native.Uint32(m) != metaMagic || native.Uint64(m[metaSize-8:]) != sum.Sum64() || size != int64(os.Getpagesize()) {
			continue
		}
		if tx := native.Uint64(m[48:]); w.page == 0 || tx > newest {
			newest, w.page, root, w.high = tx, size, native.Uint64(m[16:]), native.Uint64(m[40:])
		}
	}
	if w.page == 0 {
		return 0, errors.New("damaged: no good meta page")
	}
	return root, nil
}

// read returns a whole page that nothing else refers to.
func (w *walker) read(id uint64) ([]byte, error) {
	head := make([]byte, pageHeader)
	if id >= w.high || int64(id) >= w.size/w.page {
		return nil, fmt.Errorf("damaged: page %d is beyond the end", id)
	}
	if _, err := w.f.ReadAt(head, int64(id)*w.page); err != nil {
		return nil, err
	}
	more := uint64(native.Uint32(head[12:]))
	if native.Uint64(head) != id || id+more >= w.high || int64(id+more) >= w.size/w.page {
		return nil, fmt.Errorf("damaged: page %d has a wrong header", id)
	}
	for i := id; i <= id+more; i++ {
		if w.seen[i] {
			return nil, fmt.Errorf("damaged: page %d is used twice", i)
		}
		w.seen[i] = true
	}
	p := make([]byte, int64(more+1)*w.page)
	_, err := w.f.ReadAt(p, int64(id)*w.page)
	return p, err
}

// tree walks the page and what is below it; its keys lie from least on and before most.
func (w *walker) tree(id uint64, least, most []byte) error {
	p, err := w.read(id)
	if err != nil {
		return err
	}
	switch native.Uint16(p[8:]) {
	case leafPage:
		return w.leaf(p, least, most)
	case branchPage:
		return w.branch(p, least, most)
	}
	return fmt.Errorf("damaged: page %d is neither branch nor leaf", id)
}

func (w *walker) branch(p, least, most []byte) error {
	n := int(native.Uint16(p[10:]))
	if n == 0 {
		return errors.New("damaged: a branch is empty")
	}
	keys, ids := make([][]byte, n+1), make([]uint64, n)
	keys[n] = most
	for i := range n {
		at := pageHeader + i*element
		e, err := cut(p, at, 0, element)
		if err != nil {
			return err
		}
		ids[i] = native.Uint64(e[8:])
		if keys[i], err = cut(p, at, native.Uint32(e), native.Uint32(e[4:])); err != nil {
			return err
		}
	}
	if err := ordered(keys[:n], least, most); err != nil {
		return err
	}
	for i, id := range ids {
		if err := w.tree(id, keys[i], keys[i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) leaf(p, least, most []byte) error {
	n := int(native.Uint16(p[10:]))
	keys := make([][]byte, n)
	for i := range n {
		at := pageHeader + i*element
		e, err := cut(p, at, 0, element)
		if err != nil {
			return err
		}
		pos, klen, vlen := native.Uint32(e[4:]), native.Uint32(e[8:]), native.Uint32(e[12:])
		kv, err := cut(p, at, pos, klen+vlen)
		if err != nil || klen > klen+vlen {
			return errors.Join(errors.New("damaged: a key is longer than its page"), err)
		}
		keys[i] = kv[:klen]
		if native.Uint32(e)&isBucket != 0 {
			if err := w.bucket(kv[klen:]); err != nil {
				return err
			}
		}
	}
	return ordered(keys, least, most)
}

// bucket walks a tree in the tree, or the one page that stands in its place.
func (w *walker) bucket(v []byte) error {
	if len(v) < bucketHeader {
		return errors.New("damaged: a bucket has no header")
	}
	if root := native.Uint64(v); root != 0 {
		return w.tree(root, nil, nil)
	}
	p := v[bucketHeader:]
	if len(p) < pageHeader || native.Uint16(p[8:]) != leafPage {
		return errors.New("damaged: an inline bucket is no leaf")
	}
	return w.leaf(p, nil, nil)
}

// cut takes n bytes of a page, pos after at.
func cut(p []byte, at int, pos, n uint32) ([]byte, error) {
	from := int64(at) + int64(pos)
	if end := from + int64(n); end <= int64(len(p)) {
		return p[from:end], nil
	}
	return nil, errors.New("damaged: an element lies beyond its page")
}

// ordered: bbolt finds nothing in pages that are not, and panics when it writes to them.
func ordered(keys [][]byte, least, most []byte) error {
	for i, k := range keys {
		if i == 0 && bytes.Compare(k, least) < 0 || i > 0 && bytes.Compare(k, keys[i-1]) <= 0 || most != nil && bytes.Compare(k, most) >= 0 {
			return errors.New("damaged: keys are out of order")
		}
	}
	return nil
}
