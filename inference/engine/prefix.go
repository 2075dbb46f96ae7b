package engine

import (
	"cmp"
	"maps"
	"slices"
)

// tree remembers what ended asks left in the cache: a radix tree over token
// ids. Every leaf owns one sequence that holds all cells from the root to it,
// so any path in the tree can be shared by a new ask. Nodes are dropped leaf
// by leaf, tails first, longest unused first; pinned ones stay.
type tree struct {
	cells *ledger
	root  node
	clock uint64
	size  int // tokens in all edges
}

type node struct {
	parent *node
	edge   []int32
	depth  int // tokens from the root to the end of edge
	next   map[int32]*node
	seq    int32 // of a leaf
	used   uint64
	pinned bool
	tail   bool // an ask's own: its last message and its answer
}

func newTree(cells *ledger) *tree {
	return &tree{cells: cells, root: node{next: map[int32]*node{}}}
}

// find returns the longest prefix of tokens that the tree holds, and a
// sequence that has it. It counts as a use.
func (t *tree) find(tokens []int32) (n int, seq int32) {
	at, n := t.walk(tokens)
	if n == 0 {
		return 0, 0
	}
	t.touch(at)
	return n, at.leaf().seq
}

// walk follows tokens down and returns the node in whose edge they end.
func (t *tree) walk(tokens []int32) (at *node, n int) {
	at = &t.root
	for n < len(tokens) {
		child := at.next[tokens[n]]
		if child == nil {
			break
		}
		k := common(child.edge, tokens[n:])
		n += k
		at = child
		if k < len(child.edge) {
			break
		}
	}
	return at, n
}

func common(a, b []int32) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

func (t *tree) touch(at *node) {
	t.clock++
	for ; at != nil; at = at.parent {
		at.used = t.clock
	}
}

// leaf is any leaf below a node: its sequence holds the node's tokens too.
func (n *node) leaf() *node {
	for len(n.next) > 0 {
		for _, child := range n.next {
			n = child
			break
		}
	}
	return n
}

// insert hands the sequence seq, which holds exactly tokens, over to the tree.
// What the tree holds already is not kept twice. The first prefix tokens are
// likely to be asked for again; the rest is a tail.
func (t *tree) insert(tokens []int32, seq int32, prefix int) error {
	if err := t.hang(tokens, seq); err != nil {
		return err
	}
	if prefix = min(prefix, len(tokens)); prefix == 0 {
		return nil
	}
	at, _ := t.walk(tokens[:prefix])
	for at = t.split(at, prefix); at != nil; at = at.parent {
		at.tail = false
	}
	return nil
}

// hang adds the tokens that the tree does not hold as a tail.
func (t *tree) hang(tokens []int32, seq int32) error {
	at, n := t.walk(tokens)
	if n == len(tokens) {
		t.touch(at)
		return t.cells.close(seq)
	}
	if n > 0 {
		var err error
		if seq, err = t.cells.unify(at.leaf().seq, seq, n); err != nil {
			return err
		}
	}
	at = t.split(at, n)
	leaf := &node{parent: at, edge: slices.Clone(tokens[n:]), depth: len(tokens), next: map[int32]*node{}, seq: seq, tail: true}
	if at != &t.root && len(at.next) == 0 { // what was a leaf now lies on the new one's way
		if err := t.cells.close(at.seq); err != nil {
			return err
		}
	}
	at.next[tokens[n]] = leaf
	t.size += len(leaf.edge)
	t.touch(leaf)
	return nil
}

// split makes a node end at depth n, which lies in its edge or at its end.
func (t *tree) split(at *node, n int) *node {
	if at == &t.root || at.depth == n {
		return at
	}
	cut := len(at.edge) - (at.depth - n)
	upper := &node{parent: at.parent, edge: at.edge[:cut:cut], depth: n, next: map[int32]*node{at.edge[cut]: at}, used: at.used, tail: at.tail}
	at.parent.next[at.edge[0]] = upper
	at.parent, at.edge = upper, at.edge[cut:]
	return upper
}

// pin keeps tokens, which the tree must hold, until unpin.
func (t *tree) pin(tokens []int32) bool {
	at, n := t.walk(tokens)
	if n < len(tokens) || n == 0 {
		return false
	}
	t.split(at, n).pinned = true
	t.touch(at)
	return true
}

func (t *tree) unpin(tokens []int32) {
	if at, n := t.walk(tokens); n == len(tokens) && n > 0 && at.depth == n {
		at.pinned = false
	}
}

func (t *tree) isPinned(tokens []int32) bool {
	at, n := t.walk(tokens)
	return n == len(tokens) && n > 0 && at.depth == n && at.pinned
}

// unpinOldest lets the pinned prefix go that was not used for longest.
func (t *tree) unpinOldest() {
	var old *node
	t.each(&t.root, nil, func(n *node, _ []int32) {
		if n.pinned && (old == nil || n.used < old.used) {
			old = n
		}
	})
	if old != nil {
		old.pinned = false
	}
}

// pinned calls f for every pinned prefix, with a sequence that holds it.
func (t *tree) pinned(f func(tokens []int32, seq int32)) {
	t.each(&t.root, nil, func(n *node, tokens []int32) {
		if n.pinned {
			f(slices.Clone(tokens), n.leaf().seq)
		}
	})
}

func (t *tree) each(n *node, tokens []int32, f func(*node, []int32)) {
	for _, id := range slices.Sorted(maps.Keys(n.next)) {
		child := n.next[id]
		path := append(tokens, child.edge...)
		f(child, path)
		t.each(child, path, f)
	}
}

// pinnedSize is how many tokens lie on the way to pinned nodes.
func (t *tree) pinnedSize() int {
	size := 0
	var walk func(*node) bool
	walk = func(n *node) bool {
		keep := n.pinned
		for _, child := range n.next {
			if walk(child) {
				keep = true
			}
		}
		if keep {
			size += len(n.edge)
		}
		return keep
	}
	walk(&t.root)
	return size
}

// evict drops the leaf that was not used for longest, of the tails if there are
// any. It reports whether there was one to drop; cells that a running ask
// shares stay with that ask.
func (t *tree) evict() (bool, error) {
	var leaves []*node
	t.each(&t.root, nil, func(n *node, _ []int32) {
		if len(n.next) == 0 && !n.pinned {
			leaves = append(leaves, n)
		}
	})
	if len(leaves) == 0 {
		return false, nil
	}
	old := slices.MinFunc(leaves, func(a, b *node) int {
		if a.tail != b.tail {
			if a.tail {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.used, b.used)
	})
	up := old.parent
	delete(up.next, old.edge[0])
	t.size -= len(old.edge)
	if up == &t.root || len(up.next) > 0 {
		return true, t.cells.close(old.seq)
	}
	up.seq = old.seq // the parent is the leaf now
	return true, t.cells.trim(up.seq, up.depth)
}

// shrink drops leaves until no more than budget tokens are left, pinned ones
// aside, and no more than tails of them in tails.
func (t *tree) shrink(budget, tails int) error {
	budget += t.pinnedSize()
	for t.size > budget || t.tailSize() > tails {
		if ok, err := t.evict(); !ok || err != nil {
			return err
		}
	}
	return nil
}

// tailSize is how many tokens lie in tails.
func (t *tree) tailSize() int {
	size := 0
	t.each(&t.root, nil, func(n *node, _ []int32) {
		if n.tail {
			size += len(n.edge)
		}
	})
	return size
}

// forget empties the tree without touching the cache, which was cleared.
func (t *tree) forget() { *t = *newTree(t.cells) }
