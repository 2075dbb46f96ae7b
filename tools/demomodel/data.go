package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"lineside/tools/demomodel/bpe"
	"lineside/tools/demomodel/corpus"
)

// vocabulary is the number of tokens, a multiple of 32 for the quantizers.
const vocabulary = 2048

// heldPerKind is how many held-out asks of each kind judge the model.
var heldPerKind = []struct {
	name string
	n    int
	draw func(*corpus.Writer) corpus.Ask
}{
	{"alarm", 600, func(w *corpus.Writer) corpus.Ask { return w.Alarm(false) }},
	{"alarm by skill", 300, func(w *corpus.Writer) corpus.Ask { return w.Alarm(true) }},
	{"unknown", 300, func(w *corpus.Writer) corpus.Ask { return w.Unknown(false) }},
	{"unknown by skill", 200, func(w *corpus.Writer) corpus.Ask { return w.Unknown(true) }},
	{"triage", 500, (*corpus.Writer).Triage},
	{"extract", 500, (*corpus.Writer).Extract},
	{"set point", 100, (*corpus.Writer).SetPoint},
	{"chat", 100, (*corpus.Writer).Chat},
}

// heldOut is an ask of the held-out set, with the tokens of its right answer.
type heldOut struct {
	Group  string `json:"group"`
	Kind   string `json:"kind"`
	System string `json:"system"`
	User   string `json:"user"`
	Answer string `json:"answer"`
	Prompt []int  `json:"prompt"`
	Tokens []int  `json:"tokens"` // of the answer, with the end of turn
}

// writeData makes everything that training reads: the tokenizer, n training
// asks as tokens, and the held-out asks.
func writeData(dir string, seed uint64, n, ending int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	w := corpus.NewWriter(seed, false)
	w.End(ending)
	asks := make([]corpus.Ask, n)
	for i := range asks {
		asks[i] = w.Next()
	}
	tok, err := trainTokenizer(asks[:min(n, 60_000)])
	if err != nil {
		return err
	}
	if err := saveTokenizer(filepath.Join(dir, "tokenizer.json"), tok); err != nil {
		return err
	}
	count, err := writeTokens(dir, tok, asks)
	if err != nil {
		return err
	}
	held := drawHeldOut(tok, seed)
	b, err := json.Marshal(held)
	if err != nil {
		return err
	}
	fmt.Printf("%d training asks, %.1f M tokens; %d held-out asks; %d tokens in the vocabulary\n",
		n, float64(count)/1e6, len(held), tok.Size())
	return os.WriteFile(filepath.Join(dir, "heldout.json"), b, 0o644)
}

func trainTokenizer(asks []corpus.Ask) (*bpe.Tokenizer, error) {
	texts := []string{"\n\n", "\n\n", "system user assistant"}
	for _, a := range asks {
		texts = append(texts, a.System, a.User, a.Answer)
	}
	return bpe.Train(texts, vocabulary)
}

func turns(a corpus.Ask) []bpe.Turn {
	if a.System == "" {
		return []bpe.Turn{{Role: "user", Text: a.User}}
	}
	return []bpe.Turn{{Role: "system", Text: a.System}, {Role: "user", Text: a.User}}
}

// writeTokens writes tokens.u16, all asks one after another, and index.u32,
// where each begins and how many of its tokens are prompt.
func writeTokens(dir string, tok *bpe.Tokenizer, asks []corpus.Ask) (count int, err error) {
	tokens, err := os.Create(filepath.Join(dir, "tokens.u16"))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, tokens.Close()) }()
	out := bufio.NewWriter(tokens)
	var index []byte
	for _, a := range asks {
		prompt := tok.Prompt(turns(a))
		index = binary.LittleEndian.AppendUint32(index, uint32(count))
		index = binary.LittleEndian.AppendUint32(index, uint32(len(prompt)))
		for _, id := range append(append(prompt, tok.Encode(a.Answer)...), tok.Special(bpe.EndOfTurn)) {
			count++
			if _, err := out.Write(binary.LittleEndian.AppendUint16(nil, uint16(id))); err != nil {
				return 0, err
			}
		}
	}
	index = binary.LittleEndian.AppendUint32(index, uint32(count))
	index = binary.LittleEndian.AppendUint32(index, 0)
	if err := out.Flush(); err != nil {
		return 0, err
	}
	return count, os.WriteFile(filepath.Join(dir, "index.u32"), index, 0o644)
}

func drawHeldOut(tok *bpe.Tokenizer, seed uint64) []heldOut {
	w := corpus.NewWriter(seed, true)
	var held []heldOut
	for _, g := range heldPerKind {
		for range g.n {
			a := g.draw(w)
			held = append(held, heldOut{
				Group: g.name, Kind: string(a.Kind), System: a.System, User: a.User, Answer: a.Answer,
				Prompt: tok.Prompt(turns(a)), Tokens: append(tok.Encode(a.Answer), tok.Special(bpe.EndOfTurn)),
			})
		}
	}
	return held
}

// saveTokenizer keeps the merges in bytes that JSON can hold.
func saveTokenizer(file string, tok *bpe.Tokenizer) error {
	var merges [][2][]byte
	for _, m := range tok.Merges() {
		merges = append(merges, [2][]byte{[]byte(m[0]), []byte(m[1])})
	}
	b, err := json.Marshal(merges)
	if err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o644)
}

func loadTokenizer(file string) (*bpe.Tokenizer, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var raw [][2][]byte
	if err := json.Unmarshal(b, &raw); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	merges := make([][2]string, len(raw))
	for i, m := range raw {
		merges[i] = [2]string{string(m[0]), string(m[1])}
	}
	return bpe.New(merges)
}
