package conform

import (
	"context"
	"sync"

	"lineside/mqtt/wire"
)

// inbox keeps every message in order and lets a check wait for one.
type inbox struct {
	mu       sync.Mutex
	messages []wire.Message
	changed  chan struct{} // closed and replaced at every message
}

func newInbox() *inbox { return &inbox{changed: make(chan struct{})} }

func (i *inbox) put(m wire.Message) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.messages = append(i.messages, m)
	close(i.changed)
	i.changed = make(chan struct{})
}

func (i *inbox) len() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.messages)
}

// all is every message from since on that ok takes.
func (i *inbox) all(since int, ok func(wire.Message) bool) (found []wire.Message) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, m := range i.messages[since:] {
		if ok(m) {
			found = append(found, m)
		}
	}
	return found
}

// wait returns the first message from since on that ok takes.
func (i *inbox) wait(ctx context.Context, since int, ok func(wire.Message) bool) (wire.Message, bool) {
	for {
		i.mu.Lock()
		for _, m := range i.messages[since:] {
			if ok(m) {
				i.mu.Unlock()
				return m, true
			}
		}
		since = len(i.messages)
		changed := i.changed
		i.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return wire.Message{}, false
		}
	}
}
