// Package queue holds the asks that wait for the model: bounded, alarms first,
// and fair between clients, so that one that floods delays only itself.
//
// It is a plain data structure: no goroutines, no clock, no locks. Its owner
// says what time it is and keeps others out.
package queue

import (
	"errors"
	"slices"
	"time"
)

// ErrFull refuses an item: there is no place for it, or none for its client.
var ErrFull = errors.New("queue full")

// Alarm is the priority from which items go before all others and may use the
// places that are kept for them.
const Alarm = 10

// Item is one waiting ask.
type Item[T any] struct {
	Client   string
	ID       string
	Priority int
	Deadline time.Time // when it must leave the queue at the latest; zero: never
	Value    T
}

// Queue is bounded by its capacity. No client holds more than half of it, and
// an eighth is kept free for alarms.
type Queue[T any] struct {
	capacity int
	turns    []*line[T] // one per client and class, in the order of their turn
	n        int
}

// line is what one client has waiting in one class.
type line[T any] struct {
	client string
	alarm  bool
	items  []Item[T]
}

// New makes a queue of at least one place.
func New[T any](capacity int) *Queue[T] { return &Queue[T]{capacity: max(capacity, 1)} }

// Len is the number of waiting items.
func (q *Queue[T]) Len() int { return q.n }

// Push adds an item and returns how many go before it, or ErrFull.
func (q *Queue[T]) Push(it Item[T]) (ahead int, err error) {
	if !q.room(it) {
		return 0, ErrFull
	}
	l := q.line(it.Client, it.Priority >= Alarm)
	at := len(l.items)
	for at > 0 && l.items[at-1].Priority < it.Priority { // a client's own order: urgent first, then first come
		at--
	}
	l.items = slices.Insert(l.items, at, it)
	q.n++
	return q.Ahead(it.Client, it.ID), nil
}

// Return puts an item back in front of its client's line, without asking for
// room: it had its place before.
func (q *Queue[T]) Return(it Item[T]) {
	l := q.line(it.Client, it.Priority >= Alarm)
	l.items = slices.Insert(l.items, 0, it)
	q.n++
}

// Room reports whether an item of that client and priority would be taken.
func (q *Queue[T]) Room(client string, priority int) bool {
	return q.room(Item[T]{Client: client, Priority: priority})
}

func (q *Queue[T]) room(it Item[T]) bool {
	if q.n >= q.capacity {
		return false
	}
	if it.Priority >= Alarm {
		return true
	}
	if q.n >= q.capacity-q.capacity/8 {
		return false
	}
	own := 0
	for _, l := range q.turns {
		if l.client == it.Client {
			own += len(l.items)
		}
	}
	return own < max(q.capacity/2, 1)
}

func (q *Queue[T]) line(client string, alarm bool) *line[T] {
	for _, l := range q.turns {
		if l.client == client && l.alarm == alarm {
			return l
		}
	}
	l := &line[T]{client: client, alarm: alarm}
	q.turns = append(q.turns, l)
	return l
}

// Pop takes the next item: alarms first, and within a class one of each client
// in turn.
func (q *Queue[T]) Pop() (Item[T], bool) {
	i := slices.IndexFunc(q.turns, func(l *line[T]) bool { return l.alarm })
	if i < 0 {
		if len(q.turns) == 0 {
			return Item[T]{}, false
		}
		i = 0
	}
	l := q.turns[i]
	it := l.items[0]
	l.items = slices.Delete(l.items, 0, 1)
	q.turns = slices.Delete(q.turns, i, i+1)
	if len(l.items) > 0 {
		q.turns = append(q.turns, l)
	}
	q.n--
	return it, true
}

// Remove takes a client's item out by its id.
func (q *Queue[T]) Remove(client, id string) (Item[T], bool) {
	for _, l := range q.turns {
		for i, it := range l.items {
			if l.client == client && it.ID == id {
				q.take(l, i)
				return it, true
			}
		}
	}
	return Item[T]{}, false
}

// Overdue takes out every item whose deadline is at or before now.
func (q *Queue[T]) Overdue(now time.Time) []Item[T] {
	var late []Item[T]
	for _, l := range slices.Clone(q.turns) {
		for i := len(l.items) - 1; i >= 0; i-- {
			if d := l.items[i].Deadline; !d.IsZero() && !d.After(now) {
				late = append(late, l.items[i])
				q.take(l, i)
			}
		}
	}
	return late
}

// NextDeadline is the earliest deadline of all waiting items; zero where none has one.
func (q *Queue[T]) NextDeadline() time.Time {
	var next time.Time
	for _, l := range q.turns {
		for _, it := range l.items {
			if !it.Deadline.IsZero() && (next.IsZero() || it.Deadline.Before(next)) {
				next = it.Deadline
			}
		}
	}
	return next
}

// Drain takes out everything, in the order in which it would have been popped.
func (q *Queue[T]) Drain() []Item[T] {
	var all []Item[T]
	for it, ok := q.Pop(); ok; it, ok = q.Pop() {
		all = append(all, it)
	}
	return all
}

// Ahead counts the items that would be popped before the given one; -1 where it does not wait.
func (q *Queue[T]) Ahead(client, id string) int {
	own := slices.IndexFunc(q.turns, func(l *line[T]) bool {
		return l.client == client && slices.ContainsFunc(l.items, func(it Item[T]) bool { return it.ID == id })
	})
	if own < 0 {
		return -1
	}
	mine := q.turns[own]
	depth := slices.IndexFunc(mine.items, func(it Item[T]) bool { return it.ID == id })
	ahead := depth
	for i, l := range q.turns {
		switch {
		case l == mine:
		case l.alarm && !mine.alarm:
			ahead += len(l.items)
		case l.alarm == mine.alarm && i < own:
			ahead += min(len(l.items), depth+1)
		case l.alarm == mine.alarm:
			ahead += min(len(l.items), depth)
		}
	}
	return ahead
}

func (q *Queue[T]) take(l *line[T], i int) {
	l.items = slices.Delete(l.items, i, i+1)
	q.n--
	if len(l.items) == 0 {
		q.turns = slices.DeleteFunc(q.turns, func(o *line[T]) bool { return o == l })
	}
}
