package engine

import (
	"sync"

	"lineside/inference"
	"lineside/inference/constraint"
)

// formats remembers compiled formats: devices ask with the same few.
type formats struct {
	mu    sync.Mutex
	known map[string]*constraint.Constraint
}

// mostFormats is how many are remembered.
const mostFormats = 64

func (f *formats) compile(format inference.Format) (*constraint.Constraint, error) {
	if format.Kind == "" || format.Kind == inference.FormatText {
		return nil, nil
	}
	key := string(format.Kind) + "\x00" + string(format.Schema) + "\x00" + format.Grammar
	f.mu.Lock()
	c := f.known[key]
	f.mu.Unlock()
	if c != nil {
		return c, nil
	}
	c, err := constraint.Compile(format)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known == nil || len(f.known) >= mostFormats {
		f.known = map[string]*constraint.Constraint{}
	}
	f.known[key] = c
	return c, nil
}
