package engine_test

import (
	"testing"

	"lineside/inference/engine"
	"lineside/inference/inferencetest"
	"lineside/inference/llama"
	"lineside/inference/model/modeltest"
	"lineside/inference/model/shape"
)

// TestConformance: a model of each architecture loads, answers, and keeps the
// contract over the socket, as the scripted engine does.
func TestConformance(t *testing.T) {
	for _, m := range []struct {
		name string
		mix  shape.Mixture
	}{
		{"tiny", shape.Q4_0},          // Llama 3.x: byte-level BPE
		{"tiny-llama2", shape.Q8_0},   // SentencePiece
		{"tiny-llama4", shape.Q4_K_M}, // mixture of experts
		{"tiny-mistral", shape.F16},
	} {
		t.Run(m.name, func(t *testing.T) {
			path := modeltest.Tiny(t, m.name, m.mix)
			inferencetest.Suite(t, func(t *testing.T) inferencetest.Generator {
				return newSoak(t, openFile(t, path, llama.Options{}, engine.Options{})).client
			})
		})
	}
}
