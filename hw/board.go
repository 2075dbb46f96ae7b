package hw

import (
	"errors"
	"math"
	"time"
)

const (
	// StaleAfter is how long the last good value of a sensor that stopped
	// answering is still shown, as Stale.
	StaleAfter = 5 * time.Second
	// SlowEvery is how often things that hardly change are read again: disks,
	// wear, power mode. New sensors are looked for at the same time.
	SlowEvery = time.Minute

	fileMax = 8 << 10 // longest file that is read; /proc/meminfo has 2 KB
)

// Options choose what a Board looks at. The zero value is good.
type Options struct {
	Disks  []string // mount points to watch; nil means / alone
	CGroup string   // the engine's control group below /sys/fs/cgroup; empty, or not there, means this process's own
}

// Board is a machine below a root. One goroutine uses it at a time.
type Board struct {
	tree     *tree
	options  Options
	identity Identity
	mailbox  mailbox // nil where the board has none
	sources  []source
	derive   []func(readings []Reading, now time.Time)
	known    map[string]bool // IDs in first
	first    []Reading       // the shape of a sample
	buf      []byte
	out      [maxOut]float64
	slowAt   time.Time
}

const maxOut = 16

// source is one file or call that fills one or more readings.
type source struct {
	path []byte                              // read this file, ...
	many func(b []byte, out []float64) error // ... and split it,
	one  func(b []byte) (float64, error)     // or take its one value,
	call func(out []float64) error           // or ask elsewhere
	text func(out []float64) string          // words for the first value, nil for none
	at   int                                 // index of the first reading
	n    int                                 // how many readings
	slow bool                                // read every SlowEvery only
}

// Open finds what can be read below root. It fails only where root cannot be
// opened at all; what is missing shows in Identity and in the readings.
func Open(root string) (*Board, error) { return OpenWith(root, Options{}) }

// OpenWith is Open with options.
func OpenWith(root string, o Options) (*Board, error) {
	t, err := openTree(root)
	if err != nil {
		return nil, err
	}
	b := &Board{tree: t, options: o, buf: make([]byte, fileMax), known: map[string]bool{}}
	if o.Disks == nil {
		b.options.Disks = []string{"/"}
	}
	b.identity = readIdentity(t, b.buf)
	if t.whole {
		b.mailbox = openMailbox()
	}
	b.discover()
	return b, nil
}

// Close gives the board's files back.
func (b *Board) Close() error {
	err := b.tree.close()
	if b.mailbox != nil {
		err = errors.Join(err, b.mailbox.Close())
	}
	return err
}

// Identity says what the board is.
func (b *Board) Identity() Identity { return b.identity }

// discover adds every source that is not known yet. Sources never go away, so
// that a vanished sensor shows as unavailable instead of silently missing.
func (b *Board) discover() {
	b.findThermal()
	b.findThrottle()
	b.findClocks()
	b.findHwmon()
	b.findGPU()
	b.findPowerMode()
	b.findMemory()
	b.findStorage()
	b.findTime()
}

// reading makes the shape of a reading; High and Crit are set by the caller.
func reading(kind Kind, name, source string) Reading {
	return Reading{Kind: kind, Name: name, Source: source, Value: math.NaN(), Reason: "not read yet"}
}

// add puts a source and its readings on the list, unless its first reading is known.
func (b *Board) add(s source, rs ...Reading) {
	if b.known[rs[0].ID()] {
		return
	}
	s.at, s.n = len(b.first), len(rs)
	for _, r := range rs {
		b.known[r.ID()] = true
	}
	b.first = append(b.first, rs...)
	b.sources = append(b.sources, s)
}

// addFile is add for a file with one value.
func (b *Board) addFile(kind Kind, name, path string, parse func([]byte) (float64, error)) {
	b.add(source{path: cpath(path), one: parse}, reading(kind, name, path))
}

// derived adds a reading that is computed from others after they are read.
func (b *Board) derived(r Reading, compute func(readings []Reading) float64) {
	if b.known[r.ID()] {
		return
	}
	b.known[r.ID()] = true
	at := len(b.first)
	b.first = append(b.first, r)
	b.derive = append(b.derive, func(readings []Reading, now time.Time) {
		d := &readings[at]
		d.Value = compute(readings)
		if math.IsNaN(d.Value) {
			d.Quality, d.Reason = Unavailable, "a part of it is unavailable"
			return
		}
		d.At, d.Quality, d.Reason = now, Good, ""
	})
}

// Sample reads everything into dst. Once dst has been through two calls,
// nothing is allocated unless a sensor is added or a slow reading is due.
func (b *Board) Sample(dst *Sample) { b.sampleAt(dst, time.Now()) }

func (b *Board) sampleAt(dst *Sample, now time.Time) {
	slow := b.slowAt.IsZero() || now.Sub(b.slowAt) >= SlowEvery
	if slow {
		if !b.slowAt.IsZero() {
			b.discover()
		}
		b.slowAt = now
	}
	if len(dst.Readings) > len(b.first) { // dst was another board's
		dst.Readings = dst.Readings[:0]
	}
	fresh := len(dst.Readings)
	dst.Readings = append(dst.Readings, b.first[fresh:]...)
	dst.At = now
	for i := range b.sources {
		s := &b.sources[i]
		if s.slow && !slow && s.at < fresh {
			continue
		}
		b.take(s, dst.Readings[s.at:s.at+s.n], now)
	}
	for _, d := range b.derive {
		d(dst.Readings, now)
	}
}

// take reads one source into its readings.
func (b *Board) take(s *source, rs []Reading, now time.Time) {
	out := b.out[:s.n]
	err := b.ask(s, out)
	for i := range rs {
		r := &rs[i]
		switch {
		case err == nil && !math.IsNaN(out[i]):
			r.Value, r.At, r.Quality, r.Reason = out[i], now, Good, ""
			if i == 0 && s.text != nil {
				r.Text = s.text(out)
			}
			continue
		case err != nil:
			r.Reason = reason(err)
		default:
			r.Reason = errMissing.Error()
		}
		if !s.slow && !r.At.IsZero() && now.Sub(r.At) <= StaleAfter {
			r.Quality = Stale
			continue
		}
		r.Value, r.Text, r.Quality = math.NaN(), "", Unavailable
	}
}

func (b *Board) ask(s *source, out []float64) error {
	if s.call != nil {
		return s.call(out)
	}
	data, err := b.tree.read(s.path, b.buf)
	if err != nil {
		return err
	}
	if s.one != nil {
		out[0], err = s.one(data)
		return err
	}
	return s.many(data, out)
}

// str reads a file that holds one line, empty where it cannot be read.
func (b *Board) str(path string) string {
	data, err := b.tree.read(cpath(path), b.buf)
	if err != nil {
		return ""
	}
	return clean(data)
}

// unique gives the second sensor of a name a number, so that IDs stay apart.
// source tells the same sensor found again from another one.
func (b *Board) unique(kind Kind, name, source string) string {
	for i, try := 2, name; ; i++ {
		r := b.find(kind, try)
		if r == nil || r.Source == source {
			return try
		}
		try = name + "-" + itoa(i)
	}
}

func (b *Board) find(kind Kind, name string) *Reading {
	for i := range b.first {
		if r := &b.first[i]; r.Kind == kind && r.Name == name {
			return r
		}
	}
	return nil
}
