package store

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"lineside/daemon/ledger"
)

var damages = flag.Int("damages", 80, "how many damaged files are opened")

const sector = 512 // bytes that a disk writes whole or not at all

// fill puts n asks and answers under names that begin with name, waits until they
// are on disk, and returns the file's content.
func fill(t *testing.T, s *Store, dir, name string, n int) []byte {
	t.Helper()
	for i := range n {
		k := ledger.Key{Client: name, ID: fmt.Sprintf("%04d", i)}
		s.PutAsk(Ask{Key: k, Topic: "t", Payload: bytes.Repeat([]byte("p"), 200)}, nil)
		if i%2 == 0 {
			s.PutAnswer(Answer{Key: k, Topic: "r", Payload: bytes.Repeat([]byte("a"), 300), Until: time.Now().Add(time.Hour)}, nil)
		}
	}
	done, waits := wait(t)
	s.PutAsk(Ask{Key: ledger.Key{Client: name, ID: "last"}}, done)
	waits()
	b, err := os.ReadFile(filepath.Join(dir, fileName))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// use opens what a disk has kept, reads it and writes to it.
func use(t *testing.T, file []byte) (asks []Ask, err error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, fileName), file, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, 1<<20)
	if s == nil {
		t.Fatal(err)
	}
	asks, _, _, lerr := s.Load()
	if lerr != nil {
		t.Fatal(lerr)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	done, waits := wait(t)
	s.PutAsk(Ask{Key: ledger.Key{Client: "new", ID: "1"}}, done)
	waits()
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	return asks, err
}

// TestDamage: whatever a worn card has done to the file, the store opens, with what
// is left or empty, and takes asks. A panic in one of bbolt's goroutines would end
// this test, as it would end the board.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	s, stop := run(t, dir, 1<<20)
	whole := fill(t, s, dir, "plc", 300)
	stop()
	broken := 0
	for seed := range *damages {
		r := rand.New(rand.NewPCG(uint64(seed), 1))
		file := bytes.Clone(whole)
		for range 1 + r.IntN(3) {
			at, from := r.IntN(len(file)/sector)*sector, r.IntN(len(file)/sector)*sector
			switch r.IntN(4) {
			case 0:
				file[r.IntN(len(file))] ^= 1 << r.IntN(8)
			case 1:
				clear(file[at : at+sector])
			case 2:
				copy(file[at:at+sector], whole[from:])
			case 3: // where the structure is
				at = at / os.Getpagesize() * os.Getpagesize()
				file[at+r.IntN(128)] ^= byte(1 + r.IntN(255))
			}
		}
		if _, err := use(t, file); err != nil {
			if !errors.Is(err, ErrBroken) {
				t.Fatalf("seed %d: %v", seed, err)
			}
			broken++
		}
	}
	if broken == 0 || broken == *damages {
		t.Errorf("%d of %d files were found broken: the damage is not what it should be", broken, *damages)
	}
}

// TestTornCommit cuts the power in the middle of a commit: of what it wrote, any part
// may be on the disk, and its last page not. What was acknowledged before is all there.
func TestTornCommit(t *testing.T) {
	dir := t.TempDir()
	s, stop := run(t, dir, 1<<20)
	before := fill(t, s, dir, "before", 40)
	after := fill(t, s, dir, "after", 40)
	stop()
	meta := 2 * os.Getpagesize() // its two pages are written after the rest is synced
	for seed := range *damages / 5 {
		r := rand.New(rand.NewPCG(uint64(seed), 2))
		torn := bytes.Clone(before)
		torn = append(torn, make([]byte, max(len(after)-len(before), 0))...)
		for at := meta; at < len(after); at += sector {
			if r.IntN(2) == 0 {
				copy(torn[at:at+sector], after[at:])
			}
		}
		asks, err := use(t, torn)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if len(asks) != 21 { // those without an answer, and the last
			t.Fatalf("seed %d: %d asks are left of 21", seed, len(asks))
		}
	}
}
