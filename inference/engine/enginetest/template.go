package enginetest

import (
	"slices"

	"lineside/inference"
	"lineside/inference/chat"
)

// Template is a chat template over the fake vocabulary.
type Template struct{ Voc *Vocabulary }

// Encode implements engine.Template.
func (t Template) Encode(messages []inference.Message) (chat.Prompt, error) {
	p := chat.Prompt{Tokens: []int32{t.Voc.Special(BOS)}}
	for i, m := range messages {
		if i == len(messages)-1 {
			p.Prefix = len(p.Tokens)
		}
		p.Tokens = slices.Concat(p.Tokens,
			[]int32{t.Voc.Special(Start)}, t.Voc.plain(m.Role),
			[]int32{t.Voc.Special(Text)}, t.Voc.plain(m.Content),
			[]int32{t.Voc.Special(EOT)})
	}
	p.Tokens = slices.Concat(p.Tokens, []int32{t.Voc.Special(Start)}, t.Voc.plain(inference.RoleAssistant), []int32{t.Voc.Special(Text)})
	return p, nil
}

// Stop implements engine.Template.
func (t Template) Stop() []string { return nil }
