package canned

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lineside/mqtt"
	"lineside/mqtt/wire"
)

// device asks and counts.
type device struct {
	conn    wire.Conn
	topic   string
	prefix  string
	mu      sync.Mutex
	sent    map[string]time.Time
	took    []time.Duration
	codes   map[mqtt.Code]int
	strange int // answers to nothing that is open
	done    chan struct{}
}

var serial atomic.Int64

func newDevice(t *testing.T, url, name string) *device {
	t.Helper()
	topics := mqtt.Topics{Board: "b03"}
	d := &device{topic: topics.AskSkill(name, "alarm"), prefix: name, sent: map[string]time.Time{}, codes: map[mqtt.Code]int{}, done: make(chan struct{}, 1<<20)}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c, err := wire.Dial(ctx, wire.Options{URL: url, Version: *version, ClientID: name, Window: 1000, OnMessage: d.answer})
	if err != nil {
		t.Fatal(err)
	}
	d.conn = c
	if err := c.Subscribe(ctx, []wire.Subscription{{Filter: topics.Answer(name), QoS: 1}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return d
}

func (d *device) answer(m wire.Message) {
	now := time.Now()
	m.Ack()
	var a struct {
		ID   string
		Code mqtt.Code
	}
	if json.Unmarshal(m.Payload, &a) != nil {
		return
	}
	d.mu.Lock()
	at, ok := d.sent[a.ID]
	delete(d.sent, a.ID)
	if ok {
		d.took = append(d.took, now.Sub(at))
		d.codes[a.Code]++
	} else {
		d.strange++
	}
	d.mu.Unlock()
	if ok {
		d.done <- struct{}{}
	}
}

func (d *device) ask(ctx context.Context) error {
	id := fmt.Sprintf("%s-%d", d.prefix, serial.Add(1))
	d.mu.Lock()
	d.sent[id] = time.Now()
	d.mu.Unlock()
	return d.conn.Publish(ctx, wire.Outgoing{Topic: d.topic, Payload: fmt.Appendf(nil, `{"id":%q,"args":{"code":"E00"}}`, id), QoS: 1})
}

// plan is how a device asks until ctx ends.
type plan func(ctx context.Context, d *device) error

// load runs devices for a while, each by the plan, and waits for all answers.
func load(t *testing.T, devices []*device, plan plan) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), *seconds)
	defer cancel()
	var g sync.WaitGroup
	for _, d := range devices {
		g.Add(1)
		go func() {
			defer g.Done()
			if err := plan(ctx, d); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}()
	}
	g.Wait()
	limit := time.Now().Add(10 * time.Second)
	for _, d := range devices {
		for open(d) > 0 && time.Now().Before(limit) {
			select {
			case <-d.done:
			case <-time.After(time.Until(limit)):
			}
		}
	}
}

func open(d *device) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.sent)
}

// paced asks so often per second.
func paced(perSecond float64) plan {
	return func(ctx context.Context, d *device) error {
		tick := time.NewTicker(time.Duration(float64(time.Second) / perSecond))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				if err := d.ask(context.WithoutCancel(ctx)); err != nil {
					return err
				}
			}
		}
	}
}

// windowed keeps so many asks open.
func windowed(n int) plan {
	return func(ctx context.Context, d *device) error {
		var g sync.WaitGroup
		for range n {
			g.Add(1)
			go func() {
				defer g.Done()
				for ctx.Err() == nil {
					if d.ask(context.WithoutCancel(ctx)) != nil {
						return
					}
					select {
					case <-d.done:
					case <-ctx.Done():
					}
				}
			}()
		}
		g.Wait()
		return nil
	}
}

// rounds has every device ask n times, 16 asks open at a time, and waits for all answers.
func rounds(t *testing.T, devices []*device, n int) {
	t.Helper()
	var g sync.WaitGroup
	for _, d := range devices {
		var left atomic.Int64
		left.Store(int64(n))
		for range 16 {
			g.Add(1)
			go func() {
				defer g.Done()
				for left.Add(-1) >= 0 {
					if err := d.ask(context.Background()); err != nil {
						t.Error(err)
						return
					}
					<-d.done
				}
			}()
		}
	}
	g.Wait()
}

// figures are what a load came to.
type figures struct {
	n, lost         int
	p50, p99, worst time.Duration
	codes           map[mqtt.Code]int
}

// sum adds the devices' figures up and resets them.
func sum(t *testing.T, devices []*device) figures {
	t.Helper()
	var all []time.Duration
	f := figures{codes: map[mqtt.Code]int{}}
	for _, d := range devices {
		d.mu.Lock()
		all = append(all, d.took...)
		f.lost += len(d.sent)
		for c, k := range d.codes {
			f.codes[c] += k
		}
		if d.strange > 0 {
			t.Errorf("%s got %d answers to nothing", d.prefix, d.strange)
		}
		d.took, d.codes, d.sent = nil, map[mqtt.Code]int{}, map[string]time.Time{}
		d.mu.Unlock()
		for len(d.done) > 0 {
			<-d.done
		}
	}
	if len(all) == 0 {
		t.Fatal("no answers")
	}
	slices.Sort(all)
	f.n, f.p50, f.p99, f.worst = len(all), all[len(all)/2], all[len(all)*99/100], all[len(all)-1]
	return f
}
