package enginetest

import (
	"errors"
	"math"
	"slices"
	"sync"
	"testing"

	"lineside/inference/engine"
)

// TestRuntime is the suite that every Runtime passes. open makes one with at
// least 64 cells, 4 sequences and batches of 32, empty; the suite never closes it.
func TestRuntime(t *testing.T, open func(t *testing.T) (engine.Runtime, engine.Vocabulary)) {
	for name, test := range map[string]func(*testing.T, *bench){
		"Limits":     testLimits,
		"Chunks":     testChunks,
		"Neighbours": testNeighbours,
		"Share":      testShare,
		"Rollback":   testRollback,
		"Full":       testFull,
		"Abort":      testAbort,
		"State":      testState,
		"Fresh":      testFresh,
		"Release":    testRelease,
		"Threads":    testThreads,
		"BadBatch":   testBadBatch,
	} {
		t.Run(name, func(t *testing.T) {
			rt, voc := open(t)
			test(t, &bench{T: t, rt: rt, voc: voc, text: sample(t, voc)})
		})
	}
}

// bench is a runtime under test, with tokens to feed it.
type bench struct {
	*testing.T
	rt   engine.Runtime
	voc  engine.Vocabulary
	text []int32 // 24 tokens
}

func sample(t *testing.T, voc engine.Vocabulary) []int32 {
	t.Helper()
	ids, err := voc.Tokenize("The pump at the main spindle is hot, so stop line 4 and call maintenance at once: valve 7 is open.", false)
	if err != nil {
		t.Fatal(err)
	}
	for len(ids) < 24 {
		ids = append(ids, ids...)
	}
	return ids[:24]
}

// feed decodes tokens into a sequence from a position and returns the logits of the last.
func (b *bench) feed(seq, pos int32, ids ...int32) []float32 {
	b.Helper()
	if err := b.try(seq, pos, ids...); err != nil {
		b.Fatalf("decode %d tokens at position %d of sequence %d: %v", len(ids), pos, seq, err)
	}
	return b.logits(len(ids) - 1)
}

func (b *bench) try(seq, pos int32, ids ...int32) error {
	return b.rt.Decode(run(seq, pos, ids...))
}

func run(seq, pos int32, ids ...int32) []engine.Token {
	batch := make([]engine.Token, len(ids))
	for i, id := range ids {
		batch[i] = engine.Token{ID: id, Pos: pos + int32(i), Seqs: []int32{seq}, Logits: i == len(ids)-1}
	}
	return batch
}

func (b *bench) logits(i int) []float32 {
	b.Helper()
	l, err := b.rt.Logits(i)
	if err != nil {
		b.Fatalf("logits of place %d: %v", i, err)
	}
	return append([]float32(nil), l...)
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// near asks for the same logits up to rounding.
func (b *bench) near(what string, got, want []float32) {
	b.Helper()
	var diff, scale float64
	for i := range want {
		diff = max(diff, math.Abs(float64(got[i]-want[i])))
		scale = max(scale, math.Abs(float64(want[i])))
	}
	if !(diff <= 0.02*scale+1e-4) {
		b.Errorf("%s: logits are off by %g where the largest is %g", what, diff, scale)
	}
}

// differs asks for other logits: what should count must count.
func (b *bench) differs(what string, got, other []float32) {
	b.Helper()
	for i := range got {
		if math.Abs(float64(got[i]-other[i])) > 1e-3 {
			return
		}
	}
	b.Errorf("%s: the logits are the same", what)
}

func testLimits(t *testing.T, b *bench) {
	l := b.rt.Limits()
	if l.Cells < 64 || l.Sequences < 4 || l.Batch < 32 {
		t.Errorf("limits %+v: the suite needs 64 cells, 4 sequences, batches of 32", l)
	}
	if l.Vocab != b.voc.Size() {
		t.Errorf("runtime speaks of %d tokens, vocabulary of %d", l.Vocab, b.voc.Size())
	}
	if got := len(b.feed(0, 0, b.text...)); got != l.Vocab {
		t.Errorf("%d logits for %d tokens", got, l.Vocab)
	}
	if _, err := b.rt.Logits(0); err == nil {
		t.Error("logits where none were asked for")
	}
	for _, i := range []int{-1, len(b.text), 1 << 20} {
		if _, err := b.rt.Logits(i); err == nil {
			t.Errorf("logits of batch place %d", i)
		}
	}
}

func testChunks(t *testing.T, b *bench) {
	whole := b.feed(0, 0, b.text...)
	b.feed(1, 0, b.text[:7]...)
	b.near("in chunks of 7 and 17", b.feed(1, 7, b.text[7:]...), whole)
	var last []float32
	for i, id := range b.text {
		last = b.feed(2, int32(i), id)
	}
	b.near("one by one", last, whole)
	batch := run(3, 0, b.text...)
	for i := range batch {
		batch[i].Logits = true
	}
	b.must(b.rt.Decode(batch))
	b.near("with logits at every place", b.logits(len(batch)-1), whole)
	b.differs("another place", b.logits(len(batch)-2), whole)
}

func testNeighbours(t *testing.T, b *bench) {
	one := b.feed(0, 0, b.text[:12]...)
	two := b.feed(1, 0, b.text[12:]...)
	b.must(b.rt.RemoveSeq(0, 0, -1))
	b.must(b.rt.RemoveSeq(1, 0, -1))
	var batch []engine.Token
	for i := range 12 { // interleaved
		batch = append(batch,
			engine.Token{ID: b.text[i], Pos: int32(i), Seqs: []int32{0}, Logits: i == 11},
			engine.Token{ID: b.text[12+i], Pos: int32(i), Seqs: []int32{1}, Logits: i == 11})
	}
	b.must(b.rt.Decode(batch))
	b.near("first of two", b.logits(22), one)
	b.near("second of two", b.logits(23), two)
	// A place of two sequences is read by both.
	both := b.feed(2, 0, b.text[:4]...)
	b.must(b.rt.RemoveSeq(2, 0, -1))
	batch = run(2, 0, b.text[:3]...)
	for i := range batch {
		batch[i].Seqs = []int32{2, 3}
	}
	b.must(b.rt.Decode(batch))
	b.near("shared places, sequence 2", b.feed(2, 3, b.text[3]), both)
	b.near("shared places, sequence 3", b.feed(3, 3, b.text[3]), both)
}

func testShare(t *testing.T, b *bench) {
	n := int32(len(b.text) - 1)
	want := b.feed(0, 0, b.text...)
	for _, dst := range []int32{1, 2} {
		b.must(b.rt.CopySeq(0, dst, 0, n))
		b.near("after a shared prefix", b.feed(dst, n, b.text[n]), want)
	}
	b.must(b.rt.RemoveSeq(0, 0, -1)) // the owner goes, the others stay
	b.must(b.rt.RemoveSeq(1, n, -1))
	b.near("after the owner went", b.feed(1, n, b.text[n]), want)
	b.must(b.rt.CopySeq(2, 3, 0, -1))
	b.near("of a whole sequence", b.feed(3, n+1, b.text[0]), b.feed(2, n+1, b.text[0]))
	b.must(b.rt.RemoveSeq(2, 0, -1))
	b.must(b.rt.CopySeq(3, 2, 0, 8))
	b.must(b.rt.CopySeq(1, 2, 8, n)) // a prefix out of two owners
	b.near("out of two owners", b.feed(2, n, b.text[n]), want)
}

func testRollback(t *testing.T, b *bench) {
	b.feed(0, 0, b.text[:12]...)
	want := b.feed(0, 12, b.text[12:20]...)
	b.must(b.rt.RemoveSeq(0, 12, -1))
	b.differs("another continuation", b.feed(0, 12, b.text[0], b.text[1]), want)
	b.must(b.rt.RemoveSeq(0, 12, -1))
	b.near("after a rollback", b.feed(0, 12, b.text[12:20]...), want)
}

// testFull fills every cell: sharing takes none, ErrNoCells changes nothing.
func testFull(t *testing.T, b *bench) {
	want := b.feed(0, 0, b.text...)
	b.must(b.rt.RemoveSeq(0, int32(len(b.text))-1, -1))
	b.must(b.rt.CopySeq(0, 1, 0, -1))
	b.must(b.rt.CopySeq(0, 2, 0, -1))
	left := b.rt.Limits().Cells - (len(b.text) - 1)
	pos := int32(0)
	for left > 2 {
		n := min(left-2, 16)
		b.feed(3, pos, b.text[:n]...)
		pos, left = pos+int32(n), left-n
	}
	if err := b.try(3, pos, b.text[:3]...); !errors.Is(err, engine.ErrNoCells) {
		t.Fatalf("3 tokens into 2 cells: %v, want ErrNoCells", err)
	}
	b.near("in a full cache", b.feed(2, int32(len(b.text))-1, b.text[len(b.text)-1]), want)
	b.must(b.rt.RemoveSeq(3, 0, -1))
	b.feed(3, 0, b.text...)
}

func testAbort(t *testing.T, b *bench) {
	want := b.feed(0, 0, b.text...)
	b.must(b.rt.RemoveSeq(0, 8, -1))
	b.rt.SetAbort(func() bool { return true })
	if err := b.try(0, 8, b.text[8:]...); !errors.Is(err, engine.ErrAborted) {
		t.Fatalf("aborted decode: %v, want ErrAborted", err)
	}
	b.rt.SetAbort(nil)
	b.must(b.rt.RemoveSeq(0, 8, -1))
	b.near("after an abort", b.feed(0, 8, b.text[8:]...), want)
	b.rt.SetAbort(func() bool { return false })
	b.feed(1, 0, b.text...)
	b.rt.SetAbort(nil)
}

func testState(t *testing.T, b *bench) {
	n := int32(len(b.text) - 1)
	want := b.feed(0, 0, b.text...)
	b.must(b.rt.RemoveSeq(0, n, -1))
	state, err := b.rt.SaveSeq(0)
	b.must(err)
	b.must(b.rt.RemoveSeq(0, 0, -1))
	got, err := b.rt.LoadSeq(2, state)
	b.must(err)
	if got != int(n) {
		t.Errorf("%d tokens loaded, want %d", got, n)
	}
	b.near("after a reload", b.feed(2, n, b.text[n]), want)
	for name, bad := range map[string][]byte{
		"empty": {}, "cut": state[:len(state)/2+1], "other": []byte("this is no state at all, whoever reads it"),
	} {
		if _, err := b.rt.LoadSeq(1, bad); err == nil {
			t.Errorf("%s state: loaded", name)
		}
		b.feed(1, 0, b.text[:4]...) // still empty, still usable
		b.must(b.rt.RemoveSeq(1, 0, -1))
	}
}

// testFresh: an emptied cache computes the very same bits again, whatever was in it.
func testFresh(t *testing.T, b *bench) {
	b.must(b.rt.RemoveSeq(-1, 0, -1))
	first := b.feed(0, 0, b.text...)
	b.feed(1, 0, b.text[3:]...)
	b.feed(2, 0, b.text[5:]...)
	b.must(b.rt.RemoveSeq(0, 0, -1))
	b.must(b.rt.RemoveSeq(-1, 0, -1))
	again := b.feed(0, 0, b.text...)
	for i := range first {
		if first[i] != again[i] {
			t.Fatalf("logit %d of an emptied cache: %g, of a fresh one: %g", i, again[i], first[i])
		}
	}
}

func testThreads(t *testing.T, b *bench) {
	want := b.feed(0, 0, b.text...)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 20 {
			b.rt.SetThreads(1+i%2, 1+i%3)
		}
	})
	for range 5 {
		b.must(b.rt.RemoveSeq(0, 4, -1))
		b.near("while threads change", b.feed(0, 4, b.text[4:]...), want)
	}
	wg.Wait()
}

func testBadBatch(t *testing.T, b *bench) {
	l := b.rt.Limits()
	b.feed(0, 0, b.text[:4]...)
	long := run(1, 0, b.text[0])
	for len(long) <= l.Batch {
		long = append(long, engine.Token{ID: b.text[0], Pos: int32(len(long)), Seqs: []int32{1}})
	}
	for name, batch := range map[string][]engine.Token{
		"empty":               nil,
		"too long":            long,
		"unknown token":       run(0, 4, int32(l.Vocab)),
		"negative token":      run(0, 4, -1),
		"sequence too high":   run(int32(l.Sequences), 0, b.text[0]),
		"negative sequence":   run(-1, 0, b.text[0]),
		"no sequence":         {{ID: b.text[0], Pos: 4}},
		"gap":                 run(0, 6, b.text[0]),
		"position taken":      run(0, 2, b.text[0]),
		"negative position":   run(1, -1, b.text[0]),
		"gap inside":          append(run(1, 0, b.text[0]), run(1, 2, b.text[0])...),
		"starts after zero":   run(1, 1, b.text[0]),
		"one sequence behind": {{ID: b.text[0], Pos: 4, Seqs: []int32{0, 1}, Logits: true}},
	} {
		err := b.rt.Decode(batch)
		if err == nil || errors.Is(err, engine.ErrNoCells) || errors.Is(err, engine.ErrAborted) {
			t.Errorf("%s: %v, want a fault", name, err)
		}
	}
	b.feed(0, 4, b.text[4:]...) // nothing has changed
	b.feed(1, 0, b.text...)
}

// testRelease: a cache whose memory was given back is empty, and works as before.
func testRelease(t *testing.T, b *bench) {
	b.must(b.rt.Release()) // also before the first pass
	want := b.feed(0, 0, b.text...)
	b.must(b.rt.Release())
	for range 2 {
		if got := b.feed(0, 0, b.text...); !slices.Equal(got, want) {
			t.Error("after the release the same tokens have other logits")
		}
		b.must(b.rt.Release())
	}
}
