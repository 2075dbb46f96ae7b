package engine

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"testing"

	"lineside/inference"
	"lineside/inference/constraint"
)

// words is a vocabulary that knows whole words, and all else by the byte: the
// beginning of a word has other tokens than the word, as in a real one.
type words []string

var cut = regexp.MustCompile(`[a-z]+|[^a-z]`)

func (w words) Tokenize(text string, _ bool) ([]int32, error) {
	var ids []int32
	for _, part := range cut.FindAllString(text, -1) {
		if i := slices.Index(w, part); i >= 0 {
			ids = append(ids, int32(256+i))
			continue
		}
		for _, b := range []byte(part) {
			ids = append(ids, int32(b))
		}
	}
	return ids, nil
}

func (w words) Piece(id int32) []byte {
	switch {
	case id < 256:
		return []byte{byte(id)}
	case int(id) < 256+len(w):
		return []byte(w[id-256])
	}
	return nil
}

func (w words) EndOfGeneration(id int32) bool { return int(id) == 256+len(w) }

func (w words) Size() int { return 257 + len(w) }

// TestPlansLeaveEveryWord walks the plans along each answer that a format
// permits, in the tokens that the answer is trained with.
func TestPlansLeaveEveryWord(t *testing.T) {
	machines := []string{"depalletizer", "filler", "packer", "palletizer", "paller", "pack"}
	voc := newVocab(append(words{"machine", "minutes"}, machines...))
	schema := `{"type":"object","additionalProperties":false,"required":["machine","minutes"],"properties":{
		"machine":{"enum":["depalletizer","filler","packer","palletizer","paller","pack"]},"minutes":{"enum":[0,30,300,31]}}}`
	c, err := constraint.Compile(inference.Format{Kind: inference.FormatJSONSchema, Schema: json.RawMessage(schema)})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range machines {
		for _, n := range []int{0, 30, 300, 31} {
			answer := fmt.Sprintf(`{"machine":%q,"minutes":%d}`, m, n)
			ids, err := voc.Tokenize(answer, false)
			if err != nil {
				t.Fatal(err)
			}
			state, last := c.Start(), int32(-1)
			var p *plan
			for i, id := range ids {
				if len(p.next()) == 0 {
					if p, err = voc.lookAhead(state, last); err != nil {
						t.Fatal(err)
					}
				}
				if next := p.next(); len(next) > 0 {
					if !slices.Contains(next, id) {
						t.Fatalf("%s: token %d, %q, may not be chosen, only %v", answer, i, voc.Piece(id), next)
					}
					p.take(id)
				}
				if err := state.AcceptToken(voc.tries, id); err != nil {
					t.Fatal(err)
				}
				last = id
			}
		}
	}
}
