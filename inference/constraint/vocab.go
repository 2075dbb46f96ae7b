package constraint

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// Vocab is a model's vocabulary as tries over bytes. It is built once per
// model and is safe for concurrent use.
//
// Tokens of plain characters only (those that may stand in a JSON string as
// they are) have a trie and ready masks of their own: inside a string all of
// them are legal at once, and only the others need a look.
type Vocab struct {
	pieces [][]byte
	eog    []int32
	ends   []bool // ends[id]: the token ends an answer

	plain, other trie
	upTo         [plainSteps + 1][]uint64 // upTo[n]: plain tokens of at most n characters
	all          []uint64                 // all plain tokens
	long         []int32                  // plain tokens of more than plainSteps characters, by their number
	longest      int32                    // characters of the longest plain token
	chars        []uint8                  // characters of a plain token
	giants       []int32                  // tokens too long for a trie
}

const (
	plainSteps = 16
	maxPiece   = 240 // bytes of a token in a trie
)

// NewVocab builds the tries. pieces[id] is the bytes that token id stands for;
// an empty piece is never legal. eog lists the tokens that end an answer.
// The slices are kept and must not change.
func NewVocab(pieces [][]byte, eog []int32) *Vocab {
	v := &Vocab{
		pieces: pieces, eog: eog,
		ends:  make([]bool, len(pieces)),
		chars: make([]uint8, len(pieces)),
		all:   make([]uint64, (len(pieces)+63)/64),
	}
	for _, id := range eog {
		if int(id) < len(pieces) && id >= 0 {
			v.ends[id] = true
		}
	}
	var plain, other []int32
	for i, p := range pieces {
		id := int32(i)
		switch n := plainChars(p); {
		case len(p) == 0 || v.ends[id]:
		case len(p) > maxPiece:
			v.giants = append(v.giants, id)
		case n > 0:
			plain = append(plain, id)
			v.chars[id] = uint8(n)
			v.longest = max(v.longest, int32(n))
		default:
			other = append(other, id)
		}
	}
	v.plain, v.other = v.trie(plain), v.trie(other)
	v.steps(plain)
	return v
}

// plainChars counts the characters of p; 0 if p is not plain throughout.
func plainChars(p []byte) int {
	n := 0
	for len(p) > 0 {
		r, size := utf8.DecodeRune(p)
		if r < 0x20 || r == '"' || r == '\\' || r == utf8.RuneError && size == 1 {
			return 0
		}
		n++
		p = p[size:]
	}
	return n
}

func (v *Vocab) steps(plain []int32) {
	for n := range v.upTo {
		v.upTo[n] = make([]uint64, v.Words())
	}
	for _, id := range plain {
		set(v.all, id)
		for n := int(v.chars[id]); n <= plainSteps; n++ {
			set(v.upTo[n], id)
		}
		if v.chars[id] > plainSteps {
			v.long = append(v.long, id)
		}
	}
	slices.SortFunc(v.long, func(a, b int32) int { return int(v.chars[a]) - int(v.chars[b]) })
}

// Size is the number of tokens.
func (v *Vocab) Size() int { return len(v.pieces) }

// Words is the length of a mask over the vocabulary.
func (v *Vocab) Words() int { return len(v.all) }

func set(mask []uint64, id int32) { mask[id>>6] |= 1 << (id & 63) }

// trie holds tokens as a tree in depth-first order: the children of a node
// follow it, and end jumps over its whole subtree.
type trie struct {
	nodes []trieNode
	more  map[int32][]int32 // further tokens of a node, where pieces are equal
}

type trieNode struct {
	end   int32
	id    int32 // token that ends here, or none
	depth uint8 // bytes up to and with this one
	b     byte
	more  bool
}

func (v *Vocab) trie(ids []int32) trie {
	slices.SortFunc(ids, func(a, b int32) int {
		if c := bytes.Compare(v.pieces[a], v.pieces[b]); c != 0 {
			return c
		}
		return int(a - b)
	})
	var t trie
	var path []int32 // nodes of the last piece
	var last []byte
	for _, id := range ids {
		p := v.pieces[id]
		same := 0
		for same < min(len(p), len(last)) && p[same] == last[same] {
			same++
		}
		t.leave(path[same:])
		path = path[:same]
		for i := same; i < len(p); i++ {
			path = append(path, int32(len(t.nodes)))
			t.nodes = append(t.nodes, trieNode{id: none, depth: uint8(i + 1), b: p[i]})
		}
		t.put(path[len(path)-1], id)
		last = p
	}
	t.leave(path)
	t.nodes = slices.Clip(t.nodes)
	return t
}

// leave ends the subtrees of nodes at the last node.
func (t *trie) leave(nodes []int32) {
	for _, n := range nodes {
		t.nodes[n].end = int32(len(t.nodes))
	}
}

func (t *trie) put(n, id int32) {
	if t.nodes[n].id == none {
		t.nodes[n].id = id
		return
	}
	if t.more == nil {
		t.more = map[int32][]int32{}
	}
	t.nodes[n].more = true
	t.more[n] = append(t.more[n], id)
}

// Bytes is about how much memory the tries and ready masks take, the pieces
// aside.
func (v *Vocab) Bytes() int {
	return (len(v.plain.nodes)+len(v.other.nodes))*12 + (len(v.upTo)+1)*8*v.Words() + 2*len(v.pieces) + 4*len(v.long)
}
