package grow

import (
	"errors"
	"os"
	"testing"

	"lineside/image/imagetest"
	"lineside/image/layout"
)

// card is a test card in a file, written to a medium of size bytes.
func card(t *testing.T, size int64) *os.File {
	t.Helper()
	f := imagetest.Card{}.Open(t)
	if size > 0 {
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func find(t *testing.T, f *os.File) (layout.Table, layout.Entry) {
	t.Helper()
	table, err := layout.ReadTable(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := table.Check(); err != nil {
		t.Fatal(err)
	}
	e, _ := table.Find(layout.Data)
	return table, e
}

func TestData(t *testing.T) {
	const size = 1 << 30
	f := card(t, size)
	before, _ := find(t, f)
	e, grown, err := Data(f, size)
	if err != nil || !grown {
		t.Fatalf("grown %v: %v", grown, err)
	}
	after, got := find(t, f)
	if got != e || e.Start+e.Bytes != size {
		t.Errorf("the table says %+v, Data %+v, the card ends at %d", got, e, int64(size))
	}
	for _, b := range before.Entries {
		if a, _ := after.Find(b.Number); a != b && b.Number != layout.Data {
			t.Errorf("partition %d changed from %+v to %+v", b.Number, b, a)
		}
	}
	if _, grown, err := Data(f, size); err != nil || grown {
		t.Errorf("the second time: grown %v, %v", grown, err)
	}
	if _, grown, err := Data(f, size/2); err != nil || grown {
		t.Errorf("a card that shrank: grown %v, %v", grown, err)
	}
}

// cut is a disk whose power goes after some writes.
type cut struct {
	*os.File
	left int
}

var errCut = errors.New("power cut")

func (c *cut) WriteAt(b []byte, at int64) (int, error) {
	if c.left == 0 {
		return 0, errCut
	}
	c.left--
	return c.File.WriteAt(b, at)
}

// TestPowerCut has the table work after every cut, and the next start finish.
func TestPowerCut(t *testing.T) {
	const size = 1 << 30
	for left := range 3 {
		f := card(t, size)
		if _, _, err := Data(&cut{f, left}, size); !errors.Is(err, errCut) {
			t.Fatalf("after %d writes: %v", left, err)
		}
		find(t, f)
		if _, grown, err := Data(f, size); err != nil || !grown {
			t.Errorf("the start after %d writes: grown %v, %v", left, grown, err)
		}
		if _, e := find(t, f); e.Start+e.Bytes != size {
			t.Errorf("the start after %d writes left it at %+v", left, e)
		}
	}
}

func TestRefused(t *testing.T) {
	f := card(t, 0)
	if _, _, err := Data(f, 5<<40); err == nil {
		t.Error("a card of 5 TiB was taken")
	}
	if _, err := f.WriteAt(make([]byte, 512), 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Data(f, 1<<30); !errors.Is(err, layout.ErrNoTable) {
		t.Errorf("a card without a table: %v", err)
	}
}
