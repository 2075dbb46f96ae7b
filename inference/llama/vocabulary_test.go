package llama_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"lineside/inference/engine/enginetest"
	"lineside/inference/llama"
	"lineside/inference/model/modeltest"
	"lineside/inference/model/shape"
)

func vocabulary(t testing.TB, name string) llama.Vocabulary {
	t.Helper()
	v, err := llama.LoadVocabulary(modeltest.Shared(t, "data", name))
	skipWithoutCgo(t, err)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// texts are what factories and their manuals write, and what breaks tokenizers.
var texts = []string{
	"Hello, World!",
	" leading and  double   spaces   ",
	"\n\n\t tabs\tand\r\nline ends\n",
	"0 1 12 123 1234 12345 1234567890 3.14159 -40°C 1e-9",
	"Drehmomentschlüssel für die Übergabestation: 12 Nm ± 5 %",
	"Ñandú, ça va? Æsir, žluťoučký kůň, Ελληνικά, русский, עברית, العربية",
	"停止输送带,检查传感器。コンベアを停止。 컨베이어 정지",
	"🛑 E-stop ⚠️ 👩🏽‍🔧 family 👨‍👩‍👧‍👦 flag 🇩🇪",
	"if (x[i] >= 0x1F && !done) { return *p++ / 2; } // \\n \"quoted\"",
	`{"machine":"M-042","temp":81.5,"ok":false,"tags":["a","b"]}`,
	"it's we'll they've I'M",
	strings.Repeat(" ", 50) + "x" + strings.Repeat("\n", 20),
	"zero\x00byte and \x7f control \x1b[31m",
}

func text(v llama.Vocabulary, ids []int32) string {
	var b strings.Builder
	for _, id := range ids {
		b.Write(v.Piece(id))
	}
	return b.String()
}

func TestRoundTrip(t *testing.T) {
	for _, file := range []string{"llama3-bpe-vocab.gguf", "llama2-spm-vocab.gguf"} {
		t.Run(file, func(t *testing.T) {
			v := vocabulary(t, file)
			enginetest.TestVocabulary(t, v)
			for _, s := range texts {
				ids, err := v.Tokenize(s, false)
				if err != nil {
					t.Fatal(err)
				}
				if got := text(v, ids); got != s {
					t.Errorf("round trip:\n got %q\nwant %q", got, s)
				}
			}
		})
	}
}

// TestKnownTokens holds the splitting to what Meta's own tokenizers give.
func TestKnownTokens(t *testing.T) {
	loaded := map[string]llama.Vocabulary{}
	for _, c := range []struct {
		file, text string
		special    bool
		want       []int32
	}{
		{"llama3-bpe-vocab.gguf", "Hello World", false, []int32{9906, 4435}},
		{"llama3-bpe-vocab.gguf", "Hello, y'all! How are you 😁 ?", false, []int32{9906, 11, 379, 65948, 0, 2650, 527, 499, 27623, 223, 949}},
		{"llama3-bpe-vocab.gguf", "1234567", false, []int32{4513, 10961, 22}},
		{"llama3-bpe-vocab.gguf", "<|begin_of_text|><|eot_id|>", true, []int32{128000, 128009}},
		{"llama3-bpe-vocab.gguf", "<|start_header_id|>user<|end_header_id|>\n\n", true, []int32{128006, 882, 128007, 271}},
		{"llama2-spm-vocab.gguf", " Hello World", false, []int32{15043, 2787}},
		{"llama2-spm-vocab.gguf", "Hello World", false, []int32{10994, 2787}},
		{"llama2-spm-vocab.gguf", "<s></s>", true, []int32{1, 2}},
		{"llama2-spm-vocab.gguf", "\n", false, []int32{13}},
	} {
		v, ok := loaded[c.file]
		if !ok {
			v = vocabulary(t, c.file)
			loaded[c.file] = v
		}
		got, err := v.Tokenize(c.text, c.special)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: Tokenize(%q, %v) = %v, %v; want %v", c.file, c.text, c.special, got, err, c.want)
		}
	}
}

func TestSpecialTokensAreTextInText(t *testing.T) {
	for file, names := range map[string][]string{
		"llama3-bpe-vocab.gguf": {"<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|python_tag|>"},
		"llama2-spm-vocab.gguf": {"<s>", "</s>", "<unk>"},
	} {
		v := vocabulary(t, file)
		for _, name := range names {
			ids, err := v.Tokenize("a"+name+"b", false)
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range ids {
				if len(v.Piece(id)) == 0 {
					t.Errorf("%s: text with %s gave special token %d: %v", file, name, id, ids)
				}
			}
			if got := text(v, ids); got != "a"+name+"b" {
				t.Errorf("%s: %q came back as %q", file, name, got)
			}
		}
	}
}

func TestVocabularyFacts(t *testing.T) {
	v := vocabulary(t, "llama3-bpe-vocab.gguf")
	if v.Size() != 128256 {
		t.Errorf("size %d", v.Size())
	}
	for id, want := range map[int32]bool{128001: true, 128009: true, 128000: false, 9906: false, -1: false, 1 << 30: false} {
		if v.EndOfGeneration(id) != want {
			t.Errorf("EndOfGeneration(%d) = %v", id, !want)
		}
	}
	for _, id := range []int32{-1, 128256, 128000, 128009} {
		if p := v.Piece(id); len(p) != 0 {
			t.Errorf("Piece(%d) = %q, want nothing", id, p)
		}
	}
}

// TestLongTexts guards against recursion and quadratic time: one word of a
// megabyte has no place to be split at.
func TestLongTexts(t *testing.T) {
	if testing.Short() {
		t.Skip("slow under emulation")
	}
	paths := map[string]string{"llama4": modeltest.Tiny(t, "tiny-llama4", shape.Q4_0)} // its pre-tokenizer runs on std::regex
	for _, file := range []string{"llama3-bpe-vocab.gguf", "llama2-spm-vocab.gguf"} {
		paths[file] = modeltest.Shared(t, "data", file)
	}
	for file, path := range paths {
		v, err := llama.LoadVocabulary(path)
		skipWithoutCgo(t, err)
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		for _, s := range []string{strings.Repeat("a", 1<<20), strings.Repeat(" ", 1<<20), strings.Repeat("!\"§", 1<<18)} {
			ids, err := v.Tokenize(s, false)
			if err != nil || len(ids) == 0 {
				t.Errorf("%s: %d tokens, %v", file, len(ids), err)
			}
		}
	}
}

func TestClosedVocabulary(t *testing.T) {
	v, err := llama.LoadVocabulary(modeltest.Shared(t, "data", "llama2-spm-vocab.gguf"))
	skipWithoutCgo(t, err)
	if err != nil {
		t.Fatal(err)
	}
	v.Close()
	v.Close()
	if _, err := v.Tokenize("x", false); err == nil {
		t.Error("a closed vocabulary tokenized")
	}
}

// skipWithoutCgo skips where err is the !cgo stub's.
func skipWithoutCgo(t testing.TB, err error) {
	t.Helper()
	if err != nil && errors.Is(err, llama.ErrNoCgo) {
		t.Skip("needs cgo: ", err)
	}
}
