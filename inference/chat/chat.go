// Package chat turns messages into the tokens that a model was trained to read.
//
// The template is chosen from the model file's metadata and written in Go; the
// file's own Jinja text is read for what it is, never run. Text of users and
// skills is tokenized as text: the name of a special token in it stays letters,
// so no message can forge a turn. Nothing here reads a clock: the same messages
// give the same tokens on every day.
package chat

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"lineside/inference"
	"lineside/inference/model/gguf"
)

// Vocabulary is what a template needs of the model's vocabulary. It has the
// meaning that engine.Vocabulary gives it: special tokens have no piece.
type Vocabulary interface {
	Tokenize(text string, special bool) ([]int32, error)
	Piece(id int32) []byte
	EndOfGeneration(id int32) bool
}

// Metadata is what a model file says about its chat format.
type Metadata struct {
	Jinja       string // tokenizer.chat_template; empty where the file has none
	BOS, EOS    string // names of the tokens; empty where there is none
	AddBOS      bool   // a prompt begins with BOS
	SpacePrefix bool   // a text begins with a space (SentencePiece)
}

// ReadMetadata takes the chat format out of a model file's header.
func ReadMetadata(h *gguf.Header) (Metadata, error) {
	tokens, err := h.Strings("tokenizer.ggml.tokens")
	if err != nil {
		return Metadata{}, err
	}
	var m Metadata
	m.Jinja, _ = h.Text("tokenizer.chat_template")
	model, _ := h.Text("tokenizer.ggml.model")
	name := func(key string) string {
		if id, err := h.Uint(key); err == nil && id < uint64(len(tokens)) {
			return tokens[id]
		}
		return ""
	}
	m.BOS, m.EOS = name("tokenizer.ggml.bos_token_id"), name("tokenizer.ggml.eos_token_id")
	m.AddBOS, m.SpacePrefix = m.BOS != "", model == "llama"
	for key, v := range map[string]*bool{"tokenizer.ggml.add_bos_token": &m.AddBOS, "tokenizer.ggml.add_space_prefix": &m.SpacePrefix} {
		if b, err := h.Bool(key); err == nil {
			*v = b
		}
	}
	return m, nil
}

// Segment is a piece of a prompt: ordinary text, or one special token by its name.
type Segment struct {
	Text    string
	Special bool
}

// Prompt is a conversation in tokens, up to where the answer begins.
type Prompt struct {
	Tokens []int32
	// Prefix is the number of tokens before the last message: they depend on all
	// other messages alone, whatever the last one says.
	Prefix int
}

// Template writes prompts for one model. It is safe for concurrent use.
type Template struct {
	name    string
	write   format
	meta    Metadata
	voc     Vocabulary
	special map[string]int32 // the special tokens that it uses, by name
	ids     []int32          // the same
}

// New chooses the template that fits the file and its vocabulary. A file without
// a known one gets a plain format.
func New(m Metadata, v Vocabulary) (*Template, error) {
	for _, k := range kinds {
		if !k.fits(m, v) {
			continue
		}
		t := &Template{name: k.name, write: k.write, meta: m, voc: v, special: map[string]int32{}}
		for _, name := range append(slices.Clone(k.specials), m.BOS, m.EOS) {
			if name == "" {
				continue
			}
			id, ok := token(v, name)
			if !ok {
				return nil, fmt.Errorf("chat template %s: %q is not one token of the vocabulary", k.name, name)
			}
			t.special[name], t.ids = id, append(t.ids, id)
		}
		return t, nil
	}
	return nil, errors.New("no chat template fits") // not reached: the plain format fits all
}

// Name says which format was chosen: llama3, llama4, llama2, mistral, chatml or plain.
func (t *Template) Name() string { return t.name }

// Stop are texts that end an answer besides the model's own end tokens.
func (t *Template) Stop() []string {
	if t.name == "plain" {
		return []string{"\n### "}
	}
	return nil
}

// Render writes messages as segments; the first last of them are the prefix that
// Prompt speaks of.
func (t *Template) Render(messages []inference.Message) (segments []Segment, last int, err error) {
	turns, err := turnsOf(messages)
	if err != nil {
		return nil, 0, err
	}
	w := &writer{meta: t.meta}
	t.write(w, turns)
	return w.segments, w.last, nil
}

// Encode writes messages as tokens.
func (t *Template) Encode(messages []inference.Message) (Prompt, error) {
	segments, last, err := t.Render(messages)
	if err != nil {
		return Prompt{}, err
	}
	var p Prompt
	for i, s := range segments {
		if i == last {
			p.Prefix = len(p.Tokens)
		}
		if s.Special {
			p.Tokens = append(p.Tokens, t.special[s.Text])
			continue
		}
		ids, err := t.plain(s.Text)
		if err != nil {
			return Prompt{}, err
		}
		p.Tokens = append(p.Tokens, ids...)
	}
	return p, nil
}

// plain tokenizes text that must not become special tokens. Vocabularies may
// take the names of some tokens in any text for the tokens (llama.cpp does so with
// those marked "user defined"); such names are cut in two.
func (t *Template) plain(text string) ([]int32, error) {
	ids, err := t.voc.Tokenize(text, false)
	if err != nil || !t.forged(ids) {
		return ids, err
	}
	ids = nil
	for _, part := range t.cut(text) {
		more, err := t.voc.Tokenize(part, false)
		if err != nil {
			return nil, err
		}
		ids = append(ids, more...)
	}
	if t.forged(ids) {
		return nil, fmt.Errorf("%w: the text holds the name of a special token", inference.ErrBadRequest)
	}
	return ids, nil
}

// forged reports whether tokens of a plain text have a meaning beyond text.
func (t *Template) forged(ids []int32) bool {
	for _, id := range ids {
		if len(t.voc.Piece(id)) == 0 || t.voc.EndOfGeneration(id) {
			return true
		}
		if slices.Contains(t.ids, id) {
			return true
		}
	}
	return false
}

// cut splits text inside every name that the template uses.
func (t *Template) cut(text string) []string {
	var parts []string
	from := 0
	for at := range text {
		for name := range t.special {
			if at > from && strings.HasPrefix(text[at-1:], name) && len(name) > 1 {
				parts, from = append(parts, text[from:at]), at
			}
		}
	}
	return append(parts, text[from:])
}

// token is the one token that a name stands for.
func token(v Vocabulary, name string) (int32, bool) {
	ids, err := v.Tokenize(name, true)
	if err != nil || len(ids) != 1 {
		return 0, false
	}
	return ids[0], true
}

// turn is a trimmed message of a conversation that alternates as templates want.
type turn struct {
	role, text string
}

// turnsOf checks messages and joins those of one role that follow each other.
func turnsOf(messages []inference.Message) ([]turn, error) {
	bad := func(format string, a ...any) ([]turn, error) {
		return nil, fmt.Errorf("%w: "+format, append([]any{inference.ErrBadRequest}, a...)...)
	}
	var turns []turn
	for i, m := range messages {
		text := strings.TrimSpace(m.Content)
		switch {
		case m.Role != inference.RoleSystem && m.Role != inference.RoleUser && m.Role != inference.RoleAssistant:
			return bad("messages[%d]: role is %q", i, m.Role)
		case m.Role == inference.RoleSystem && i > 0:
			return bad("messages[%d]: only the first message may be a system message", i)
		}
		turns = append(turns, turn{m.Role, text})
	}
	if len(turns) == 0 || turns[len(turns)-1].role != inference.RoleUser {
		return bad("the last message must be the user's")
	}
	return turns, nil
}
