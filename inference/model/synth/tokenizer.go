package synth

import (
	"fmt"
	"strings"

	"lineside/inference/model/gguf"
)

// Kinds of token, as tokenizer.ggml.token_type numbers them.
const (
	kindNormal  = 1
	kindUnknown = 2
	kindControl = 3
	kindByte    = 6
)

// Vocabulary is a tokenizer as metadata: what its keys are set to.
type Vocabulary struct {
	size int
	keys []entry
}

type entry struct {
	key   string
	value any
}

// Size is the number of tokens.
func (v *Vocabulary) Size() int { return v.size }

func (v *Vocabulary) set(key string, value any) { v.keys = append(v.keys, entry{key, value}) }

func (v *Vocabulary) store(l *gguf.Layout) {
	for _, e := range v.keys {
		l.Set(e.key, e.value)
	}
}

// Style is the family whose special tokens and chat template a made-up
// vocabulary has.
type Style string

// Styles.
const (
	Llama3  Style = "llama3"
	Llama4  Style = "llama4"
	Llama2  Style = "llama2"
	Mistral Style = "mistral"
)

// NewVocabulary makes up a vocabulary of n tokens: byte-level BPE for Llama 3
// and 4, SentencePiece for Llama 2 and Mistral. Ordinary English, German,
// JSON and numbers come out in sensible tokens; the rest in bytes.
func NewVocabulary(style Style, n int) (*Vocabulary, error) {
	switch style {
	case Llama3:
		return bpe(n, "llama-bpe", llama3Special(), template3, 9)
	case Llama4:
		return bpe(n, "llama4", llama4Special(), template4, 8)
	case Llama2:
		return spm(n, template2)
	case Mistral:
		return spm(n, templateMistral)
	}
	return nil, fmt.Errorf("unknown style of vocabulary %q", style)
}

// bpe makes a byte-level vocabulary whose special tokens come last; the first of
// them begins a text and the one at end ends a turn.
func bpe(n int, pre string, special []string, template string, end int) (*Vocabulary, error) {
	ordinary := n - len(special)
	if ordinary < 256 {
		return nil, fmt.Errorf("%d tokens are too few: want at least %d", n, 256+len(special))
	}
	g := newGrower(ordinary, byteAlphabet(), byteLevel)
	if err := g.grow(); err != nil {
		return nil, err
	}
	kinds := make([]int32, n)
	for i := range kinds {
		kinds[i] = kindNormal
		if i >= ordinary {
			kinds[i] = kindControl
		}
	}
	v := &Vocabulary{size: n}
	v.set("tokenizer.ggml.model", "gpt2")
	v.set("tokenizer.ggml.pre", pre)
	v.set("tokenizer.ggml.tokens", append(g.tokens, special...))
	v.set("tokenizer.ggml.token_type", kinds)
	v.set("tokenizer.ggml.merges", g.merges)
	v.set("tokenizer.ggml.bos_token_id", uint32(ordinary))
	v.set("tokenizer.ggml.eos_token_id", uint32(ordinary+end))
	v.set("tokenizer.chat_template", template)
	return v, nil
}

// byteRunes maps each byte to the printable character that GPT-2 writes for it.
func byteRunes() [256]rune {
	var runes [256]rune
	next := rune(256)
	for b := range runes {
		if b >= '!' && b <= '~' || b >= 0xa1 && b != 0xad {
			runes[b] = rune(b)
		} else {
			runes[b] = next
			next++
		}
	}
	return runes
}

// byteAlphabet lists the bytes in GPT-2's order: printable ones first.
func byteAlphabet() []string {
	var list, rest []string
	for _, r := range byteRunes() {
		if r < 256 {
			list = append(list, string(r))
		} else {
			rest = append(rest, string(r))
		}
	}
	return append(list, rest...)
}

func byteLevel(text string) []string {
	runes := byteRunes()
	list := make([]string, 0, len(text))
	for _, b := range []byte(text) {
		list = append(list, string(runes[b]))
	}
	return list
}

// llama3Special are the 256 special tokens of Llama 3.1 and later, in order.
func llama3Special() []string {
	list := []string{"begin_of_text", "end_of_text", "reserved_special_token_0", "reserved_special_token_1",
		"finetune_right_pad_id", "step_id", "start_header_id", "end_header_id", "eom_id", "eot_id", "python_tag", "image"}
	return bracket(list, 256, "reserved_special_token_", 2)
}

func llama4Special() []string {
	list := []string{"begin_of_text", "end_of_text", "fim_prefix", "fim_middle", "fim_suffix",
		"header_start", "header_end", "eom", "eot", "step"}
	return bracket(list, 64, "text_post_train_reserved_special_token_", 0)
}

// bracket fills names up to n with numbered ones and brackets all.
func bracket(names []string, n int, rest string, first int) []string {
	for i := first; len(names) < n; i++ {
		names = append(names, fmt.Sprintf("%s%d", rest, i))
	}
	for i, s := range names {
		names[i] = "<|" + s + "|>"
	}
	return names
}

// spm makes a SentencePiece vocabulary: unknown, begin, end, bytes, merged pieces
// by rank, and single characters last.
func spm(n int, template string) (*Vocabulary, error) {
	lower := func(text string) []string {
		return strings.Split(strings.ReplaceAll(text, " ", "▁"), "")
	}
	alphabet := lower(" ")
	for c := '!'; c <= '~'; c++ {
		alphabet = append(alphabet, string(c))
	}
	alphabet = append(alphabet, lower("äöüÄÖÜßéèêàçñáíóú\n\t")...)
	head := 3 + 256
	if n < head+len(alphabet) {
		return nil, fmt.Errorf("%d tokens are too few: want at least %d", n, head+len(alphabet))
	}
	g := newGrower(n-head, alphabet, lower)
	if err := g.grow(); err != nil {
		return nil, err
	}
	tokens := []string{"<unk>", "<s>", "</s>"}
	kinds := []int32{kindUnknown, kindControl, kindControl}
	for b := range 256 {
		tokens = append(tokens, fmt.Sprintf("<0x%02X>", b))
		kinds = append(kinds, kindByte)
	}
	scores := make([]float32, head, n)
	pieces := append(g.tokens[len(alphabet):], alphabet...)
	for i, p := range pieces {
		tokens, kinds, scores = append(tokens, p), append(kinds, kindNormal), append(scores, -float32(i))
	}
	v := &Vocabulary{size: n}
	v.set("tokenizer.ggml.model", "llama")
	v.set("tokenizer.ggml.pre", "default")
	v.set("tokenizer.ggml.tokens", tokens)
	v.set("tokenizer.ggml.scores", scores)
	v.set("tokenizer.ggml.token_type", kinds)
	v.set("tokenizer.ggml.bos_token_id", uint32(1))
	v.set("tokenizer.ggml.eos_token_id", uint32(2))
	v.set("tokenizer.ggml.unknown_token_id", uint32(0))
	v.set("tokenizer.ggml.add_bos_token", true)
	v.set("tokenizer.ggml.add_eos_token", false)
	v.set("tokenizer.chat_template", template)
	return v, nil
}

// VocabularyOf takes the tokenizer of another file. Where that has no chat
// template, as files of a bare vocabulary, it gets its family's.
func VocabularyOf(h *gguf.Header) (*Vocabulary, error) {
	v := &Vocabulary{}
	for _, key := range h.Keys {
		if !strings.HasPrefix(key, "tokenizer.") {
			continue
		}
		value, err := copyValue(h, key)
		if err != nil {
			return nil, err
		}
		if list, ok := value.([]string); ok && key == "tokenizer.ggml.tokens" {
			v.size = len(list)
		}
		v.set(key, value)
	}
	if v.size == 0 {
		return nil, fmt.Errorf("the file has no vocabulary (tokenizer.ggml.tokens)")
	}
	if _, ok := h.Value("tokenizer.chat_template"); !ok {
		template := template2
		if model, _ := h.Text("tokenizer.ggml.model"); model == "gpt2" {
			template = template3
		}
		v.set("tokenizer.chat_template", template)
	}
	return v, nil
}

// copyValue reads a value in the form that Layout.Set takes. Vocabularies
// know only the kinds handled here.
func copyValue(h *gguf.Header, key string) (any, error) {
	v, _ := h.Value(key)
	switch {
	case v.Kind == gguf.Array && v.Elem == gguf.String:
		return h.Strings(key)
	case v.Kind == gguf.Array && v.Elem == gguf.Float32:
		fs, err := h.Floats(key)
		list := make([]float32, len(fs))
		for i, f := range fs {
			list[i] = float32(f)
		}
		return list, err
	case v.Kind == gguf.Array && v.Elem == gguf.Int32:
		us, err := h.Uints(key)
		list := make([]int32, len(us))
		for i, u := range us {
			list[i] = int32(u)
		}
		return list, err
	case v.Kind == gguf.String:
		return h.Text(key)
	case v.Kind == gguf.Bool:
		return h.Bool(key)
	case v.Kind == gguf.Uint32:
		u, err := h.Uint(key)
		return uint32(u), err
	}
	return nil, fmt.Errorf("cannot copy %s: it is of %v", key, v.Kind)
}
