package chat

import (
	"strings"

	"lineside/inference"
)

// Dates of the system block that Llama 3.1 to 3.3 always write. The second is
// what the published template falls back to without a clock; a board's clock may
// lie, and a new date each day would change every prefix and every answer.
const (
	knowledgeDate = "December 2023"
	todayDate     = "26 Jul 2024"
)

// format writes a whole conversation and the opening of the answer.
type format func(w *writer, turns []turn)

// kind is a family of templates.
type kind struct {
	name     string
	fits     func(Metadata, Vocabulary) bool
	specials []string // tokens that write may use besides BOS and EOS
	write    format
}

// kinds in the order they are tried. Sources are the published templates of each family.
var kinds = []kind{
	{"llama3", dated, header3, func(w *writer, t []turn) { w.bos(); headers(w, header3, withDates(t)) }},
	{"llama3", mentions(header3[0]), header3, func(w *writer, t []turn) { w.bos(); headers(w, header3, t) }},
	{"llama4", mentions(header4[0]), header4, func(w *writer, t []turn) { w.bos(); headers(w, header4, t) }},
	{"chatml", mentions(chatmlTokens[0]), chatmlTokens, chatml},
	{"llama2", mentions("<<SYS>>"), nil, llama2},
	{"mistral", mistralTokens, []string{"[INST]", "[/INST]"}, mistral},
	{"mistral", mentions("[INST]"), nil, mistralPlain},
	{"plain", func(Metadata, Vocabulary) bool { return true }, nil, plain},
}

// Names of the tokens around a role, and after a message.
var (
	header3      = []string{"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}
	header4      = []string{"<|header_start|>", "<|header_end|>", "<|eot|>"}
	chatmlTokens = []string{"<|im_start|>", "<|im_end|>"}
)

// mentions fits files whose template uses a word, and files without a template
// whose vocabulary has it as a token.
func mentions(word string) func(Metadata, Vocabulary) bool {
	return func(m Metadata, v Vocabulary) bool {
		if m.Jinja != "" {
			return strings.Contains(m.Jinja, word)
		}
		_, ok := token(v, word)
		return ok
	}
}

// dated fits Llama 3.1 to 3.3, which know the end of a message (eom) from the end
// of a turn; 3.0 has no dates.
func dated(m Metadata, v Vocabulary) bool {
	if m.Jinja != "" {
		return strings.Contains(m.Jinja, header3[0]) && strings.Contains(m.Jinja, "Cutting Knowledge Date")
	}
	_, ok := token(v, "<|eom_id|>")
	return ok && mentions(header3[0])(m, v)
}

// mistralTokens fits Mistral from its third tokenizer on, where [INST] is a token.
func mistralTokens(m Metadata, v Vocabulary) bool {
	_, ok := token(v, "[INST]")
	return ok && strings.Contains(m.Jinja, "[INST]")
}

func withDates(turns []turn) []turn {
	dates := "Cutting Knowledge Date: " + knowledgeDate + "\nToday Date: " + todayDate + "\n\n"
	if turns[0].role == inference.RoleSystem {
		return append([]turn{{inference.RoleSystem, dates + turns[0].text}}, turns[1:]...)
	}
	return append([]turn{{inference.RoleSystem, dates}}, turns...)
}

// headers is the format of Llama 3 and 4, which differ in the tokens' names.
func headers(w *writer, names []string, turns []turn) {
	open := func(role string) {
		w.special(names[0])
		w.text(role)
		w.special(names[1])
		w.text("\n\n")
	}
	for i, t := range turns {
		w.lastAt(i, turns)
		open(t.role)
		w.text(t.text)
		w.special(names[2])
	}
	open(inference.RoleAssistant)
}

func chatml(w *writer, turns []turn) {
	if w.meta.AddBOS {
		w.bos()
	}
	for i, t := range turns {
		w.lastAt(i, turns)
		w.special(chatmlTokens[0])
		w.text(t.role + "\n" + t.text)
		w.special(chatmlTokens[1])
		w.text("\n")
	}
	w.special(chatmlTokens[0])
	w.text(inference.RoleAssistant + "\n")
}

// bracketed is what Llama 2 and the Mistrals have in common: only questions and
// answers are turns, and the system text stands in the question after it.
type bracketed struct {
	system    func(text string) string
	open, end func() // around a question
	answer    func(text string)
}

func (b bracketed) write(w *writer, turns []turn) {
	system := ""
	for i, t := range turns {
		switch t.role {
		case inference.RoleSystem:
			system = b.system(t.text)
			continue
		case inference.RoleAssistant:
			b.answer(t.text)
			w.special(w.meta.EOS)
			continue
		}
		if system == "" {
			w.lastAt(i, turns)
		}
		b.open()
		w.text(system)
		if system != "" {
			w.lastAt(i, turns)
		}
		w.text(t.text)
		b.end()
		system = ""
	}
}

// llama2 begins every question with BOS, as the model was trained.
func llama2(w *writer, turns []turn) {
	bracketed{
		system: func(text string) string { return "<<SYS>>\n" + text + "\n<</SYS>>\n\n" },
		open:   func() { w.bos(); w.lead(); w.text("[INST] ") },
		end:    func() { w.text(" [/INST]") },
		answer: func(text string) { w.text(" " + text + " ") },
	}.write(w, turns)
}

// mistral is the format where the brackets are tokens of their own.
func mistral(w *writer, turns []turn) {
	w.bos()
	bracketed{
		system: func(text string) string { return text + "\n\n" },
		open:   func() { w.special("[INST]"); w.lead() },
		end:    func() { w.special("[/INST]") },
		answer: func(text string) { w.lead(); w.text(text) },
	}.write(w, turns)
}

// mistralPlain is the format of the first Mistral, where the brackets are text.
func mistralPlain(w *writer, turns []turn) {
	w.bos()
	bracketed{
		system: func(text string) string { return text + "\n\n" },
		open:   func() { w.text(" [INST] ") },
		end:    func() { w.text(" [/INST]") },
		answer: func(text string) { w.text(" " + text) },
	}.write(w, turns)
}

// plain is for models that were trained on no format we know.
func plain(w *writer, turns []turn) {
	if w.meta.AddBOS {
		w.bos()
	}
	w.lead()
	names := map[string]string{inference.RoleSystem: "System", inference.RoleUser: "User", inference.RoleAssistant: "Assistant"}
	for i, t := range turns {
		w.lastAt(i, turns)
		w.text("### " + names[t.role] + ":\n" + t.text + "\n\n")
	}
	w.text("### Assistant:\n")
}

// writer collects segments and joins texts that follow each other, so that they
// are tokenized as one.
type writer struct {
	meta     Metadata
	segments []Segment
	last     int
	split    bool // the next text must not join the one before
}

func (w *writer) bos() { w.special(w.meta.BOS) }

func (w *writer) special(name string) {
	if name != "" {
		w.segments = append(w.segments, Segment{Text: name, Special: true})
	}
}

func (w *writer) text(s string) {
	if s == "" {
		return
	}
	if n := len(w.segments); n > 0 && !w.segments[n-1].Special && !w.split {
		w.segments[n-1].Text += s
	} else {
		w.segments = append(w.segments, Segment{Text: s})
	}
	w.split = false
}

// lead writes the space that SentencePiece puts before a text.
func (w *writer) lead() {
	if w.meta.SpacePrefix {
		w.text(" ")
	}
}

// lastAt marks the place where the last message starts.
func (w *writer) lastAt(i int, turns []turn) {
	if i == len(turns)-1 {
		w.last, w.split = len(w.segments), true
	}
}
