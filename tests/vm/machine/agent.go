package machine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"

	"lineside/tests/vm/machine/wire"
)

// errReset is the end of commands that a reset took along.
var errReset = errors.New("the machine started anew meanwhile")

// agent is the host's end of the line to the agent in the machine.
type agent struct {
	conn net.Conn
	done chan struct{} // closed when the reader has ended

	mu      sync.Mutex
	boot    string // of the agent that answers now; "" before the first
	boots   int    // agents seen
	told    int    // of them, those that next has returned
	changed chan struct{}
	last    int
	waiting map[int]chan<- wire.Reply
}

func newAgent(c net.Conn) *agent {
	a := &agent{conn: c, done: make(chan struct{}), changed: make(chan struct{}), waiting: map[int]chan<- wire.Reply{}}
	go a.read()
	return a
}

func (a *agent) read() {
	defer close(a.done)
	s := bufio.NewScanner(a.conn)
	s.Buffer(nil, 64<<20)
	for s.Scan() {
		var r wire.Reply
		if json.Unmarshal(s.Bytes(), &r) != nil {
			continue // a line that a reset cut off
		}
		a.mu.Lock()
		if r.ID == 0 {
			a.started(r.Boot)
		} else if c := a.waiting[r.ID]; c != nil {
			delete(a.waiting, r.ID)
			c <- r
		}
		a.mu.Unlock()
	}
}

// started takes note of a new agent; what an earlier one was asked is lost.
func (a *agent) started(boot string) {
	a.boot = boot
	a.boots++
	for id, c := range a.waiting {
		delete(a.waiting, id)
		close(c)
	}
	close(a.changed)
	a.changed = make(chan struct{})
}

// next waits for an agent that it has not returned yet.
func (a *agent) next(ctx context.Context, ended <-chan struct{}) (string, error) {
	return a.await(ctx, ended, func() bool {
		if a.boots == a.told {
			return false
		}
		a.told = a.boots
		return true
	})
}

func (a *agent) await(ctx context.Context, ended <-chan struct{}, ok func() bool) (string, error) {
	for {
		a.mu.Lock()
		good, boot, changed := ok(), a.boot, a.changed
		a.mu.Unlock()
		if good {
			return boot, nil
		}
		select {
		case <-changed:
		case <-ended:
			return "", errors.New("the machine has ended")
		case <-ctx.Done():
			return "", fmt.Errorf("no agent answers: %w", context.Cause(ctx))
		}
	}
}

func (a *agent) run(ctx context.Context, ended <-chan struct{}, c wire.Command) (wire.Reply, error) {
	if _, err := a.await(ctx, ended, func() bool { return a.boots > 0 }); err != nil {
		return wire.Reply{}, err
	}
	reply := make(chan wire.Reply, 1)
	a.mu.Lock()
	a.last++
	c.ID = a.last
	b, err := json.Marshal(c)
	if err == nil {
		a.waiting[c.ID] = reply
		_, err = a.conn.Write(append(b, '\n'))
	}
	a.mu.Unlock()
	if err != nil {
		return wire.Reply{}, err
	}
	select {
	case r, ok := <-reply:
		if !ok {
			return r, errReset
		}
		return r, nil
	case <-ended:
		return wire.Reply{}, errors.New("the machine has ended")
	case <-ctx.Done():
		return wire.Reply{}, context.Cause(ctx)
	}
}

func (a *agent) close() error {
	err := a.conn.Close()
	<-a.done
	return err
}
