//go:build !cgo

package llama

import (
	"context"

	"lineside/inference/engine"
)

// Runtime cannot be had without cgo.
type Runtime struct{ engine.Runtime }

// Open returns ErrNoCgo.
func Open(context.Context, string, Options) (*Runtime, error) { return nil, ErrNoCgo }

// Close does nothing.
func (*Runtime) Close() {}

// Vocabulary is nil: there is no Runtime to have one.
func (*Runtime) Vocabulary() engine.Vocabulary { return nil }

// Vocabulary cannot be had without cgo.
type Vocabulary struct{ engine.Vocabulary }

// Close does nothing.
func (Vocabulary) Close() {}

// LoadVocabulary returns ErrNoCgo.
func LoadVocabulary(string) (Vocabulary, error) { return Vocabulary{}, ErrNoCgo }
