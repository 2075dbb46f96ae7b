package engine_test

import (
	"testing"
	"time"

	"lineside/inference/engine"
	"lineside/inference/engine/enginetest"
	"lineside/inference/inferencetest"
)

// TestConformance: the engine keeps the contract that the scripted one keeps.
func TestConformance(t *testing.T) {
	for name, o := range map[string]engine.Options{
		"everything on":  {},
		"everything off": {NoPrefixSharing: true, NoJumpForward: true, NoLookup: true},
	} {
		t.Run(name, func(t *testing.T) {
			inferencetest.Suite(t, func(t *testing.T) inferencetest.Generator {
				return open(t, enginetest.Config{EndOneIn: 40, PassTime: every(time.Millisecond)}, o)
			})
		})
	}
}
