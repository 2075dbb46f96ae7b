// Package bpe trains and applies the demo model's tokenizer: byte-level byte
// pair encoding with Llama 3's pre-tokenizer and special tokens, so that
// llama.cpp splits every text into the same tokens.
//
// Digits never merge: a number is read digit by digit, and a code is split the
// same way wherever it stands.
package bpe

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"lineside/inference/model/gguf"
)

// The special tokens, in the order of their ids, after all ordinary tokens.
const (
	BeginOfText = "<|begin_of_text|>"
	EndOfText   = "<|end_of_text|>"
	Pad         = "<|finetune_right_pad_id|>"
	StartHeader = "<|start_header_id|>"
	EndHeader   = "<|end_header_id|>"
	EndOfMsg    = "<|eom_id|>"
	EndOfTurn   = "<|eot_id|>"
	PythonTag   = "<|python_tag|>"
)

var specials = []string{BeginOfText, EndOfText, Pad, StartHeader, EndHeader, EndOfMsg, EndOfTurn, PythonTag}

// Tokenizer splits text into tokens and joins them again.
type Tokenizer struct {
	pieces  []string // bytes of each ordinary token, then names of the special ones
	merges  [][2]string
	ids     map[string]int // ordinary tokens by their bytes
	ranks   map[[2]string]int
	special map[string]int
}

// words is Llama 3's pre-tokenizer, without its one look-ahead, which Words
// does by hand.
var words = regexp.MustCompile(`(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])` +
	`|[^\r\n\pL\pN]?\pL+|\pN{1,3}| ?[^\s\pL\pN]+[\r\n]*|\s*[\r\n]+|\s+`)

// Words cuts text as Llama 3's pre-tokenizer does.
func Words(text string) []string {
	var out []string
	for text != "" {
		n := words.FindStringIndex(text)[1]
		w := text[:n]
		// \s+(?!\S): a run of spaces before a word leaves its last one to the word.
		if n < len(text) && strings.TrimFunc(w, unicode.IsSpace) == "" && !strings.HasSuffix(w, "\n") && !strings.HasSuffix(w, "\r") {
			if _, last := utf8.DecodeLastRuneInString(w); n > last {
				n -= last
			}
		}
		out = append(out, text[:n])
		text = text[n:]
	}
	return out
}

// Train makes a tokenizer of size tokens, special ones included, from texts.
func Train(texts []string, size int) (*Tokenizer, error) {
	counts := map[string]int{}
	for _, t := range texts {
		for _, w := range Words(t) {
			counts[w]++
		}
	}
	type word struct {
		parts []string
		n     int
	}
	var list []word
	for w, n := range counts {
		if len(w) > 1 && !unicode.IsDigit(rune(w[0])) {
			list = append(list, word{bytesOf(w), n})
		}
	}
	var merges [][2]string
	for len(merges) < size-256-len(specials) {
		pairs := map[[2]string]int{}
		for _, w := range list {
			for i := range len(w.parts) - 1 {
				pairs[[2]string{w.parts[i], w.parts[i+1]}] += w.n
			}
		}
		if len(pairs) == 0 {
			return nil, fmt.Errorf("the texts give only %d merges: ask for a smaller vocabulary", len(merges))
		}
		best, most := [2]string{}, 0
		for p, n := range pairs {
			if n > most || n == most && slices.Compare(p[:], best[:]) < 0 {
				best, most = p, n
			}
		}
		merges = append(merges, best)
		for i := range list {
			list[i].parts = merge(list[i].parts, best)
		}
	}
	return New(merges)
}

// New builds the tokenizer of a list of merges, in the order of their ranks.
func New(merges [][2]string) (*Tokenizer, error) {
	t := &Tokenizer{merges: merges, ids: map[string]int{}, ranks: map[[2]string]int{}, special: map[string]int{}}
	add := func(piece string) {
		if _, have := t.ids[piece]; !have {
			t.ids[piece] = len(t.pieces)
			t.pieces = append(t.pieces, piece)
		}
	}
	for b := range 256 {
		add(string([]byte{byte(b)}))
	}
	for i, m := range merges {
		for _, half := range m {
			if _, have := t.ids[half]; !have {
				return nil, fmt.Errorf("merge %d joins %q, which no earlier merge makes", i, half)
			}
		}
		t.ranks[m] = i
		add(m[0] + m[1])
	}
	for _, s := range specials {
		t.special[s] = len(t.pieces)
		t.pieces = append(t.pieces, s)
	}
	return t, nil
}

// Size is the number of tokens, special ones included.
func (t *Tokenizer) Size() int { return len(t.pieces) }

// Merges are the pairs that join, in the order of their ranks.
func (t *Tokenizer) Merges() [][2]string { return t.merges }

// Piece is the bytes of an ordinary token, or the name of a special one.
func (t *Tokenizer) Piece(id int) (piece string, special bool) {
	return t.pieces[id], id >= len(t.pieces)-len(specials)
}

// Special is the id of a special token.
func (t *Tokenizer) Special(name string) int { return t.special[name] }

// Encode splits text into tokens; no special token comes of it.
func (t *Tokenizer) Encode(text string) []int {
	var ids []int
	for _, w := range Words(text) {
		if id, whole := t.ids[w]; whole {
			ids = append(ids, id)
			continue
		}
		parts := bytesOf(w)
		for {
			best := -1
			var pair [2]string
			for i := range len(parts) - 1 {
				p := [2]string{parts[i], parts[i+1]}
				if r, ok := t.ranks[p]; ok && (best < 0 || r < best) {
					best, pair = r, p
				}
			}
			if best < 0 {
				break
			}
			parts = merge(parts, pair)
		}
		for _, p := range parts {
			ids = append(ids, t.ids[p])
		}
	}
	return ids
}

// Decode joins ordinary tokens to text; special ones give nothing.
func (t *Tokenizer) Decode(ids []int) string {
	var b strings.Builder
	for _, id := range ids {
		if p, special := t.Piece(id); !special {
			b.WriteString(p)
		}
	}
	return b.String()
}

// Turn is one message of a conversation.
type Turn struct{ Role, Text string }

// Prompt is the tokens of a conversation in Llama 3's header format, up to
// where the assistant begins to speak.
func (t *Tokenizer) Prompt(turns []Turn) []int {
	ids := []int{t.special[BeginOfText]}
	for _, turn := range append(slices.Clone(turns), Turn{Role: "assistant"}) {
		ids = append(ids, t.special[StartHeader])
		ids = append(ids, t.Encode(turn.Role)...)
		ids = append(ids, t.special[EndHeader])
		// The line breaks and the text are one piece for the pre-tokenizer.
		ids = append(ids, t.Encode("\n\n"+strings.TrimSpace(turn.Text))...)
		if turn.Role != "assistant" {
			ids = append(ids, t.special[EndOfTurn])
		}
	}
	return ids
}

// Visible spells bytes as GGUF files and GPT-2 do: printable ones as
// themselves, the rest from U+0100 on.
func Visible(piece string) string {
	var b strings.Builder
	for i := range len(piece) {
		b.WriteRune(visible[piece[i]])
	}
	return b.String()
}

var visible = func() (table [256]rune) {
	next := rune(256)
	for b := range 256 {
		if b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae {
			table[b] = rune(b)
			continue
		}
		table[b] = next
		next++
	}
	return table
}()

func bytesOf(s string) []string {
	parts := make([]string, len(s))
	for i := range len(s) {
		parts[i] = s[i : i+1]
	}
	return parts
}

func merge(parts []string, pair [2]string) []string {
	if !slices.Contains(parts, pair[0]) {
		return parts
	}
	out := parts[:0:cap(parts)]
	for i := 0; i < len(parts); i++ {
		if i+1 < len(parts) && parts[i] == pair[0] && parts[i+1] == pair[1] {
			out = append(out, pair[0]+pair[1])
			i++
			continue
		}
		out = append(out, parts[i])
	}
	return out
}

// Open reads the tokenizer out of a GGUF file that holds one of this kind.
func Open(path string) (*Tokenizer, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines, err := f.Strings("tokenizer.ggml.merges")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	merges := make([][2]string, len(lines))
	for i, l := range lines {
		a, b, _ := strings.Cut(l, " ")
		merges[i] = [2]string{plain(a), plain(b)}
	}
	return New(merges)
}

// plain undoes Visible.
func plain(s string) string {
	var b []byte
	for _, r := range s {
		if i := slices.Index(visible[:], r); i >= 0 {
			b = append(b, byte(i))
		}
	}
	return string(b)
}
