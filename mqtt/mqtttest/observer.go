package mqtttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lineside/mqtt"
	"lineside/mqtt/wire"
)

// Observer is a device in a test: it asks, keeps a session at the broker,
// reconnects for ever, and collects everything that is sent to it.
type Observer struct {
	Topics mqtt.Topics // Prefix only
	Client string

	t       testing.TB
	filters []wire.Subscription
	options wire.Options
	cancel  context.CancelFunc
	group   sync.WaitGroup

	mu       sync.Mutex
	conn     wire.Conn
	messages []wire.Message
	answers  map[string][]mqtt.Answer // by id, every copy
	changed  chan struct{}            // closed and replaced at every change
}

// Observe connects client as version ("5", "3.1.1", "auto") and subscribes to
// its replies and the further filters. options, which may be nil, changes what
// is connected with. The test ends the observer.
func Observe(t testing.TB, url, version, prefix, client string, filters []string, options func(*wire.Options)) *Observer {
	t.Helper()
	o := &Observer{Topics: mqtt.Topics{Prefix: prefix}, Client: client, t: t, answers: map[string][]mqtt.Answer{}, changed: make(chan struct{})}
	for _, f := range append([]string{o.Topics.Root() + "/reply/" + client + "/#"}, filters...) {
		o.filters = append(o.filters, wire.Subscription{Filter: f, QoS: 1})
	}
	o.options = wire.Options{URL: url, Version: version, ClientID: client, Persistent: true, Window: 1000, KeepAlive: 5 * time.Second, Timeout: 2 * time.Second, OnMessage: o.received}
	if options != nil {
		options(&o.options)
	}
	ctx, cancel := context.WithCancel(context.Background())
	o.cancel = cancel
	o.group.Add(1)
	up := make(chan struct{})
	go o.run(ctx, up)
	t.Cleanup(o.Close)
	select {
	case <-up:
	case <-time.After(20 * time.Second):
		t.Fatalf("observer %s does not reach %s", client, url)
	}
	return o
}

// Close disconnects. The session stays at the broker.
func (o *Observer) Close() {
	o.cancel()
	o.group.Wait()
}

func (o *Observer) run(ctx context.Context, up chan struct{}) {
	defer o.group.Done()
	for ctx.Err() == nil {
		c, err := wire.Dial(ctx, o.options)
		if err == nil {
			err = c.Subscribe(ctx, o.filters)
			if err != nil {
				c.Close()
			}
		}
		if err != nil {
			if errors.Is(err, wire.ErrRefused) {
				o.t.Logf("observer %s: %v", o.Client, err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		o.set(c)
		if up != nil {
			close(up)
			up = nil
		}
		select {
		case <-c.Down():
		case <-ctx.Done():
			c.Close()
		}
		o.set(nil)
	}
}

func (o *Observer) set(c wire.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.conn = c
	o.change()
}

// change wakes who waits. The caller holds mu.
func (o *Observer) change() {
	close(o.changed)
	o.changed = make(chan struct{})
}

func (o *Observer) received(m wire.Message) {
	o.mu.Lock()
	o.messages = append(o.messages, m)
	if strings.HasPrefix(m.Topic, o.Topics.Root()+"/reply/") {
		var a struct {
			mqtt.Answer
			Advisory *bool `json:"advisory"` // only answers have it
		}
		if json.Unmarshal(m.Payload, &a) == nil && a.Advisory != nil {
			a.Answer.Advisory = *a.Advisory
			o.answers[a.ID] = append(o.answers[a.ID], a.Answer)
		}
	}
	o.change()
	o.mu.Unlock()
	m.Ack()
}

// Send publishes, and tries again until the broker has it or ctx ends: as a
// careful device does.
func (o *Observer) Send(ctx context.Context, m wire.Outgoing) error {
	for {
		o.mu.Lock()
		c, changed := o.conn, o.changed
		o.mu.Unlock()
		if c != nil {
			try, cancel := context.WithTimeout(ctx, 5*time.Second)
			err := c.Publish(try, m)
			cancel()
			if err == nil || errors.Is(err, wire.ErrRefused) || errors.Is(err, wire.ErrPacketSize) {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("send to %s: %w", m.Topic, ctx.Err())
		case <-changed:
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Ask sends a payload to topic with QoS 1 and fails the test where it cannot.
func (o *Observer) Ask(topic, payload string) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := o.Send(ctx, wire.Outgoing{Topic: topic, Payload: []byte(payload), QoS: 1}); err != nil {
		o.t.Fatal(err)
	}
}

// Answer waits for the first terminal answer to id.
func (o *Observer) Answer(ctx context.Context, id string) (mqtt.Answer, error) {
	var a mqtt.Answer
	err := o.Until(ctx, func() bool {
		if l := o.answers[id]; len(l) > 0 {
			a = l[0]
			return true
		}
		return false
	})
	if err != nil {
		return a, fmt.Errorf("no answer to %q: %w", id, err)
	}
	return a, nil
}

// Answers is every copy of the answer to id so far.
func (o *Observer) Answers(id string) []mqtt.Answer {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.answers[id])
}

// Message waits for a message on topic that accept takes (nil: any).
func (o *Observer) Message(ctx context.Context, topic string, accept func(wire.Message) bool) (wire.Message, error) {
	m, _, err := o.MessageFrom(ctx, 0, topic, accept)
	return m, err
}

// MessageFrom is Message for what is received after the first n messages; the next one
// to look at is returned, too.
func (o *Observer) MessageFrom(ctx context.Context, n int, topic string, accept func(wire.Message) bool) (found wire.Message, next int, err error) {
	err = o.Until(ctx, func() bool {
		for ; n < len(o.messages); n++ {
			if m := o.messages[n]; m.Topic == topic && (accept == nil || accept(m)) {
				found = m
				n++
				return true
			}
		}
		return false
	})
	if err != nil {
		return found, n, fmt.Errorf("no such message on %s: %w", topic, err)
	}
	return found, n, nil
}

// Messages is everything received so far, in order.
func (o *Observer) Messages() []wire.Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.messages)
}

// Until waits for ok, which is asked at every change with the observer locked.
func (o *Observer) Until(ctx context.Context, ok func() bool) error {
	for {
		o.mu.Lock()
		done, changed := ok(), o.changed
		o.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Tally is what an observer makes of many asks, deduplicated by id.
type Tally struct {
	Asked      int
	Answered   int            // ids with at least one terminal answer
	Missing    []string       // ids without
	Duplicates int            // further copies of an answer that say the same
	Conflicts  []string       // ids whose copies differ in code or text: more than one answer
	Codes      map[string]int // ids by the code's name of their first answer
}

func (y Tally) String() string {
	return fmt.Sprintf("asked %d, answered %d, missing %d, duplicates %d, conflicting %d, codes %v",
		y.Asked, y.Answered, len(y.Missing), y.Duplicates, len(y.Conflicts), y.Codes)
}

// Add puts another tally's figures to this one's, whose Codes must not be nil.
func (y *Tally) Add(more Tally) {
	y.Asked += more.Asked
	y.Answered += more.Answered
	y.Duplicates += more.Duplicates
	y.Missing = append(y.Missing, more.Missing...)
	y.Conflicts = append(y.Conflicts, more.Conflicts...)
	for code, n := range more.Codes {
		y.Codes[code] += n
	}
}

// Tally counts the answers to ids so far.
func (o *Observer) Tally(ids []string) Tally {
	o.mu.Lock()
	defer o.mu.Unlock()
	y := Tally{Asked: len(ids), Codes: map[string]int{}}
	for _, id := range ids {
		copies := o.answers[id]
		if len(copies) == 0 {
			y.Missing = append(y.Missing, id)
			continue
		}
		y.Answered++
		y.Duplicates += len(copies) - 1
		y.Codes[copies[0].Code.String()]++
		for _, c := range copies[1:] {
			if c.Code != copies[0].Code || c.Text != copies[0].Text || string(c.Data) != string(copies[0].Data) {
				y.Conflicts = append(y.Conflicts, id)
				break
			}
		}
	}
	return y
}
