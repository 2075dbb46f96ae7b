package engine

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// deaf is a runtime that does as it is told; the ledger keeps the books.
type deaf struct{ Runtime }

func (deaf) Limits() Limits                 { return Limits{Cells: 500, Sequences: 12, Batch: 500, Vocab: 4} }
func (deaf) Decode([]Token) error           { return nil }
func (deaf) CopySeq(_, _, _, _ int32) error { return nil }
func (deaf) RemoveSeq(_, _, _ int32) error  { return nil }

// TestTree puts random token rows into a tree and holds it to a plain list of them.
func TestTree(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	cells := newLedger(deaf{})
	tr := newTree(cells)
	var pins [][]int32
	for range 5000 {
		row := make([]int32, 1+rng.IntN(30))
		for i := range row {
			row[i] = int32(rng.IntN(2))
		}
		switch op := rng.IntN(10); {
		case op < 7:
			n, from := tr.find(row)
			for cells.left() < 40 || len(cells.idle) < 2 {
				if ok, err := tr.evict(); err != nil {
					t.Fatal(err)
				} else if !ok {
					t.Fatalf("nothing to evict with %d cells and %d sequences left", cells.left(), len(cells.idle))
				}
			}
			if n2, from2 := tr.find(row); n2 <= n {
				n, from = n2, from2
			}
			seq, _ := cells.open()
			if rng.IntN(4) == 0 {
				n = 0 // computed again, as two asks at once might
			}
			if err := cells.share(from, seq, n); err != nil {
				t.Fatal(err)
			}
			for len(cells.seqs[seq]) < len(row) {
				cells.place(seq)
			}
			if err := tr.insert(row, seq, rng.IntN(len(row)+1)); err != nil {
				t.Fatal(err)
			}
			if n, _ := tr.find(row); n != len(row) {
				t.Fatalf("%v was inserted and %d tokens are found", row, n)
			}
		case op == 7 && len(pins) < 5:
			if _, n := tr.walk(row); n > 0 && tr.pin(row[:n]) {
				pins = append(pins, row[:n])
			}
		case op == 8 && len(pins) > 0:
			tr.unpin(pins[0])
			pins = slices.DeleteFunc(pins, func(p []int32) bool { return slices.Equal(p, pins[0]) })
		default:
			if _, err := tr.evict(); err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range pins {
			if n, _ := tr.find(p); n != len(p) {
				t.Fatalf("pinned %v: only %d tokens are left", p, n)
			}
		}
		checkTree(t, tr)
	}
}

// checkTree makes sure that every leaf's sequence holds its whole path, in the
// very cells that the other paths through the same nodes use.
func checkTree(t *testing.T, tr *tree) {
	t.Helper()
	size, leaves := 0, 0
	where := map[*node]int32{} // last cell of each node
	tr.each(&tr.root, nil, func(n *node, tokens []int32) {
		size += len(n.edge)
		if len(n.edge) == 0 || n.depth != len(tokens) || n.parent.next[n.edge[0]] != n {
			t.Fatalf("node %v is not where it should be", tokens)
		}
		if len(n.next) > 0 {
			return
		}
		leaves++
		held := tr.cells.seqs[n.seq]
		if len(held) != n.depth {
			t.Fatalf("leaf of depth %d has a sequence of %d", n.depth, len(held))
		}
		for up := n; up != &tr.root; up = up.parent {
			c := held[up.depth-1]
			if other, ok := where[up]; ok && other != c {
				t.Fatalf("node at depth %d lies in cells %d and %d", up.depth, c, other)
			}
			where[up] = c
		}
	})
	if size != tr.size || size != tr.cells.used() {
		t.Fatalf("tree of %d tokens, counted as %d, in %d cells", size, tr.size, tr.cells.used())
	}
	if free := len(tr.cells.idle) + leaves; free != len(tr.cells.seqs) {
		t.Fatalf("%d sequences are idle or a leaf's, of %d", free, len(tr.cells.seqs))
	}
}

func TestEvictOldestFirst(t *testing.T) {
	cells := newLedger(deaf{})
	tr := newTree(cells)
	put := func(row ...int32) {
		seq, _ := cells.open()
		for range row {
			cells.place(seq)
		}
		if err := tr.insert(row, seq, 3); err != nil {
			t.Fatal(err)
		}
	}
	put(1, 1, 1)
	put(2, 2, 2)
	put(1, 1, 3)
	tr.find([]int32{1, 1, 1})
	for _, want := range [][]int32{{2, 2, 2}, {1, 1, 3}} {
		if _, err := tr.evict(); err != nil {
			t.Fatal(err)
		}
		if n, _ := tr.find(want); n == len(want) {
			t.Errorf("%v is still there", want)
		}
	}
	if n, _ := tr.find([]int32{1, 1, 1}); n != 3 {
		t.Error("what was used last is gone")
	}
}
