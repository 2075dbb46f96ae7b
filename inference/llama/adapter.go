package llama

import (
	"fmt"

	"lineside/inference/model/gguf"
	"lineside/inference/model/lora"
)

// checkAdapter refuses adapters that C could choke on, or that are not the base's.
func checkAdapter(path string, base *gguf.Header) error {
	f, err := gguf.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := lora.Fits(f.Header, base); err != nil {
		return fmt.Errorf("adapter %s: %w", path, err)
	}
	return nil
}
