// Package imagetest makes small cards for tests: the appliance's partition table with
// the selector and both boot partitions, in a file of a few MiB.
//
// It never makes anything that boots; the builder does.
package imagetest

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"lineside/image/fat"
	"lineside/image/layout"
)

// Card says what stands on a test card.
type Card struct {
	Files map[int]map[string]string // by partition number: name to contents
	Root  map[layout.Slot][]byte    // first bytes of the root partitions
}

// sizes of a test card's partitions in MiB: FAT32 wants some room.
var sizes = map[int]int64{layout.Selector: 40, layout.BootA: 40, layout.BootB: 40, layout.RootA: 1, layout.RootB: 1, layout.Data: 2}

// Open makes the card in a file of the test's own, open for reading and writing until the test ends.
func (c Card) Open(t testing.TB) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "card.img")
	if err := c.Write(path); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// Write makes the card at path.
func (c Card) Write(path string) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	starts := map[int]int64{}
	mbr, at := record(), int64(4*layout.MiB)
	binary.LittleEndian.PutUint32(mbr[440:], layout.DiskSignature)
	for _, n := range []int{layout.Selector, layout.BootA, layout.BootB} {
		put(mbr, n-1, layout.TypeFAT32, at, sizes[n]*layout.MiB)
		starts[n] = at
		at += sizes[n] * layout.MiB
	}
	base, logical := at, []int{layout.RootA, layout.RootB, layout.Data}
	for i, n := range logical {
		ebr := record()
		starts[n] = at + layout.MiB
		put(ebr, 0, layout.TypeLinux, layout.MiB, sizes[n]*layout.MiB)
		next := at + (1+sizes[n])*layout.MiB
		if i < len(logical)-1 {
			put(ebr, 1, layout.TypeExtended, next-base, (1+sizes[logical[i+1]])*layout.MiB)
		}
		if _, err := f.WriteAt(ebr, at); err != nil {
			return err
		}
		at = next
	}
	put(mbr, layout.Extended-1, layout.TypeExtended, base, at-base)
	if _, err := f.WriteAt(mbr, 0); err != nil {
		return err
	}
	if err := f.Truncate(at); err != nil {
		return err
	}
	for slot, b := range c.Root {
		if _, err := f.WriteAt(b, starts[slot.RootPartition()]); err != nil {
			return err
		}
	}
	return c.writeFAT(f, starts)
}

func (c Card) writeFAT(f *os.File, starts map[int]int64) error {
	for _, n := range []int{layout.Selector, layout.BootA, layout.BootB} {
		p, _ := layout.ByNumber(n)
		v, err := fat.Create(f, starts[n], sizes[n]*layout.MiB, p.Label)
		if err != nil {
			return err
		}
		for name, contents := range c.Files[n] {
			if err := v.WriteFile(name, []byte(contents)); err != nil {
				return err
			}
		}
	}
	return nil
}

func record() []byte {
	b := make([]byte, layout.SectorSize)
	b[510], b[511] = 0x55, 0xaa
	return b
}

// put writes entry i; start and size in bytes.
func put(b []byte, i int, kind byte, start, size int64) {
	e := b[446+16*i:]
	e[4] = kind
	binary.LittleEndian.PutUint32(e[8:], uint32(start/layout.SectorSize))
	binary.LittleEndian.PutUint32(e[12:], uint32(size/layout.SectorSize))
}
