package llama

import (
	"errors"
	"fmt"
	"slices"

	"lineside/inference/model/gguf"
)

// Limits that llama.cpp asserts: breaking one would abort the process.
const (
	maxLayers  = 512 // LLAMA_MAX_LAYERS
	maxExperts = 512 // LLAMA_MAX_EXPERTS
	maxWidth   = 1 << 17
)

// architectures that are tested here, by their name in general.architecture.
var architectures = []string{"llama", "llama4", "mistral3"}

// hints say more about files that people are likely to try.
var hints = map[string]string{
	"mllama": "Llama 3.2 Vision: take the text model of the same family",
	"clip":   "the image half of a vision model",
	"":       "the file names none",
}

// check refuses every file that C could choke on: what passes either loads or
// fails with an error. With vocabOnly the file needs no tensors.
func check(path string, vocabOnly bool) (*gguf.Header, error) {
	f, err := gguf.Open(path)
	if err != nil {
		if errors.Is(err, gguf.ErrNotGGUF) || errors.Is(err, gguf.ErrVersion) || errors.Is(err, gguf.ErrTruncated) || errors.Is(err, gguf.ErrMalformed) {
			return nil, fmt.Errorf("%w: %w", ErrModel, err)
		}
		return nil, err
	}
	defer f.Close()
	checks := []func(*gguf.Header) error{checkArchitecture, checkVocabulary}
	if !vocabOnly {
		checks = append(checks, checkShape)
	}
	for _, c := range checks {
		if err := c(f.Header); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrModel, path, err)
		}
	}
	return f.Header, nil
}

func checkArchitecture(h *gguf.Header) error {
	arch := h.Architecture()
	if !slices.Contains(architectures, arch) {
		msg := fmt.Sprintf("architecture %q is not one of %q", arch, architectures)
		if hint, ok := hints[arch]; ok {
			msg += " (" + hint + ")"
		}
		return errors.New(msg)
	}
	if n, err := h.Uint("split.count"); err == nil && n > 1 {
		return fmt.Errorf("one of %d parts of a split model: join them with llama-gguf-split --merge", n)
	}
	return nil
}

// checkVocabulary holds the arrays to each other: llama.cpp reads scores and
// types at every token's place, and asserts that no token stands twice.
func checkVocabulary(h *gguf.Header) error {
	model, err := h.Text("tokenizer.ggml.model")
	if err != nil {
		return err
	}
	if model != "gpt2" && model != "llama" {
		return fmt.Errorf("tokenizer %q is not gpt2 (byte-level BPE) or llama (SentencePiece)", model)
	}
	tokens, err := h.Strings("tokenizer.ggml.tokens")
	if err != nil {
		return err
	}
	if len(tokens) == 0 {
		return errors.New("the vocabulary is empty")
	}
	seen := make(map[string]struct{}, len(tokens))
	for i, t := range tokens {
		if _, twice := seen[t]; twice || t == "" {
			return fmt.Errorf("token %d (%q) is empty or stands twice in the vocabulary", i, t)
		}
		seen[t] = struct{}{}
	}
	for key, elem := range map[string]gguf.Kind{"tokenizer.ggml.scores": gguf.Float32, "tokenizer.ggml.token_type": gguf.Int32} {
		if v, ok := h.Value(key); ok && (v.Elem != elem || v.Len != uint64(len(tokens))) {
			return fmt.Errorf("%s is %v, want %d × %v", key, v, len(tokens), elem)
		}
	}
	if v, ok := h.Value("tokenizer.ggml.merges"); model == "gpt2" && (!ok || v.Elem != gguf.String) {
		return errors.New("tokenizer.ggml.merges is missing or no array of strings")
	}
	return nil
}

// checkShape holds the hyperparameters to what llama.cpp asserts of them. It
// leaves the tensors' shapes to llama.cpp, which refuses wrong ones.
func checkShape(h *gguf.Header) error {
	s := reader{h: h, arch: h.Architecture()}
	layers := s.want("block_count", 1, maxLayers)
	width := s.want("embedding_length", 1, maxWidth)
	heads := s.want("attention.head_count", 1, width)
	kv := s.may("attention.head_count_kv", heads, 1, heads)
	s.want("context_length", 1, 1<<31-1)
	experts := s.may("expert_count", 0, 0, maxExperts)
	if experts > 0 {
		s.want("expert_used_count", 1, experts)
	} else {
		s.may("expert_used_count", 0, 0, 0)
	}
	s.may("feed_forward_length", 0, 1, 1<<24)
	s.may("expert_group_count", 0, 0, 0)
	if s.err != nil {
		return s.err
	}
	head := s.may("attention.key_length", width/heads, 2, maxWidth)
	value := s.may("attention.value_length", width/heads, 2, maxWidth)
	rope := s.may("rope.dimension_count", head, 2, maxWidth)
	switch {
	case s.err != nil:
		return s.err
	case heads%kv != 0:
		return fmt.Errorf("%d attention heads are no multiple of %d key-value heads", heads, kv)
	case head != value || head != rope || head%2 != 0:
		return fmt.Errorf("head sizes differ or are odd: key %d, value %d, rope %d", head, value, rope)
	}
	if v, ok := h.Value(s.arch + ".classifier.output_labels"); ok && v.Elem != gguf.String {
		return errors.New("classifier.output_labels is no array of strings")
	}
	if t, err := h.Text(s.arch + ".rope.scaling.type"); err == nil && !slices.Contains([]string{"none", "linear", "yarn", "longrope"}, t) {
		return fmt.Errorf("rope.scaling.type %q is unknown", t)
	}
	if len(h.Tensors) == 0 {
		return errors.New("no tensors in the file: a vocabulary alone cannot answer")
	}
	if uint64(len(h.Tensors)) < layers {
		return fmt.Errorf("%d tensors for %d layers", len(h.Tensors), layers)
	}
	return nil
}

// reader reads hyperparameters and keeps the first error.
type reader struct {
	h    *gguf.Header
	arch string
	err  error
}

// want is a key that must be there, between lo and hi.
func (s *reader) want(key string, lo, hi uint64) uint64 {
	n, err := s.h.Uint(s.arch + "." + key)
	switch {
	case s.err != nil:
	case err != nil:
		s.err = err
	case n < lo || n > hi:
		s.err = fmt.Errorf("%s.%s is %d, want %d to %d", s.arch, key, n, lo, hi)
	}
	if s.err != nil {
		return max(lo, 1)
	}
	return n
}

// may is a key that has a default.
func (s *reader) may(key string, def, lo, hi uint64) uint64 {
	if _, ok := s.h.Value(s.arch + "." + key); !ok {
		return def
	}
	return s.want(key, lo, hi)
}
