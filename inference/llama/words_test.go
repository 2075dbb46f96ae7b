package llama

import (
	"errors"
	"testing"
)

// TestRefused: what the C side says comes out in our words, and the want of a GPU is no fault of the model.
func TestRefused(t *testing.T) {
	for text, want := range map[string]error{
		"ggml_cuda_init: failed to initialize CUDA\nno NVIDIA GPU is found": ErrGPU,
		"missing tensor 'output_norm.weight'":                               ErrModel,
		"something new":                                                     ErrModel,
	} {
		err := refused("a.gguf", text)
		if !errors.Is(err, want) || errors.Is(err, ErrGPU) && errors.Is(err, ErrModel) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}
