package llama

import (
	"fmt"
	"strings"
)

// explanations turn llama.cpp's words into ours, most telling first.
var explanations = []struct{ theirs, ours string }{
	{"missing tensor", "tensors that its architecture needs are missing"},
	{"wrong shape", "a tensor's shape contradicts the header"},
	{"wrong number of tensors", "it has tensors that its architecture does not know"},
	{"unknown pre-tokenizer", "its tokenizer is newer than this program"},
	{"key not found", "its header lacks a key that the architecture needs"},
	{"wrong type", "a key of its header has the wrong type"},
	{"within the file bounds", "it is truncated"},
	{"allocate", "there is not enough memory for it"},
	{"bad_alloc", "there is not enough memory for it"},
	{"mlock", "it cannot be locked in memory"},
}

func explain(text string) string {
	for _, e := range explanations {
		if strings.Contains(text, e.theirs) {
			return e.ours
		}
	}
	return "llama.cpp cannot load it (the debug log has its words)"
}

// refused is why a model was not loaded.
func refused(path, text string) error {
	if strings.Contains(text, noGPU) {
		return ErrGPU // whatever the model
	}
	return fmt.Errorf("%w: %s: %s", ErrModel, path, explain(text))
}

// noGPU is what the shim of an engine for a GPU says.
const noGPU = "no NVIDIA GPU is found"
