package slots_test

import (
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"testing"

	"lineside/image/firmware"
	"lineside/image/layout"
	"lineside/image/slots"
)

// powerDisk keeps what programs see apart from what is safe on the medium, and cuts the
// power before a chosen step.
type powerDisk struct {
	seen, safe map[string]*inode // folders by file name
	steps      int
	cutAt      int // cut before this step; 0: never
}

type inode struct{ seen, safe []byte }

type powerCut struct{}

func newDisk() *powerDisk { return &powerDisk{seen: map[string]*inode{}, safe: map[string]*inode{}} }

func (d *powerDisk) step() {
	d.steps++
	if d.steps == d.cutAt {
		panic(powerCut{})
	}
}

func (d *powerDisk) ReadFile(name string) ([]byte, error) {
	i, ok := d.seen[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return i.seen, nil
}

func (d *powerDisk) WriteFile(name string, b []byte) error {
	d.step()
	i, ok := d.seen[name]
	if !ok {
		i = &inode{}
		d.seen[name] = i
	}
	i.seen = b
	return nil
}

func (d *powerDisk) Sync(name string) error {
	d.step()
	if i, ok := d.seen[name]; ok {
		i.safe = i.seen
		return nil
	}
	for f, i := range d.seen {
		if filepath.Dir(f) == name {
			d.safe[f] = i
		}
	}
	for f := range d.safe {
		if _, ok := d.seen[f]; !ok && filepath.Dir(f) == name {
			delete(d.safe, f)
		}
	}
	return nil
}

func (d *powerDisk) Rename(from, to string) error {
	d.step()
	d.seen[to] = d.seen[from]
	delete(d.seen, from)
	return nil
}

func (d *powerDisk) MkdirAll(string) error { return nil }

// put makes a file that is safe.
func (d *powerDisk) put(name string, b []byte) {
	i := &inode{b, b}
	d.seen[name], d.safe[name] = i, i
}

// What a power cut leaves of that which was not synced.
const (
	leavesNothing = iota
	leavesNames   // names have changed, but contents are torn
	leavesAll
	leftovers
)

// after is the disk when the power is back.
func (d *powerDisk) after(what int) *powerDisk {
	n := newDisk()
	dir := d.safe
	if what != leavesNothing {
		dir = d.seen
	}
	for name, i := range dir {
		b := i.safe
		switch {
		case what == leavesAll:
			b = i.seen
		case what == leavesNames && string(i.safe) != string(i.seen):
			b = i.seen[:len(i.seen)/2]
		}
		n.put(name, b)
	}
	return n
}

// bench is a board without a board: a disk, a bootloader, and slots that can be broken.
type bench struct {
	t      *testing.T
	disk   *powerDisk
	board  *slots.Board
	flag   bool                 // the bootloader's one-shot flag
	broken map[layout.Slot]bool // half written
	booted layout.Slot
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, disk: newDisk(), broken: map[layout.Slot]bool{}}
	b.disk.put(layout.SelectorDir+"/"+layout.AutobootFile, slots.Autoboot(layout.A))
	b.start()
	return b
}

// start is what power or a restart does, up to the reconciling.
func (b *bench) start() slots.Report {
	b.t.Helper()
	tryboot := b.flag
	b.flag = false
	text, err := b.disk.ReadFile(layout.SelectorDir + "/" + layout.AutobootFile)
	if err != nil {
		b.t.Fatalf("no selector: %v", err)
	}
	n, ok := firmware.Choose(text, tryboot)
	if !ok {
		b.t.Fatalf("the bootloader finds no partition in %q", text)
	}
	slot, ok := layout.SlotOfBoot(n)
	if !ok {
		b.t.Fatalf("the bootloader starts partition %d", n)
	}
	if b.broken[slot] {
		b.t.Fatalf("the bootloader starts the half written slot %s of %q", slot, text)
	}
	b.booted = slot
	cell := func(v byte) []byte { return []byte{0, 0, 0, v} }
	const info = "/proc/device-tree/chosen/bootloader/"
	b.disk.put("/proc/cmdline", []byte("root=x rauc.slot="+string(slot)+" panic=10\n"))
	b.disk.put(info+"capabilities", cell(7))
	b.disk.put(info+"tryboot", cell(map[bool]byte{true: 1}[tryboot]))
	b.board = &slots.Board{Root: "/", Disk: b.disk}
	r, err := b.board.Reconcile()
	if err != nil {
		b.t.Fatalf("reconcile: %v", err)
	}
	return r
}

// update installs into the slot that does not run, tries it and keeps it.
func (b *bench) update() {
	b.t.Helper()
	to := b.booted.Other()
	must := func(err error) {
		b.t.Helper()
		if err != nil {
			b.t.Fatal(err)
		}
	}
	must(b.board.Condemn(to, "being written"))
	b.broken[to] = true
	b.disk.step() // cut while RAUC writes
	b.broken[to] = false
	must(b.board.Arm(to))
	must(b.board.Fire(func() error { b.flag = true; return nil }))
	b.disk.step() // cut between the note and the restart
	b.start()
	if b.booted != to {
		b.t.Fatalf("the trial started slot %s", b.booted)
	}
	did, err := b.board.Commit()
	must(err)
	if !did {
		b.t.Fatal("nothing was kept")
	}
}

// TestPowerCut cuts the power before every step of an update, leaves more or less of what
// was not synced, and wants a board that starts, knows where it is, and takes the update then.
func TestPowerCut(t *testing.T) {
	count := newBench(t)
	from := count.disk.steps
	count.update()
	steps := count.disk.steps
	if steps-from < 15 {
		t.Fatalf("an update has %d steps: the disk does not count them", steps-from)
	}
	for at := from + 1; at <= steps; at++ {
		for what := range leftovers {
			t.Run(fmt.Sprintf("step %d, leaves %d", at, what), func(t *testing.T) {
				b := newBench(t)
				b.disk.cutAt = at
				cut(b.update)
				b.disk, b.flag = b.disk.after(what), false
				r := b.start()
				checkSettled(t, b, r)
				if b.booted == layout.A { // not kept yet
					b.update()
				}
				b.start()
				if s, err := b.board.Status(); err != nil || s.Committed != layout.B || s.Booted != layout.B || s.Trial != nil {
					t.Errorf("in the end %+v, %v", s, err)
				}
			})
		}
	}
}

// TestPowerCutTwice cuts again while the board mends itself after the first cut.
func TestPowerCutTwice(t *testing.T) {
	first := newBench(t)
	first.update()
	steps := first.disk.steps
	for at := 1; at <= steps; at++ {
		for again := 1; again < 12; again++ {
			b := newBench(t)
			b.disk.cutAt = at
			cut(b.update)
			b.disk, b.flag = b.disk.after(leavesNames), false
			b.disk.cutAt = again
			cut(func() { b.start() })
			b.disk, b.flag = b.disk.after(leavesNothing), false
			checkSettled(t, b, b.start())
		}
	}
}

func cut(f func()) {
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(powerCut); !ok {
				panic(p)
			}
		}
	}()
	f()
}

// checkSettled wants a whole selector and no trial that is forgotten.
func checkSettled(t *testing.T, b *bench, r slots.Report) {
	t.Helper()
	s, err := b.board.Status()
	if err != nil {
		t.Fatal(err)
	}
	if s.Committed != b.booted {
		t.Errorf("after a power cut slot %s runs, %s starts next (%+v)", b.booted, s.Committed, r)
	}
	if s.Trial != nil && s.Trial.Phase != slots.Armed {
		t.Errorf("a trial is left over: %+v (%+v)", *s.Trial, r)
	}
	if _, bad := s.Bad[b.booted]; bad {
		t.Errorf("the running slot is marked bad: %+v", s.Bad)
	}
	again, err := b.board.Reconcile()
	if err != nil {
		t.Fatal(err)
	}
	after, _ := b.board.Status()
	if !maps.Equal(s.Bad, after.Bad) || s.Committed != after.Committed {
		t.Errorf("reconciling twice changes something: %+v, then %+v (%+v)", s, after, again)
	}
}
