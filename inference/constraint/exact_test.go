package constraint

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"lineside/inference"
	"lineside/inference/constraint/constrainttest"
)

// smallVocab has every byte, pieces that tokenizers make of JSON, and pieces
// that end within a character.
func smallVocab() *Vocab {
	return vocabOf(`{"`, `":`, `":"`, `",`, `","`, `"}`, `}}`, `},{"`, `[]`, `],"`, `true`, `false`, `null`, `tru`, `al`, `se}`, `st`, `stat`,
		`us":"`, `a`, `ab`, `abc`, `abcd`, `ok`, `okay`, `ok"`, `ok",`, `12`, `123`, `1.5`, `00`, `-1`, `e1`, `0.0`, ` `, `  `, `hello world`,
		"ä", "😀", "\xc3", "\xa4", "\xf0\x9f", "\x98\x80", "\x80\"", `\n`, `\u`, `\ud8`, `3d\ud`, `\\`, `\"`, `AB-`, `T1`, `2024-`, `-0`, `:1`, `,`, `,,`,
		strings.Repeat("a", 18), strings.Repeat(" ", 40), strings.Repeat("ab-", 7)+`"`)
}

// byHand is the mask that s should give: each token tried byte by byte.
func byHand(s State, voc *Vocab) []uint64 {
	mask := make([]uint64, voc.Words())
	for id := range int32(voc.Size()) {
		try := s
		if try.AcceptToken(voc, id) == nil {
			set(mask, id)
		}
	}
	return mask
}

// bytesByHand is the set of bytes that may follow, each tried.
func bytesByHand(s State) (set [4]uint64, legal []byte) {
	for b := range 256 {
		try := s
		if try.AcceptBytes([]byte{byte(b)}) == nil {
			set[b>>6] |= 1 << (b & 63)
			legal = append(legal, byte(b))
		}
	}
	return set, legal
}

// forcedByHand walks on as long as there is but one byte that leads anywhere.
func forcedByHand(s State) []byte {
	var text []byte
	for len(text) < maxForced && !s.CanStop() {
		_, legal := bytesByHand(s)
		if len(legal) != 1 || s.AcceptBytes(legal) != nil {
			break
		}
		text = append(text, legal[0])
	}
	return text
}

// TestMasksAreExact walks random schemas by random tokens and compares at each
// place masks, questions, bytes and forced text with brute force.
func TestMasksAreExact(t *testing.T) {
	n := tries() / 3
	voc := smallVocab()
	mask := make([]uint64, voc.Words())
	for seed := range uint64(n) {
		r := rand.New(rand.NewPCG(seed, 5))
		schema := constrainttest.Schema(r)
		c, err := Compile(inference.Format{Kind: inference.FormatJSONSchema, Schema: json.RawMessage(schema)})
		if err != nil {
			continue
		}
		s := c.Start()
		var text []byte
		for range 25 {
			s.Mask(voc, mask)
			if want := byHand(s, voc); !slices.Equal(mask, want) {
				t.Fatalf("seed %d: schema %s\nafter %q the mask differs: %s", seed, schema, text, maskDiff(voc, mask, want))
			}
			s.Mask(voc, mask) // remembered
			if want := byHand(s, voc); !slices.Equal(mask, want) {
				t.Fatalf("seed %d: schema %s\nafter %q the remembered mask differs", seed, schema, text)
			}
			if want, _ := bytesByHand(s); s.Following() != want {
				t.Fatalf("seed %d: schema %s\nafter %q the bytes that follow differ", seed, schema, text)
			}
			if got, want := s.Forced(), forcedByHand(s); !slices.Equal(got, want) {
				t.Fatalf("seed %d: schema %s\nafter %q forced is %q; want %q", seed, schema, text, got, want)
			}
			id := pick(r, mask)
			if !s.AllowsToken(voc, id) {
				t.Fatalf("seed %d: schema %s\nafter %q token %d is in the mask but not allowed", seed, schema, text, id)
			}
			if err := s.AcceptToken(voc, id); err != nil {
				t.Fatal(err)
			}
			if s.Done() {
				break
			}
			text = append(text, voc.pieces[id]...)
		}
	}
}

func maskDiff(voc *Vocab, got, want []uint64) (diff []string) {
	for id := range voc.Size() {
		if g, w := got[id>>6]>>(id&63)&1, want[id>>6]>>(id&63)&1; g != w {
			diff = append(diff, string(voc.pieces[id]))
		}
	}
	return diff
}

// TestClosingIsShortest compares with a plain breadth-first search.
func TestClosingIsShortest(t *testing.T) {
	for seed := range uint64(tries() / 3) {
		r := rand.New(rand.NewPCG(seed, 6))
		schema := constrainttest.Schema(r)
		c, err := Compile(inference.Format{Kind: inference.FormatJSONSchema, Schema: json.RawMessage(schema)})
		if err != nil {
			continue
		}
		for range 3 {
			s := c.Start()
			text := walk(t, r, &s, r.IntN(60))
			closing, ok := s.Closing(1 << 20)
			if !ok {
				t.Fatalf("schema %s\nno closing after %q", schema, text)
			}
			if want := distance(c, s.at, len(closing)); want != len(closing) {
				t.Fatalf("schema %s\nafter %q closing %q has %d bytes; %d would do", schema, text, closing, len(closing), want)
			}
			if _, ok := s.Closing(len(closing) - 1); ok && len(closing) > 0 {
				t.Fatalf("closing beyond its limit")
			}
		}
	}
}

// distance is the number of bytes from s to an end, at most limit.
func distance(c *Constraint, s *dstate, limit int) int {
	seen := map[*dstate]bool{s: true}
	for n, layer := 0, []*dstate{s}; n < limit && len(seen) < 3000; n++ {
		var next []*dstate
		for _, at := range layer {
			if at.accept {
				return n
			}
			for _, b := range c.dfa.m.reps {
				if to := c.dfa.step(at, b); to != nil && !seen[to] {
					seen[to] = true
					next = append(next, to)
				}
			}
		}
		layer = next
	}
	return limit
}
