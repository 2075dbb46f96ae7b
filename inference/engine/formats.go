package engine

import (
	"slices"
	"sync"

	"lineside/inference"
	"lineside/inference/constraint"
)

// formats remembers compiled formats, because devices ask with the same few, as
// long as they stay within a number of bytes: the ones used last.
type formats struct {
	budget int // bytes

	mu    sync.Mutex
	known []compiled // the one used last at the end
}

type compiled struct {
	key string
	*constraint.Constraint
}

// compile returns the constraint of a format, nil for free text.
func (f *formats) compile(format inference.Format) (*constraint.Constraint, error) {
	if format.Kind == "" || format.Kind == inference.FormatText {
		return nil, nil
	}
	key := string(format.Kind) + "\x00" + string(format.Schema) + "\x00" + format.Grammar
	if c := f.use(key); c != nil {
		return c, nil
	}
	c, err := constraint.Compile(format) // not under the lock: it may take a while
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known = append(f.known, compiled{key, c})
	f.shrink(f.budget)
	return c, nil
}

// use finds a format and makes it the last one used. What is remembered may have
// grown since, as answers walked through it.
func (f *formats) use(key string) *constraint.Constraint {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.known, func(c compiled) bool { return c.key == key })
	if i < 0 {
		return nil
	}
	c := f.known[i]
	f.known = append(slices.Delete(f.known, i, i+1), c)
	f.shrink(f.budget)
	return c.Constraint
}

// shrink forgets formats until the rest takes at most that many bytes, but for
// the last one, which somebody is about to use. f.mu is held.
func (f *formats) shrink(budget int) {
	size := 0
	for i := len(f.known) - 1; i >= 0; i-- {
		if size += len(f.known[i].key) + f.known[i].Size(); size > budget && i < len(f.known)-1 {
			f.known = slices.Delete(f.known, 0, i+1)
			return
		}
	}
}

// forget lets go of all formats; asks at work keep theirs.
func (f *formats) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known = nil
}
