// Package store keeps accepted asks and their answers on disk, so that neither
// a crash nor a power cut loses one. Writes that come together are one commit,
// because the disk is usually an SD card.
//
// It never decides what to keep: its owner puts and removes. It keeps its file
// within a bound by dropping the oldest answers that were delivered.
package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"lineside/daemon/ledger"
	"lineside/hw"
)

// ErrBroken: the file cannot be read. Open has put it aside, unless the disk is read-only.
var ErrBroken = errors.New("the store was broken")

const (
	fileName   = "asks.db"
	batch      = 256             // most writes of one commit
	backlog    = 4096            // writes that may wait for a slow card
	lazyAfter  = 2 * time.Second // how long a write that nobody waits for may wait
	notesMost  = 64              // notes within lazyAfter
	notesKept  = 1024
	pruneEvery = 30 * time.Second
	closeWait  = 500 * time.Millisecond // for the file's lock
)

var (
	asksBucket    = []byte("asks")
	answersBucket = []byte("answers")
)

// Ask is an accepted ask as it came, and how often the engine failed on it.
type Ask struct {
	Key         ledger.Key
	Topic       string
	Payload     []byte
	Response    string // MQTT 5 Response Topic
	Correlation []byte
	Accepted    time.Time
	Deadline    time.Time
	Attempts    int
}

// Answer is a stored answer, and whether the broker has taken it.
type Answer struct {
	Key         ledger.Key
	Print       ledger.Print
	Topic       string
	Correlation []byte
	Payload     []byte
	At          time.Time
	Until       time.Time
	Delivered   bool
}

// Store is the file. Its methods may be called from any goroutine.
type Store struct {
	db    *bolt.DB // nil where there is none and the disk takes none
	limit int64    // bytes of the file
	ops   chan op

	writable func() error // whether the disk takes writes at all

	existed bool
	fixed   bool         // since the start the disk takes no writes
	notes   atomic.Int32 // since the last lazy write

	// Only Run's goroutine uses these.
	pruned time.Time
	noted  []ledger.Key // oldest first
}

type op struct {
	apply func(*bolt.Tx) error
	done  func(error) // nil: nobody waits
}

// Open opens or makes the file in dir. A file that cannot be read is renamed
// and replaced by an empty one: the Store is good, and the error wraps ErrBroken.
// On a disk that takes no writes the Store reads what is there and keeps nothing.
func Open(dir string, maxBytes int64) (*Store, error) {
	path := filepath.Join(dir, fileName)
	if err := hw.MakeDir(dir, 0o750); errors.Is(err, hw.ErrReadOnly) {
		return openFixed(path, err)
	} else if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	_, missing := os.Stat(path)
	db, err := openFile(path, false)
	var broken error
	if err != nil && !errors.Is(err, berrors.ErrTimeout) && !os.IsPermission(err) {
		aside := path + ".broken"
		if e := os.Rename(path, aside); e != nil {
			return nil, fmt.Errorf("open store %s: %w", path, err)
		}
		broken = fmt.Errorf("%w and put aside as %s: %w", ErrBroken, aside, err)
		db, err = openFile(path, false)
	}
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w: is another linesided running?", path, err)
	}
	return &Store{
		db: db, limit: maxBytes, ops: make(chan op, backlog), existed: missing == nil,
		writable: func() error { return hw.Writable(dir) },
	}, broken
}

// openFixed opens the file on a disk that takes no writes, and why it does not.
func openFixed(path string, why error) (*Store, error) {
	s := &Store{ops: make(chan op, backlog), writable: func() error { return why }, fixed: true}
	db, err := openFile(path, true)
	switch {
	case os.IsNotExist(err):
		return s, nil
	case err != nil:
		return s, fmt.Errorf("%w: %s: %w", ErrBroken, path, err)
	}
	s.db, s.existed = db, true
	return s, nil
}

// openFile walks the pages first, because bbolt finds damage only when it meets it.
func openFile(path string, fixed bool) (db *bolt.DB, err error) {
	defer func() {
		if r := recover(); r != nil { // bbolt panics on damaged pages
			if db != nil {
				err = errors.Join(fmt.Errorf("damaged: %v", r), db.Close())
			} else {
				err = fmt.Errorf("damaged: %v", r)
			}
			db = nil
		}
	}()
	if err := sound(path); err != nil && (fixed || !os.IsNotExist(err)) {
		return nil, err
	}
	db, err = bolt.Open(path, 0o600, &bolt.Options{Timeout: closeWait, NoFreelistSync: true, FreelistType: bolt.FreelistMapType, ReadOnly: fixed})
	if err != nil || fixed {
		return db, err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, b := range [][]byte{asksBucket, answersBucket} {
			if _, err := tx.CreateBucketIfNotExists(b); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// Existed tells whether an earlier run had left the file.
func (s *Store) Existed() bool { return s.existed }

// Fixed tells that the disk took no writes when the Store was opened: nothing is kept, and
// what is read may be answered, delivered and past its time since long ago.
func (s *Store) Fixed() bool { return s.fixed }

// Load reads everything, for the start. Records that cannot be read are left out
// and counted.
func (s *Store) Load() (asks []Ask, answers []Answer, unreadable int, err error) {
	if s.db == nil {
		return nil, nil, 0, nil
	}
	err = s.db.View(func(tx *bolt.Tx) error {
		if tx.Bucket(asksBucket) == nil || tx.Bucket(answersBucket) == nil {
			return nil // cut off as it was made, and not to be mended on this disk
		}
		err := tx.Bucket(asksBucket).ForEach(func(_, v []byte) error {
			var a Ask
			if json.Unmarshal(v, &a) != nil {
				unreadable++
				return nil
			}
			asks = append(asks, a)
			return nil
		})
		if err != nil {
			return err
		}
		return tx.Bucket(answersBucket).ForEach(func(_, v []byte) error {
			var a Answer
			if json.Unmarshal(v, &a) != nil {
				unreadable++
				return nil
			}
			answers = append(answers, a)
			return nil
		})
	})
	return asks, answers, unreadable, err
}

// PutAsk keeps an accepted ask, or its newer form. done is called from Run once
// it is on disk, or with why it is not.
func (s *Store) PutAsk(a Ask, done func(error)) {
	s.do(put(asksBucket, a.Key, a), done)
}

// PutAnswer keeps an answer and drops its ask, in one commit.
func (s *Store) PutAnswer(a Answer, done func(error)) {
	write := put(answersBucket, a.Key, a)
	s.do(func(tx *bolt.Tx) error {
		if err := tx.Bucket(asksBucket).Delete(keyOf(a.Key)); err != nil {
			return err
		}
		return write(tx)
	}, done)
}

// Delivered notes that the broker took an answer. It may be written a little
// later: after a crash the answer is then sent twice, which its id tells.
func (s *Store) Delivered(k ledger.Key) {
	s.do(func(tx *bolt.Tx) error {
		b := tx.Bucket(answersBucket)
		var a Answer
		if v := b.Get(keyOf(k)); v == nil || json.Unmarshal(v, &a) != nil {
			return nil
		}
		a.Delivered = true
		return put(answersBucket, k, a)(tx)
	}, nil)
}

// Note keeps an answer that nobody waits for, a little later. It keeps the newest
// notesKept, and leaves out what comes beyond notesMost at a time: those who ask so
// often must neither wear the card out nor fill memory, into which the file is mapped.
func (s *Store) Note(a Answer) {
	if s.notes.Add(1) > notesMost {
		return
	}
	write := put(answersBucket, a.Key, a)
	s.do(func(tx *bolt.Tx) error {
		s.noted = append(s.noted, a.Key)
		for len(s.noted) > notesKept {
			if err := tx.Bucket(answersBucket).Delete(keyOf(s.noted[0])); err != nil {
				return err
			}
			s.noted = s.noted[1:]
		}
		return write(tx)
	}, nil)
}

// Remove drops an ask that ended without an answer worth keeping.
func (s *Store) Remove(k ledger.Key) {
	s.do(func(tx *bolt.Tx) error { return tx.Bucket(asksBucket).Delete(keyOf(k)) }, nil)
}

func (s *Store) do(apply func(*bolt.Tx) error, done func(error)) { s.ops <- op{apply, done} }

// Run writes until ctx ends, then writes what is left and closes the file. Nothing
// may be put after ctx has ended.
func (s *Store) Run(ctx context.Context) error {
	var lazy []op
	timer := time.NewTimer(lazyAfter)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			for {
				select {
				case o := <-s.ops:
					lazy = append(lazy, o)
					continue
				default:
				}
				break
			}
			s.commit(lazy)
			return s.close()
		case <-timer.C:
			s.commit(lazy)
			lazy = nil
			s.notes.Store(0)
			timer.Reset(lazyAfter)
		case o := <-s.ops:
			lazy = append(lazy, s.gather(o)...)
			if len(lazy) >= batch || waited(lazy) {
				s.commit(lazy)
				lazy = nil
			}
		}
	}
}

func (s *Store) close() error {
	if s.db == nil {
		return nil
	}
	return s.db.Close()
}

// gather takes what has come meanwhile.
func (s *Store) gather(first op) []op {
	ops := []op{first}
	for len(ops) < batch {
		select {
		case o := <-s.ops:
			ops = append(ops, o)
		default:
			return ops
		}
	}
	return ops
}

func waited(ops []op) bool {
	for _, o := range ops {
		if o.done != nil {
			return true
		}
	}
	return false
}

// commit writes all in one transaction and tells those who wait.
func (s *Store) commit(ops []op) {
	if len(ops) == 0 {
		return
	}
	err := s.write(ops)
	for _, o := range ops {
		if o.done != nil {
			o.done(err)
		}
	}
}

// write asks first, because half a commit in a file that nobody syncs any more is damage,
// and again once it is done, because the disk may have turned read-only meanwhile.
func (s *Store) write(ops []op) error {
	if err := s.writable(); err != nil {
		return err
	}
	err := s.db.Update(func(tx *bolt.Tx) error {
		for _, o := range ops {
			if err := o.apply(tx); err != nil {
				return err
			}
		}
		return s.prune(tx, time.Now())
	})
	if err != nil {
		return err
	}
	return s.writable()
}

// prune drops answers that are past their time, and beyond half of the bound
// also the oldest delivered ones: bbolt needs the other half for its copies.
func (s *Store) prune(tx *bolt.Tx, now time.Time) error {
	b := tx.Bucket(answersBucket)
	tight := tx.Size() > s.limit && usage(b)+usage(tx.Bucket(asksBucket)) > s.limit/2
	if !tight && now.Sub(s.pruned) < pruneEvery {
		return nil // it reads every answer
	}
	s.pruned = now
	var old [][]byte
	err := b.ForEach(func(k, v []byte) error {
		var a Answer
		if json.Unmarshal(v, &a) != nil || !a.Until.After(now) && a.Delivered || tight && a.Delivered {
			old = append(old, append([]byte(nil), k...))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, k := range old {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

func usage(b *bolt.Bucket) int64 {
	s := b.Stats()
	return int64(s.LeafInuse + s.BranchInuse)
}

func put(bucket []byte, k ledger.Key, v any) func(*bolt.Tx) error {
	return func(tx *bolt.Tx) error {
		j, err := json.Marshal(v)
		if err != nil {
			return err
		}
		return tx.Bucket(bucket).Put(keyOf(k), j)
	}
}

// keyOf joins the parts; a client's id has no NUL in it.
func keyOf(k ledger.Key) []byte { return []byte(k.Client + "\x00" + k.ID) }
