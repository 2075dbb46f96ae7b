package enginetest

import (
	"bytes"
	"fmt"
	"strings"
)

// Special tokens of the fake vocabulary; their ids stand behind all others.
const (
	BOS   = "<|bos|>"
	Start = "<|start|>" // opens a message, before its role
	Text  = "<|text|>"  // between role and content
	EOT   = "<|eot|>"   // ends a message, and an answer
)

var specials = []string{BOS, Start, Text, EOT}

// corpus is what the fake's merges are learned from: enough JSON and English to
// get tokens that span quotes, commas and words, as real vocabularies have.
const corpus = `{"severity":"warning","action":"reduce_speed","component":"main_spindle","within_minutes":15,"ok":true}
{"severity":"critical","action":"stop_line","component":"coolant_pump","within_minutes":0,"ok":false}
[{"id":100,"name":"pump"},{"id":200,"name":"valve"},{"id":null,"name":""}]
["a","b","c"] [1,2,3] {"a":1,"b":[],"c":{}} {"note":"the pump is hot, stop the pump and call maintenance"}
The pump at the main spindle is hot. The valve is open. Stop the line and call maintenance.
`

// Vocabulary is a byte-pair vocabulary of a few hundred tokens: every byte,
// merges learned from a small corpus, and the specials.
type Vocabulary struct {
	pieces [][]byte
	rank   map[[2]int32]int32 // pair to the token it merges to; lower merges first
	first  int32              // id of the first special
}

// NewVocabulary learns the fake vocabulary. It is the same every time.
func NewVocabulary() *Vocabulary {
	v := &Vocabulary{rank: map[[2]int32]int32{}}
	for b := range 256 {
		v.pieces = append(v.pieces, []byte{byte(b)})
	}
	ids := bytesAsTokens(corpus)
	for range 180 {
		count, best := map[[2]int32]int{}, [2]int32{-1, -1}
		for i := 1; i < len(ids); i++ {
			p := [2]int32{ids[i-1], ids[i]}
			if v.pieces[p[0]][0] == '\n' || v.pieces[p[1]][0] == '\n' {
				continue
			}
			count[p]++
			if c := count[p]; c > count[best] || c == count[best] && (p[0] < best[0] || p[0] == best[0] && p[1] < best[1]) {
				best = p
			}
		}
		if count[best] < 2 {
			break
		}
		id := int32(len(v.pieces))
		v.pieces = append(v.pieces, bytes.Join([][]byte{v.pieces[best[0]], v.pieces[best[1]]}, nil))
		v.rank[best] = id
		ids = merge(ids, best, id)
	}
	v.first = int32(len(v.pieces))
	return v
}

func bytesAsTokens(s string) []int32 {
	ids := make([]int32, len(s))
	for i := range len(s) {
		ids[i] = int32(s[i])
	}
	return ids
}

// merge replaces every pair in ids, in place.
func merge(ids []int32, pair [2]int32, id int32) []int32 {
	out := ids[:0]
	for i := 0; i < len(ids); i++ {
		if i+1 < len(ids) && ids[i] == pair[0] && ids[i+1] == pair[1] {
			out = append(out, id)
			i++
			continue
		}
		out = append(out, ids[i])
	}
	return out
}

// Tokenize implements engine.Vocabulary.
func (v *Vocabulary) Tokenize(text string, special bool) ([]int32, error) {
	var out []int32
	for special {
		at, which := -1, 0
		for i, name := range specials {
			if k := strings.Index(text, name); k >= 0 && (at < 0 || k < at) {
				at, which = k, i
			}
		}
		if at < 0 {
			break
		}
		out = append(out, v.plain(text[:at])...)
		out = append(out, v.first+int32(which))
		text = text[at+len(specials[which]):]
	}
	return append(out, v.plain(text)...), nil
}

// plain merges the pair of lowest rank until none is left.
func (v *Vocabulary) plain(text string) []int32 {
	ids := bytesAsTokens(text)
	for {
		best, pair := int32(-1), [2]int32{}
		for i := 1; i < len(ids); i++ {
			p := [2]int32{ids[i-1], ids[i]}
			if id, ok := v.rank[p]; ok && (best < 0 || id < best) {
				best, pair = id, p
			}
		}
		if best < 0 {
			return ids
		}
		ids = merge(ids, pair, best)
	}
}

// Piece implements engine.Vocabulary.
func (v *Vocabulary) Piece(id int32) []byte {
	if id < 0 || id >= v.first {
		return nil
	}
	return v.pieces[id]
}

// EndOfGeneration implements engine.Vocabulary.
func (v *Vocabulary) EndOfGeneration(id int32) bool { return id == v.Special(EOT) }

// Size implements engine.Vocabulary.
func (v *Vocabulary) Size() int { return int(v.first) + len(specials) }

// Special is the id of a special token by its name.
func (v *Vocabulary) Special(name string) int32 {
	for i, s := range specials {
		if s == name {
			return v.first + int32(i)
		}
	}
	panic(fmt.Sprintf("enginetest: no special token %q", name))
}

// String is the text of tokens, for messages of tests.
func (v *Vocabulary) String(ids []int32) string {
	var b strings.Builder
	for _, id := range ids {
		if id >= v.first && int(id) < v.Size() {
			b.WriteString(specials[id-v.first])
			continue
		}
		b.Write(v.Piece(id))
	}
	return b.String()
}
