package fat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// check looks at what the library takes on trust: that the numbers of the boot sector fit
// into the volume, and that no chain of clusters runs in a circle.
func check(r io.ReaderAt, size int64) error {
	var b [sector]byte
	if _, err := r.ReadAt(b[:], 0); err != nil {
		return err
	}
	le := binary.LittleEndian
	perFAT, reserved := int64(le.Uint32(b[36:])), int64(le.Uint16(b[14:]))
	switch {
	case b[510] != 0x55 || b[511] != 0xaa:
		return errors.New("no boot sector")
	case le.Uint16(b[11:]) != sector || b[13] == 0 || b[16] != 2:
		return errors.New("the boot sector is of another kind")
	case perFAT == 0 || (reserved+2*perFAT)*sector >= size:
		return errors.New("the tables are larger than the volume")
	case int64(le.Uint16(b[48:])) >= reserved || int64(le.Uint16(b[50:])) >= reserved:
		return errors.New("the boot sector points outside the reserved sectors")
	}
	table := make([]byte, perFAT*sector)
	if _, err := r.ReadAt(table, reserved*sector); err != nil {
		return err
	}
	clusters := (size - (reserved+2*perFAT)*sector) / (sector * int64(b[13]))
	return circles(table, min(clusters+2, int64(len(table)/4)))
}

// circles follows every chain once.
func circles(table []byte, n int64) error {
	chain := make([]int32, n) // which chain went through a cluster, by its first cluster
	for first := int64(2); first < n; first++ {
		for at := first; chain[at] == 0; {
			chain[at] = int32(first)
			next := int64(binary.LittleEndian.Uint32(table[at*4:]) & 0x0fffffff)
			if next == 0 || next >= 0x0ffffff7 {
				break
			}
			if next < 2 || next >= n {
				return fmt.Errorf("cluster %d goes on outside the volume", at)
			}
			if chain[next] == int32(first) {
				return fmt.Errorf("the clusters from %d run in a circle", next)
			}
			at = next
		}
	}
	return nil
}
