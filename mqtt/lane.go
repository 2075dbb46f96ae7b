package mqtt

import (
	"context"
	"errors"
	"sync"
	"time"

	"lineside/mqtt/wire"
)

// lane keeps one connection alive: dial, connect, subscribe, wait, again.
type lane struct {
	bus        *Bus
	name       string
	clientID   string
	persistent bool
	onMessage  func(Message)

	mu      sync.Mutex
	current wire.Conn          // connected, perhaps not yet subscribed
	ready   bool               // subscribed too
	renew   context.CancelFunc // ends current, to make a new one
	downs   map[int]func()     // to call when current ends
	downSeq int
}

func (l *lane) up() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ready
}

func (l *lane) conn() wire.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.current
}

func (l *lane) reconnect() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.renew != nil {
		l.ready = false // at once, so that no OnUp counts on what is about to end
		l.renew()
	}
}

// onDown has f called when the present connection ends; at once if there is none.
func (l *lane) onDown(f func()) (stop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current == nil {
		f()
		return func() {}
	}
	l.downSeq++
	id := l.downSeq
	l.downs[id] = f
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.downs, id)
	}
}

func (l *lane) publish(ctx context.Context, m Outgoing) error {
	c := l.conn()
	if c == nil {
		return ErrDown
	}
	return c.Publish(ctx, m)
}

// run reconnects until ctx ends. It waits longer after every failure, and
// never as long as another board that lost the same broker.
func (l *lane) run(ctx context.Context) error {
	cfg := &l.bus.cfg
	p := pauses{least: cfg.MinBackoff, most: cfg.MaxBackoff}
	for first := true; ; first = false {
		up, err := l.hold(ctx, first)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			l.bus.laneDown(err)
		}
		wait, again := p.next(err, up, time.Now())
		if errors.Is(err, wire.ErrTakenOver) {
			l.bus.count.takenOver.Add(1)
			cfg.Log.Error("connection taken over", "why", err, "client_id", l.clientID)
			wait = cfg.MaxBackoff // else two boards of one name throw each other out without end
		} else if err != nil && !up && !again {
			cfg.Log.Warn("no connection to the broker", "lane", l.name, "why", err, "again_in", wait.Round(time.Millisecond))
		}
		if err == nil { // Reconnect asked for it
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// hold makes one connection and holds it to its end. up tells whether it stood.
func (l *lane) hold(ctx context.Context, first bool) (up bool, err error) {
	c, err := l.open(ctx)
	if err != nil {
		return false, err
	}
	held, renew := context.WithCancel(ctx)
	defer renew()
	l.mu.Lock()
	l.current, l.renew, l.downs = c, renew, map[int]func(){}
	l.mu.Unlock()
	defer l.lost()

	filters := l.bus.workFilters()
	if !l.persistent {
		filters = l.bus.ctlFilters()
	}
	sub, cancel := context.WithTimeout(held, l.bus.cfg.Timeout)
	err = c.Subscribe(sub, filters)
	cancel()
	if err != nil {
		c.Close()
		return false, err
	}
	if !first {
		l.bus.count.reconnects.Add(1)
	}
	l.mu.Lock()
	l.ready = held.Err() == nil
	l.mu.Unlock()
	l.bus.laneUp()

	select {
	case err := <-c.Down():
		return true, err
	case <-held.Done():
		c.Close()
		return true, nil
	}
}

func (l *lane) lost() {
	l.mu.Lock()
	downs := l.downs
	l.current, l.ready, l.renew, l.downs = nil, false, nil, nil
	l.mu.Unlock()
	for _, f := range downs {
		f()
	}
}

// open dials with everything as it is now: password, certificates and the
// will's time may have changed since the last time.
func (l *lane) open(ctx context.Context) (wire.Conn, error) {
	o := l.bus.cfg.wire()
	o.ClientID, o.Persistent, o.OnMessage = l.clientID, l.persistent, l.onMessage
	if will := l.bus.cfg.Will; will != nil && !l.persistent {
		payload, err := Encode(will())
		if err != nil {
			return nil, err
		}
		o.Will = &Outgoing{Topic: l.bus.cfg.Status(), Payload: payload, QoS: 1, Retain: true}
	}
	c, err := wire.Dial(ctx, o)
	if err == nil {
		l.bus.version.Store(c.Protocol())
	}
	return c, err
}
