package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lineside/daemon/ledger"
	"lineside/hw"
	"lineside/hw/hwtest"
)

// run opens the store and runs it; stop ends it and waits.
func run(t *testing.T, dir string, max int64) (s *Store, stop func()) {
	t.Helper()
	s, err := Open(dir, max)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	return s, func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
}

// wait makes a done function and a function that waits for it.
func wait(t *testing.T) (func(error), func()) {
	t.Helper()
	c := make(chan error, 1)
	return func(err error) { c <- err }, func() {
		t.Helper()
		if err := <-c; err != nil {
			t.Fatal(err)
		}
	}
}

func TestKeepsAcrossRestart(t *testing.T) {
	dir := t.TempDir()
	now := time.Now().UTC().Truncate(time.Second)
	ask := func(id string) Ask {
		return Ask{Key: ledger.Key{Client: "plc", ID: id}, Topic: "t", Payload: []byte(`{}`), Accepted: now, Deadline: now.Add(time.Minute)}
	}
	answer := Answer{Key: ledger.Key{Client: "plc", ID: "2"}, Topic: "r", Payload: []byte("a"), At: now, Until: now.Add(time.Hour)}

	s, stop := run(t, dir, 1<<20)
	for _, id := range []string{"1", "2", "3"} {
		done, waits := wait(t)
		s.PutAsk(ask(id), done)
		waits()
	}
	done, waits := wait(t)
	s.PutAnswer(answer, done)
	waits()
	s.Remove(ledger.Key{Client: "plc", ID: "3"})
	s.Delivered(answer.Key)
	stop()

	s, stop = run(t, dir, 1<<20)
	defer stop()
	asks, answers, bad, err := s.Load()
	if err != nil || bad != 0 {
		t.Fatal(bad, err)
	}
	answer.Delivered = true
	if diff := cmp.Diff([]Ask{ask("1")}, asks); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Answer{answer}, answers); diff != "" {
		t.Error(diff)
	}
}

func TestStaysBounded(t *testing.T) {
	dir := t.TempDir()
	const limit = 1 << 20
	s, stop := run(t, dir, limit)
	now := time.Now()
	for i := range 2000 {
		k := ledger.Key{Client: "plc", ID: fmt.Sprint(i)}
		done, waits := wait(t)
		s.PutAnswer(Answer{Key: k, Payload: make([]byte, 2000), At: now, Until: now.Add(time.Hour), Delivered: i > 0}, done)
		if i%100 == 0 {
			waits()
		}
	}
	stop()
	info, err := os.Stat(filepath.Join(dir, fileName))
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 4*limit {
		t.Errorf("the file has %d bytes, its bound is %d", info.Size(), limit)
	}
	s, stop = run(t, dir, limit)
	defer stop()
	_, answers, _, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range answers {
		if a.Key.ID == "0" {
			return
		}
	}
	t.Error("an answer that was not delivered is gone")
}

// TestNotesStayFew: a flood of canned answers leaves the newest few on disk, and in a
// small file.
func TestNotesStayFew(t *testing.T) {
	dir := t.TempDir()
	s, stop := run(t, dir, 16<<20)
	now := time.Now()
	for i := range 100 {
		s.notes.Store(0) // as if time had passed
		for k := range notesMost + 10 {
			s.Note(Answer{Key: ledger.Key{Client: "plc", ID: fmt.Sprintf("%d-%d", i, k)}, Payload: make([]byte, 300), At: now, Until: now.Add(time.Hour), Delivered: true})
		}
		done, waits := wait(t)
		s.PutAsk(Ask{Key: ledger.Key{Client: "plc", ID: "x"}}, done)
		waits()
	}
	_, answers, _, err := s.Load()
	if err != nil || len(answers) != notesKept {
		t.Errorf("%d notes are kept, want %d (%v)", len(answers), notesKept, err)
	}
	stop()
	info, err := os.Stat(filepath.Join(dir, fileName))
	if err != nil || info.Size() > 4<<20 {
		t.Errorf("the file has %d bytes (%v)", info.Size(), err)
	}
}

func TestBrokenFileIsPutAside(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"random":    func(p string) error { return os.WriteFile(p, []byte("no database at all, and rather short"), 0o600) },
		"empty":     func(p string) error { return os.Truncate(p, 0) },
		"truncated": func(p string) error { return os.Truncate(p, 9000) },
		"scribbled": func(p string) error {
			f, err := os.OpenFile(p, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt(make([]byte, 20000), 0)
			return errors.Join(err, f.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, stop := run(t, dir, 1<<20)
			done, waits := wait(t)
			s.PutAsk(Ask{Key: ledger.Key{Client: "a", ID: "b"}}, done)
			waits()
			stop()
			if err := damage(filepath.Join(dir, fileName)); err != nil {
				t.Fatal(err)
			}
			s, err := Open(dir, 1<<20)
			if s == nil || err != nil && !errors.Is(err, ErrBroken) {
				t.Fatalf("store is %v, error %v", s, err)
			}
			if _, _, _, err := s.Load(); err != nil {
				t.Error(err)
			}
			if err := s.db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestReadOnly: what a file system that turned read-only took without an error is not kept.
func TestReadOnly(t *testing.T) {
	for _, c := range []struct {
		name string
		good int // looks at the file system that find it writable, of the two of each commit
		kept bool
	}{{"before the commit", 0, false}, {"during the commit", 1, false}, {"after it", 2, true}} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Open(t.TempDir(), 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			looks, fixed := 0, true
			s.writable = func() error {
				if looks++; fixed && looks > c.good {
					return hw.ErrReadOnly
				}
				return nil
			}
			var got error
			ask := Ask{Key: ledger.Key{Client: "plc", ID: "1"}}
			s.commit([]op{{put(asksBucket, ask.Key, ask), func(err error) { got = err }}})
			if c.kept != (got == nil) || !c.kept && !errors.Is(got, hw.ErrReadOnly) {
				t.Errorf("put: %v", got)
			}
			fixed = false
			s.commit([]op{{put(asksBucket, ask.Key, ask), func(err error) { got = err }}})
			if asks, _, _, err := s.Load(); got != nil || len(asks) != 1 || err != nil {
				t.Errorf("writable again: %v, %d asks, %v", got, len(asks), err)
			}
			if err := s.db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestReadOnlyFromTheStart reads what is there and keeps nothing, whatever was left there.
func TestReadOnlyFromTheStart(t *testing.T) {
	key := ledger.Key{Client: "plc", ID: "1"}
	for _, c := range []struct {
		name  string
		leave func(t *testing.T, dir string)
		asks  int
		err   error
	}{
		{"an ask", func(t *testing.T, dir string) {
			s, stop := run(t, dir, 1<<20)
			done, waits := wait(t)
			s.PutAsk(Ask{Key: key}, done)
			waits()
			stop()
		}, 1, nil},
		{"nothing", func(*testing.T, string) {}, 0, nil},
		{"no folder", func(t *testing.T, dir string) {
			if err := os.Remove(dir); err != nil {
				t.Fatal(err)
			}
		}, 0, nil},
		{"a new file", func(t *testing.T, dir string) { scribble(t, dir, "") }, 0, ErrBroken},
		{"damage", func(t *testing.T, dir string) { scribble(t, dir, strings.Repeat("x", 1<<16)) }, 0, ErrBroken},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := t.TempDir()
			dir := filepath.Join(disk, "state")
			if err := os.Mkdir(dir, 0o750); err != nil {
				t.Fatal(err)
			}
			c.leave(t, dir)
			hwtest.Fix(t, disk)
			s, err := Open(dir, 1<<20)
			if s == nil || !errors.Is(err, c.err) || !s.Fixed() {
				t.Fatalf("store is %v, error %v", s, err)
			}
			if asks, _, _, err := s.Load(); len(asks) != c.asks || err != nil {
				t.Errorf("%d asks, want %d (%v)", len(asks), c.asks, err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- s.Run(ctx) }()
			got := make(chan error)
			s.PutAsk(Ask{Key: ledger.Key{Client: "plc", ID: "2"}}, func(err error) { got <- err })
			if err := <-got; !errors.Is(err, hw.ErrReadOnly) {
				t.Errorf("put: %v", err)
			}
			s.Remove(key)
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

func scribble(t *testing.T, dir, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, fileName), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOneOwner(t *testing.T) {
	dir := t.TempDir()
	_, stop := run(t, dir, 1<<20)
	defer stop()
	if _, err := Open(dir, 1<<20); err == nil || errors.Is(err, ErrBroken) {
		t.Errorf("a second daemon opened the store: %v", err)
	}
}
