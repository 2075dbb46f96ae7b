package enginetest

import (
	"bytes"
	"testing"

	"lineside/inference/engine"
)

// TestVocabulary is the suite that every Vocabulary passes.
func TestVocabulary(t *testing.T, voc engine.Vocabulary) {
	for _, text := range []string{
		"", "a", " ", "  two  spaces ", "The pump is hot.", `{"severity":"warning","n":[0,15,480]}`,
		"Grüße, 東京, 🙂 and \t tabs\n\nlines", "0123456789 3.14", "func main() {\n\treturn\n}",
	} {
		ids, err := voc.Tokenize(text, false)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		var back []byte
		for _, id := range ids {
			if id < 0 || int(id) >= voc.Size() {
				t.Fatalf("%q: token %d of %d", text, id, voc.Size())
			}
			if voc.EndOfGeneration(id) {
				t.Errorf("%q holds the end of an answer", text)
			}
			back = append(back, voc.Piece(id)...)
		}
		if !bytes.Equal(back, []byte(text)) {
			t.Errorf("%q came back as %q", text, back)
		}
	}
	ends := 0
	for id := range int32(voc.Size()) {
		if voc.EndOfGeneration(id) {
			ends++
			if len(voc.Piece(id)) > 0 {
				t.Errorf("token %d ends an answer and stands for %q", id, voc.Piece(id))
			}
		}
	}
	if ends == 0 {
		t.Error("no token ends an answer")
	}
	for _, id := range []int32{-1, int32(voc.Size()), 1 << 30} {
		if p := voc.Piece(id); len(p) > 0 {
			t.Errorf("token %d, which does not exist, stands for %q", id, p)
		}
	}
}
