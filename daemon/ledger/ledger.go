// Package ledger remembers asks by client and id: which are being worked on and
// what was answered, so that the same ask again gets the same answer and never
// a second run.
//
// It is bounded, has no clock and no locks, and never touches a disk: daemon/store does.
package ledger

import (
	"container/list"
	"crypto/sha256"
	"time"
)

// Keep is how long an answer is remembered at the least.
const Keep = 10 * time.Minute

// Bounds: answers beyond them are forgotten, the oldest first.
const (
	maxAnswers = 8192
	maxBytes   = 4 << 20
)

// Key names an ask: ids are the client's own.
type Key struct{ Client, ID string }

// Print tells asks of the same id apart.
type Print [16]byte

// PrintOf takes the print of what was asked: the topic's last levels and the payload.
func PrintOf(what string, payload []byte) Print {
	h := sha256.New()
	h.Write([]byte(what))
	h.Write([]byte{0})
	h.Write(payload)
	return Print(h.Sum(nil)[:16])
}

// Standing is what the ledger knows of an ask.
type Standing int

// Standings.
const (
	New      Standing = iota // not known, or forgotten
	Working                  // taken in and not answered yet
	Answered                 // answered
	Conflict                 // the client used the id for another ask
)

type entry struct {
	key    Key
	print  Print
	answer []byte // nil while working
	until  time.Time
	place  *list.Element // in Ledger.answered
}

// Ledger is the memory. Use Open.
type Ledger struct {
	entries  map[Key]*entry
	answered *list.List // of *entry, oldest first
	bytes    int
}

// Open makes an empty ledger.
func Open() *Ledger { return &Ledger{entries: map[Key]*entry{}, answered: list.New()} }

// Look tells how an ask stands at that time, with its answer where there is one.
func (l *Ledger) Look(k Key, p Print, now time.Time) (Standing, []byte) {
	l.expire(now)
	e, ok := l.entries[k]
	switch {
	case !ok:
		return New, nil
	case e.print != p:
		return Conflict, nil
	case e.answer == nil:
		return Working, nil
	}
	return Answered, e.answer
}

// Begin notes that an ask is being worked on.
func (l *Ledger) Begin(k Key, p Print) { l.entries[k] = &entry{key: k, print: p} }

// Answer notes the answer of an ask; it is kept until then, room permitting.
// The ledger keeps the slice.
func (l *Ledger) Answer(k Key, p Print, answer []byte, until time.Time) {
	l.Forget(k)
	e := &entry{key: k, print: p, answer: answer, until: until}
	e.place = l.answered.PushBack(e)
	l.entries[k] = e
	l.bytes += e.size()
	for l.answered.Len() > maxAnswers || l.bytes > maxBytes {
		l.Forget(l.answered.Front().Value.(*entry).key)
	}
}

// Forget drops an ask, so that it may be asked anew.
func (l *Ledger) Forget(k Key) {
	e, ok := l.entries[k]
	if !ok {
		return
	}
	delete(l.entries, k)
	if e.place != nil {
		l.answered.Remove(e.place)
		l.bytes -= e.size()
	}
}

// Len counts the asks being worked on and those answered.
func (l *Ledger) Len() (working, answered int) {
	return len(l.entries) - l.answered.Len(), l.answered.Len()
}

func (l *Ledger) expire(now time.Time) {
	for f := l.answered.Front(); f != nil && !f.Value.(*entry).until.After(now); f = l.answered.Front() {
		l.Forget(f.Value.(*entry).key)
	}
}

// size estimates what an entry costs in memory.
func (e *entry) size() int { return len(e.answer) + len(e.key.Client) + len(e.key.ID) + 200 }
