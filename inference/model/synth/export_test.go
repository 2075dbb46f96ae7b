package synth

import "lineside/inference/model/gguf"

// Store sets a vocabulary's keys, for tests that look at them alone.
func Store(v *Vocabulary, l *gguf.Layout) { v.store(l) }
