package layout

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Entry is one partition as a card's table has it, in bytes from the card's start.
type Entry struct {
	Number int   `json:"number"`
	Type   byte  `json:"type"`
	Start  int64 `json:"start"`
	Bytes  int64 `json:"bytes"`
}

// Table is a card's master boot record with the logical partitions behind it.
type Table struct {
	Signature uint32
	Entries   []Entry // without the extended one
}

// ErrNoTable says that there is no master boot record.
var ErrNoTable = errors.New("no partition table")

// ErrOtherLayout says that the partitions are not those of an appliance's card.
var ErrOtherLayout = errors.New("not the layout of a Lineside card")

const (
	entriesAt   = 446
	signatureAt = 440
	maxLogical  = 16 // more than any card of ours; a chain that is longer is damaged
)

// ReadTable reads the table of a card or image.
func ReadTable(r io.ReaderAt) (Table, error) {
	var t Table
	mbr, err := record(r, 0)
	if err != nil {
		return t, err
	}
	t.Signature = binary.LittleEndian.Uint32(mbr[signatureAt:])
	for i := range 4 {
		e := entry(mbr, i, 0)
		e.Number = i + 1
		switch {
		case e.Bytes == 0:
		case e.Type == TypeExtended || e.Type == 0x05:
			logical, err := readLogical(r, e.Start)
			if err != nil {
				return t, err
			}
			t.Entries = append(t.Entries, logical...)
		default:
			t.Entries = append(t.Entries, e)
		}
	}
	return t, nil
}

// readLogical follows the chain of records inside the extended partition: each has
// one partition, relative to the record, and the next record, relative to the first.
func readLogical(r io.ReaderAt, base int64) ([]Entry, error) {
	var all []Entry
	for at := base; len(all) < maxLogical; {
		ebr, err := record(r, at)
		if err != nil {
			return nil, fmt.Errorf("logical partition %d: %w", 5+len(all), err)
		}
		e := entry(ebr, 0, at)
		e.Number = 5 + len(all)
		if e.Bytes == 0 {
			return all, nil
		}
		all = append(all, e)
		next := entry(ebr, 1, base)
		if next.Bytes == 0 {
			return all, nil
		}
		if next.Start <= at {
			return nil, errors.New("the chain of logical partitions runs in a circle: write the card anew")
		}
		at = next.Start
	}
	return nil, fmt.Errorf("more than %d logical partitions: write the card anew", maxLogical)
}

func record(r io.ReaderAt, at int64) ([]byte, error) {
	b := make([]byte, SectorSize)
	if _, err := r.ReadAt(b, at); err != nil {
		return nil, fmt.Errorf("%w: it ends before byte %d", ErrNoTable, at+SectorSize)
	}
	if b[510] != 0x55 || b[511] != 0xaa {
		return nil, fmt.Errorf("%w at byte %d", ErrNoTable, at)
	}
	return b, nil
}

func entry(b []byte, i int, base int64) Entry {
	e := b[entriesAt+16*i:]
	start, n := binary.LittleEndian.Uint32(e[8:]), binary.LittleEndian.Uint32(e[12:])
	return Entry{Type: e[4], Start: base + int64(start)*SectorSize, Bytes: int64(n) * SectorSize}
}

// Find is the entry with the number.
func (t Table) Find(number int) (Entry, bool) {
	for _, e := range t.Entries {
		if e.Number == number {
			return e, true
		}
	}
	return Entry{}, false
}

// Check compares a table with the facts. Sizes may differ: a card's data partition has grown,
// and a test image may be smaller.
func (t Table) Check() error {
	if t.Signature != DiskSignature {
		return fmt.Errorf("%w: the disk signature is %08x, not %08x", ErrOtherLayout, t.Signature, uint32(DiskSignature))
	}
	for _, p := range Partitions() {
		e, ok := t.Find(p.Number)
		if !ok {
			return fmt.Errorf("%w: partition %d (%s) is missing", ErrOtherLayout, p.Number, p.Name)
		}
		if e.Type != p.Type {
			return fmt.Errorf("%w: partition %d (%s) has type %02x, not %02x", ErrOtherLayout, p.Number, p.Name, e.Type, p.Type)
		}
	}
	return nil
}
