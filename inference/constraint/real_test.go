package constraint

import (
	"math/bits"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"lineside/inference/model/gguf"
)

// llama3 is the vocabulary of Llama 3, read from the shared data.
func llama3(t testing.TB) *Vocab {
	return readVocab(t, "llama3-bpe-vocab.gguf", byteLevel)
}

// llama2 is the vocabulary of Llama 2, which is SentencePiece's.
func llama2(t testing.TB) *Vocab {
	return readVocab(t, "llama2-spm-vocab.gguf", func(tok string) []byte {
		return []byte(strings.ReplaceAll(tok, "▁", " "))
	})
}

// Kinds of tokens in a GGUF file.
const (
	kindText = 1
	kindByte = 6
)

func readVocab(t testing.TB, name string, piece func(string) []byte) *Vocab {
	t.Helper()
	shared := os.Getenv("LINESIDE_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "shared")
	}
	f, err := gguf.Open(filepath.Join(shared, "data", name))
	if err != nil {
		t.Skipf("no vocabulary: %v", err)
	}
	defer f.Close()
	tokens, err := f.Strings("tokenizer.ggml.tokens")
	if err != nil {
		t.Fatal(err)
	}
	kinds, err := f.Uints("tokenizer.ggml.token_type")
	if err != nil {
		t.Fatal(err)
	}
	pieces, eog := make([][]byte, len(tokens)), []int32{}
	for i, tok := range tokens {
		switch {
		case kinds[i] == kindText:
			pieces[i] = piece(tok)
		case kinds[i] == kindByte: // <0x0A>
			b, err := strconv.ParseUint(tok[3:5], 16, 8)
			if err != nil {
				t.Fatal(err)
			}
			pieces[i] = []byte{byte(b)}
		case tok == "<|eot_id|>" || tok == "<|end_of_text|>" || tok == "</s>":
			eog = append(eog, int32(i))
		}
	}
	return NewVocab(pieces, eog)
}

// byteLevel undoes GPT-2's spelling of bytes as printable characters.
func byteLevel(tok string) []byte {
	var out []byte
	for _, r := range tok {
		switch {
		case r >= 0x121 && r < 0x143:
			r = r - 0x121 + 0x7f
		case r == 0x143:
			r = 0xad
		case r >= 0x100:
			r -= 0x100
		}
		out = append(out, byte(r))
	}
	return out
}

// TestRealMasks compares masks over real vocabularies with asking for every token.
func TestRealMasks(t *testing.T) {
	t.Run("llama 2", func(t *testing.T) { checkMasks(t, llama2(t)) })
	t.Run("llama 3", func(t *testing.T) { checkMasks(t, llama3(t)) })
}

func checkMasks(t *testing.T, voc *Vocab) {
	mask := make([]uint64, voc.Words())
	for _, p := range places {
		s := compileSchema(t, p.schema).Start()
		if err := s.AcceptBytes([]byte(p.text)); err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(3, 3))
		for n := 0; n < 20 && !s.Done(); n++ {
			s.Mask(voc, mask)
			for id := range int32(voc.Size()) {
				if in := mask[id>>6]>>(id&63)&1 != 0; in != s.AllowsToken(voc, id) {
					t.Fatalf("%s, token %d %q after %d tokens: in the mask is %v", p.name, id, voc.pieces[id], n, in)
				}
			}
			if err := s.AcceptToken(voc, pick(r, mask)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func BenchmarkNewVocab(b *testing.B) {
	v := llama3(b)
	b.ReportAllocs()
	for b.Loop() {
		v = NewVocab(v.pieces, v.eog)
	}
	b.ReportMetric(float64(v.Bytes()), "vocab-bytes")
}

// places are answers in the making of every kind, for benchmarks.
var places = []struct{ name, schema, text string }{
	{"structure", plantSchema, ``},
	{"enum", plantSchema, `{"severity":"`},
	{"digits", `{"type":"number"}`, `1`},
	{"range", `{"type":"integer","minimum":0,"maximum":5000}`, `4`},
	{"string", `{"type":"string"}`, `"x`},
	{"string-max-200", `{"type":"string","maxLength":200}`, `"some text`},
	{"string-nearly-full", `{"type":"string","maxLength":200}`, `"` + string(make200()) + `abc`},
	{"pattern", `{"type":"string","pattern":"^[A-Z]{2}-\\d{4}$"}`, `"AB-`},
	{"pattern-open", `{"type":"string","pattern":"^[^<>]*$","maxLength":100}`, `"AB-`},
	{"anything", `{}`, ``},
	{"key", `{"type":"object","properties":{"status":true},"additionalProperties":true}`, `{"`},
}

func make200() []byte {
	t := make([]byte, 190)
	for i := range t {
		t[i] = 'x'
	}
	return t
}

// BenchmarkMask is the cost of a whole mask, first without its being
// remembered, then as answers meet it.
func BenchmarkMask(b *testing.B) {
	voc := llama3(b)
	dst := make([]uint64, voc.Words())
	for _, p := range places {
		c := compileSchema(b, p.schema)
		s := c.Start()
		if err := s.AcceptBytes([]byte(p.text)); err != nil {
			b.Fatal(err)
		}
		b.Run(p.name+"/walked", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.at.mask.Store(nil)
				c.dfa.masks = maskCache{}
				s.Mask(voc, dst)
			}
		})
		b.Run(p.name+"/met", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Mask(voc, dst)
			}
		})
	}
}

// BenchmarkAnswer is the cost of a token in answers of random legal tokens:
// one mask, one question and one step each.
func BenchmarkAnswer(b *testing.B) {
	voc := llama3(b)
	for _, p := range places {
		c := compileSchema(b, p.schema)
		b.Run(p.name, func(b *testing.B) {
			b.ReportAllocs()
			dst := make([]uint64, voc.Words())
			r := rand.New(rand.NewPCG(1, 1))
			s := c.Start()
			for b.Loop() {
				s.Mask(voc, dst)
				id := pick(r, dst)
				if !s.AllowsToken(voc, id) {
					b.Fatal("mask and question differ")
				}
				if err := s.AcceptToken(voc, id); err != nil {
					b.Fatal(err)
				}
				if s.Done() {
					s = c.Start()
				}
			}
		})
	}
}

// pick is a random bit of mask.
func pick(r *rand.Rand, mask []uint64) int32 {
	at := r.IntN(len(mask))
	for mask[at] == 0 {
		at = (at + 1) % len(mask)
	}
	w := mask[at]
	for range r.IntN(bits.OnesCount64(w)) {
		w &= w - 1
	}
	return int32(at*64 + bits.TrailingZeros64(w))
}

func BenchmarkAllowsToken(b *testing.B) {
	voc := llama3(b)
	for _, p := range places {
		c := compileSchema(b, p.schema)
		s := c.Start()
		if err := s.AcceptBytes([]byte(p.text)); err != nil {
			b.Fatal(err)
		}
		mask := make([]uint64, voc.Words())
		s.Mask(voc, mask)
		id := pick(rand.New(rand.NewPCG(1, 1)), mask)
		b.Run(p.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.AllowsToken(voc, id)
			}
		})
	}
}

func BenchmarkClosing(b *testing.B) {
	for _, p := range places {
		c := compileSchema(b, p.schema)
		s := c.Start()
		if err := s.AcceptBytes([]byte(p.text)); err != nil {
			b.Fatal(err)
		}
		b.Run(p.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Closing(4096)
			}
		})
	}
}

func BenchmarkForced(b *testing.B) {
	s := compileSchema(b, plantSchema).Start()
	b.ReportAllocs()
	for b.Loop() {
		s.Forced()
	}
}

func BenchmarkCompile(b *testing.B) {
	for _, p := range places {
		b.Run(p.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				compileSchema(b, p.schema)
			}
		})
	}
}
