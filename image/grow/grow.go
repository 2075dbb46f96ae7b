// Package grow makes the data partition reach to the end of the card, whatever card the
// image was written to. It changes two records of the partition table, each a single
// sector, in an order in which a power cut between them leaves a table that works and is
// grown at the next start.
//
// It never touches another partition, and never shrinks anything. The file system in the
// partition is resize2fs's work.
package grow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"lineside/image/layout"
)

// Disk is a card or an image of one.
type Disk interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
}

// Where a master boot record and the records of logical partitions keep their entries.
const (
	entriesAt = 446
	entrySize = 16
	sizeAt    = 12 // of an entry: its sectors
)

// align keeps the end on a boundary that suits the card's own blocks.
const align = 4 * layout.MiB

// Data grows the data partition of a card of size bytes. It returns the partition's new
// entry; grown is false where it reached to the end before.
func Data(d Disk, size int64) (e layout.Entry, grown bool, err error) {
	table, err := layout.ReadTable(d)
	if err == nil {
		err = table.Check()
	}
	if err != nil {
		return e, false, fmt.Errorf("grow the data partition: %w", err)
	}
	e, _ = table.Find(layout.Data)
	want := size/align*align - e.Start
	if want/layout.SectorSize > 1<<32-1 {
		return e, false, errors.New("grow the data partition: the card is larger than 2 TiB, which its table cannot say")
	}
	if want <= e.Bytes {
		return e, false, nil
	}
	records, err := chain(d)
	if err != nil {
		return e, false, fmt.Errorf("grow the data partition: %w", err)
	}
	extended, last, before := records[0], records[len(records)-1], records[len(records)-2]
	// From the outside inwards: what contains grows before what is contained.
	for _, r := range []struct {
		at    int64 // record
		slot  int   // entry in it
		start int64 // of what the entry describes
	}{
		{0, layout.Extended - 1, extended},
		{before, 1, last},
		{last, 0, e.Start},
	} {
		if err := setEnd(d, r.at, r.slot, e.Start+want-r.start); err != nil {
			return e, false, fmt.Errorf("grow the data partition: %w", err)
		}
	}
	e.Bytes = want
	return e, true, nil
}

// chain is where the records of the logical partitions stand, in bytes, in their order.
func chain(d Disk) ([]int64, error) {
	mbr, err := sector(d, 0)
	if err != nil {
		return nil, err
	}
	base := int64(binary.LittleEndian.Uint32(mbr[entriesAt+entrySize*(layout.Extended-1)+8:])) * layout.SectorSize
	records := []int64{base}
	for len(records) < layout.Data-layout.RootA+1 {
		b, err := sector(d, records[len(records)-1])
		if err != nil {
			return nil, err
		}
		next := binary.LittleEndian.Uint32(b[entriesAt+entrySize+8:])
		records = append(records, base+int64(next)*layout.SectorSize)
	}
	return records, nil
}

func sector(d Disk, at int64) ([]byte, error) {
	b := make([]byte, layout.SectorSize)
	_, err := d.ReadAt(b, at)
	return b, err
}

// setEnd gives an entry its size in bytes, on the medium.
func setEnd(d Disk, at int64, slot int, bytes int64) error {
	b, err := sector(d, at)
	if err != nil {
		return err
	}
	binary.LittleEndian.PutUint32(b[entriesAt+entrySize*slot+sizeAt:], uint32(bytes/layout.SectorSize))
	if _, err := d.WriteAt(b, at); err != nil {
		return err
	}
	return d.Sync()
}
