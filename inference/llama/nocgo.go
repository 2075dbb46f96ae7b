//go:build !cgo

package llama

import (
	"context"

	"lineside/inference/engine"
)

// Runtime cannot be had without cgo.
type Runtime struct{ engine.Runtime }

// Open checks options and file as the real one does, and then returns ErrNoCgo.
func Open(_ context.Context, path string, o Options) (*Runtime, error) {
	if err := o.withDefaults().check(); err != nil {
		return nil, err
	}
	base, err := check(path, false)
	if err != nil {
		return nil, err
	}
	for _, adapter := range o.Adapters {
		if err := checkAdapter(adapter, base); err != nil {
			return nil, err
		}
	}
	return nil, ErrNoCgo
}

// Close does nothing.
func (*Runtime) Close() {}

// Vocabulary is nil: there is no Runtime to have one.
func (*Runtime) Vocabulary() engine.Vocabulary { return nil }

// Vocabulary cannot be had without cgo.
type Vocabulary struct{ engine.Vocabulary }

// Close does nothing.
func (Vocabulary) Close() {}

// LoadVocabulary checks the file as the real one does, and then returns ErrNoCgo.
func LoadVocabulary(path string) (Vocabulary, error) {
	if _, err := check(path, true); err != nil {
		return Vocabulary{}, err
	}
	return Vocabulary{}, ErrNoCgo
}
