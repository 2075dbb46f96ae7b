package mqtttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"lineside/mqtt"
	"lineside/mqtt/wire"
)

// Broker is what the suite runs against.
type Broker struct {
	URL      string
	Board    func(*mqtt.Config)  // credentials of board b03; may be nil
	Device   func(*wire.Options) // credentials of a device; may be nil
	Protocol string              // what version "auto" must come to; empty: 5
}

// Board is a bus under test with what it received.
type Board struct {
	*mqtt.Bus
	Topics mqtt.Topics
	Got    chan Got      // every message of the handler
	Ups    chan struct{} // one for every OnUp
	stop   func()
}

// Got is one call of a handler.
type Got struct {
	mqtt.Address
	mqtt.Message
}

// StartBoard runs a bus as board id, which publishes its status at every OnUp.
// The test ends it.
func StartBoard(t testing.TB, url, version, id string, change func(*mqtt.Config)) *Board {
	t.Helper()
	b := &Board{Topics: mqtt.Topics{Prefix: "acme/l2", Board: id}, Got: make(chan Got, 10000), Ups: make(chan struct{}, 100)}
	status := func(state string) mqtt.Status {
		return mqtt.Status{State: state, Boot: "boot-" + id, TS: mqtt.Stamp(time.Now()), Clock: mqtt.ClockSynced}
	}
	cfg := mqtt.Config{
		Topics: b.Topics, URL: url, Version: version, Window: 8, KeepAlive: 5 * time.Second, Timeout: 2 * time.Second,
		MinBackoff: 20 * time.Millisecond, MaxBackoff: 200 * time.Millisecond,
		Will:    func() mqtt.Status { return status(mqtt.StateOffline) },
		Handler: func(a mqtt.Address, m mqtt.Message) { b.Got <- Got{a, m} },
		OnUp: func(ctx context.Context) {
			payload, _ := mqtt.Encode(status(mqtt.StateReady))
			if err := b.Publish(ctx, mqtt.Outgoing{Topic: b.Topics.Status(), Payload: payload, QoS: 1, Retain: true}); err == nil {
				b.Ups <- struct{}{}
			}
		},
	}
	if change != nil {
		change(&cfg)
	}
	b.Topics = cfg.Topics
	bus, err := mqtt.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.Bus = bus
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- bus.Run(ctx) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(b.stop)
	return b
}

// Stop ends the bus as a daemon would.
func (b *Board) Stop() { b.stop() }

// WaitUp waits for the next OnUp that got its status out.
func (b *Board) WaitUp(t testing.TB) {
	t.Helper()
	select {
	case <-b.Ups:
	case <-time.After(20 * time.Second):
		t.Fatal("the board does not come up")
	}
}

// Next waits for the next message of the handler.
func (b *Board) Next(t testing.TB) Got {
	t.Helper()
	select {
	case g := <-b.Got:
		return g
	case <-time.After(20 * time.Second):
		t.Fatal("no message arrives")
		panic("unreachable")
	}
}

// Reply answers an ask and acknowledges it, as a daemon does.
func (b *Board) Reply(ctx context.Context, g Got, text string) error {
	a, refusal := mqtt.ParseAsk(g.Payload, mqtt.Limits{})
	answer := mqtt.Answer{ID: a.ID, Board: b.Topics.Board, Text: text}
	if refusal != nil {
		answer.ID, answer.Code, answer.Text = refusal.ID, refusal.Code, refusal.Text
	}
	payload, _ := answer.Encode(0)
	to, _ := b.Topics.Replies(g.Client, g.ResponseTopic)
	err := b.Publish(ctx, mqtt.Outgoing{Topic: to.Answer, Payload: payload, QoS: 1, CorrelationData: g.CorrelationData})
	if err == nil {
		g.Ack()
	}
	return err
}

func (b Broker) board(t testing.TB, version string, change func(*mqtt.Config)) *Board {
	return StartBoard(t, b.URL, version, "b03", func(c *mqtt.Config) {
		if b.Board != nil {
			b.Board(c)
		}
		if change != nil {
			change(c)
		}
	})
}

func (b Broker) device(t testing.TB, version string, filters ...string) *Observer {
	return Observe(t, b.URL, version, "acme/l2", "plc1", filters, b.Device)
}

// Suite is the conformance of a bus: what both protocols must do on every broker.
func Suite(t *testing.T, version string, newBroker func(t *testing.T) Broker) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	five := version != wire.Version311
	run := func(name string, f func(t *testing.T, br Broker)) {
		t.Run(name, func(t *testing.T) { f(t, newBroker(t)) })
	}

	run("ask and answer", func(t *testing.T, br Broker) {
		b := br.board(t, version, nil)
		b.WaitUp(t)
		want := version
		if version == wire.VersionAuto {
			if want = br.Protocol; want == "" {
				want = wire.Version5
			}
		}
		if b.Protocol() != want || !b.Up() {
			t.Errorf("speaks %q, up %v", b.Protocol(), b.Up())
		}
		o := br.device(t, version, b.Topics.Status())
		for i, topic := range []string{b.Topics.AskText("plc1"), b.Topics.AskSkill("plc1", "alarm")} {
			id := fmt.Sprint("a", i)
			o.Ask(topic, `{"id":"`+id+`","prompt":"hi"}`)
			g := b.Next(t)
			if g.Client != "plc1" || !g.IsAsk() || g.Retained || g.QoS != 1 {
				t.Errorf("got %+v", g.Address)
			}
			if err := b.Reply(ctx, g, "yes"); err != nil {
				t.Fatal(err)
			}
			a, err := o.Answer(ctx, id)
			if err != nil || a.Text != "yes" || a.Board != "b03" {
				t.Fatalf("%+v, %v", a, err)
			}
		}
		if _, err := o.Message(ctx, b.Topics.Status(), hasState(mqtt.StateReady)); err != nil {
			t.Error(err)
		}
	})

	run("publishes nowhere else", func(t *testing.T, br Broker) {
		b := br.board(t, version, nil)
		b.WaitUp(t)
		for _, topic := range []string{"plc/valve/set", b.Topics.AskText("plc1"), "acme/l2/llm/v1/reply/+/b03/answer", "acme/l2/llm/v1/b04/status", "", "#"} {
			if err := b.Publish(ctx, mqtt.Outgoing{Topic: topic, QoS: 1}); !errors.Is(err, mqtt.ErrOutside) {
				t.Errorf("publish to %q: %v", topic, err)
			}
		}
		if n := b.Stats().OutsideTopic; n != 6 {
			t.Errorf("counted %d", n)
		}
	})

	run("retained asks and bad topics are dropped and counted", func(t *testing.T, br Broker) {
		topics := mqtt.Topics{Prefix: "acme/l2", Board: "b03"}
		o := br.device(t, version, topics.AskText("plc1"))
		if err := o.Send(ctx, wire.Outgoing{Topic: topics.AskText("plc1"), Payload: []byte(`{"id":"old","prompt":"x"}`), QoS: 1, Retain: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := o.Message(ctx, topics.AskText("plc1"), nil); err != nil { // the broker is done with it
			t.Fatal(err)
		}
		b := br.board(t, version, nil)
		b.WaitUp(t)
		// A broker may send what it retained while it passes on newer messages.
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for range 500 {
			if b.Stats().RetainedAsks > 0 {
				break
			}
			<-tick.C
		}
		o.Ask(topics.AskSkill("plc1", "bad skill"), `{"id":"bad","prompt":"x"}`)
		o.Ask(topics.AskText("plc1"), `{"id":"new","prompt":"x"}`)
		g := b.Next(t)
		if !strings.Contains(string(g.Payload), "new") {
			t.Errorf("got %s", g.Payload)
		}
		if s := b.Stats(); s.RetainedAsks != 1 || s.BadTopics != 1 || s.Received != 1 {
			t.Errorf("counted %+v", s)
		}
	})

	run("unacknowledged asks come again, acknowledged ones do not", func(t *testing.T, br Broker) {
		b := br.board(t, version, nil)
		b.WaitUp(t)
		o := br.device(t, version)
		for _, id := range []string{"1", "2", "3"} {
			o.Ask(b.Topics.AskText("plc1"), `{"id":"`+id+`","prompt":"x"}`)
		}
		b.Next(t)
		if err := b.Reply(ctx, b.Next(t), "done"); err != nil { // the second, out of order
			t.Fatal(err)
		}
		b.Next(t)
		// The broker answers in order: after this it has seen the acknowledgement.
		if err := b.Publish(ctx, mqtt.Outgoing{Topic: b.Topics.Chunk("plc1"), Payload: []byte("{}"), QoS: 1}); err != nil {
			t.Fatal(err)
		}
		b.Reconnect()
		b.WaitUp(t)
		got := string(b.Next(t).Payload) + string(b.Next(t).Payload)
		if !strings.Contains(got, `"1"`) || !strings.Contains(got, `"3"`) {
			t.Errorf("came again: %s", got)
		}
	})

	run("a late acknowledgement does not hold the window", func(t *testing.T, br Broker) {
		b := br.board(t, version, nil) // window 8
		b.WaitUp(t)
		o := br.device(t, version)
		o.Ask(b.Topics.AskText("plc1"), `{"id":"slow","prompt":"x"}`)
		slow := b.Next(t)
		for i := range 50 {
			id := fmt.Sprint("fast", i)
			o.Ask(b.Topics.AskText("plc1"), `{"id":"`+id+`","prompt":"x"}`)
			if err := b.Reply(ctx, b.Next(t), "quick"); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Reply(ctx, slow, "at last"); err != nil {
			t.Fatal(err)
		}
		if _, err := o.Answer(ctx, "slow"); err != nil {
			t.Error(err)
		}
	})

	run("a cancel passes a full window", func(t *testing.T, br Broker) {
		b := br.board(t, version, nil)
		b.WaitUp(t)
		o := br.device(t, version)
		for i := range 30 {
			o.Ask(b.Topics.AskText("plc1"), fmt.Sprintf(`{"id":"%d","prompt":"x"}`, i))
		}
		if err := o.Send(ctx, wire.Outgoing{Topic: b.Topics.Cancel("plc1"), Payload: []byte(`{"id":"0"}`)}); err != nil {
			t.Fatal(err)
		}
		for {
			if g := b.Next(t); g.Kind == mqtt.KindCancel {
				if g.QoS != 0 || g.Client != "plc1" {
					t.Errorf("cancel: %+v QoS %d", g.Address, g.QoS)
				}
				return
			}
		}
	})

	run("an ask of 1 MB arrives to be refused", func(t *testing.T, br Broker) {
		b := br.board(t, version, nil)
		b.WaitUp(t)
		o := br.device(t, version)
		o.Ask(b.Topics.AskText("plc1"), `{"id":"big","prompt":"`+strings.Repeat("x", 1<<20)+`"}`)
		if err := b.Reply(ctx, b.Next(t), ""); err != nil {
			t.Fatal(err)
		}
		if a, err := o.Answer(ctx, "big"); err == nil {
			if a.Code != mqtt.TooLarge {
				t.Errorf("code %d", a.Code)
			}
		} else {
			t.Error(err)
		}
	})

	run("the will speaks for a board that vanishes", func(t *testing.T, br Broker) {
		_, addr, _ := strings.Cut(br.URL, "://")
		p := StartProxy(t, addr)
		o := br.device(t, version, "acme/l2/llm/v1/b03/status")
		b := br.board(t, version, func(c *mqtt.Config) { c.URL = p.URL() })
		b.WaitUp(t)
		p.Drop()
		if _, err := o.Message(ctx, b.Topics.Status(), hasState(mqtt.StateOffline)); err != nil {
			t.Error(err)
		}
		b.WaitUp(t)
		if err := b.Publish(ctx, mqtt.Outgoing{Topic: b.Topics.Status(), Payload: []byte(`{"state":"draining"}`), QoS: 1, Retain: true}); err != nil {
			t.Error(err)
		}
		b.Stop()
		offlines := func() (n int) {
			for _, m := range o.Messages() {
				// The embedded broker looks retained messages up after it has granted the
				// subscription: what it finds may be the will that the observer has had.
				if hasState(mqtt.StateOffline)(m) && !m.Retained {
					n++
				}
			}
			return n
		}
		if _, err := o.Message(ctx, b.Topics.Status(), hasState(mqtt.StateDraining)); err != nil {
			t.Error(err)
		}
		o.Ask("acme/l2/llm/v1/reply/plc1/fence", "{}") // everything before it has arrived
		if _, err := o.Message(ctx, "acme/l2/llm/v1/reply/plc1/fence", nil); err != nil {
			t.Error(err)
		}
		if n := offlines(); n != 1 {
			t.Errorf("%d times offline: a proper end must send no will", n)
		}
	})

	run("a stale offline is set right", func(t *testing.T, br Broker) {
		b := br.board(t, version, nil)
		b.WaitUp(t)
		o := br.device(t, version)
		o.Ask(b.Topics.Status(), `{"state":"offline","boot":"old"}`)
		b.WaitUp(t)
		if n := b.Stats().StaleStatus; n != 1 {
			t.Errorf("counted %d", n)
		}
	})

	run("pools go to whoever joins", func(t *testing.T, br Broker) {
		join := func(c *mqtt.Config) { c.Pools = []string{"p1"} }
		b := br.board(t, version, join)
		b.WaitUp(t)
		o := br.device(t, version)
		if err := b.JoinPools(ctx, true); err != nil {
			t.Fatal(err)
		}
		o.Ask(b.Topics.PoolAskText("p1", "plc1"), `{"id":"p1","prompt":"x"}`)
		g := b.Next(t)
		if g.Pool != "p1" || g.Client != "plc1" || g.Kind != mqtt.KindAskText {
			t.Errorf("got %+v", g.Address)
		}
		g.Ack()
		b.Reconnect()
		b.WaitUp(t)
		o.Ask(b.Topics.PoolAskSkill("p1", "plc1", "alarm"), `{"id":"p2","args":{}}`)
		g = b.Next(t)
		if g.Pool != "p1" || g.Skill != "alarm" {
			t.Errorf("after a reconnect: %+v", g.Address)
		}
		g.Ack()
		if err := b.JoinPools(ctx, false); err != nil {
			t.Fatal(err)
		}
		o.Ask(b.Topics.PoolAskText("p1", "plc1"), `{"id":"p3","prompt":"x"}`)
		o.Ask(b.Topics.AskText("plc1"), `{"id":"direct","prompt":"x"}`)
		if g = b.Next(t); g.Pool != "" {
			t.Errorf("left the pool, and got %+v", g.Address)
		}
	})

	run("a dead board's share of a pool goes to the living", func(t *testing.T, br Broker) {
		_, addr, _ := strings.Cut(br.URL, "://")
		p := StartProxy(t, addr)
		join := func(c *mqtt.Config) { c.Pools = []string{"p1"} }
		b := br.board(t, version, join)
		other := StartBoard(t, p.URL(), version, "b04", join)
		for _, board := range []*Board{b, other} {
			board.WaitUp(t)
			if err := board.JoinPools(ctx, true); err != nil {
				t.Fatal(err)
			}
		}
		o := br.device(t, version, other.Topics.Status())
		p.Cut() // it does not come back
		p.Drop()
		if _, err := o.Message(ctx, other.Topics.Status(), hasState(mqtt.StateOffline)); err != nil {
			t.Fatal(err)
		}
		for i := range 41 {
			id, topic := fmt.Sprint("pool", i), b.Topics.PoolAskText("p1", "plc1")
			if i == 0 {
				topic = b.Topics.AskText("plc1") // after this, the broker is done with the will and all that follows it
			}
			o.Ask(topic, `{"id":"`+id+`","prompt":"x"}`)
			if err := b.Reply(ctx, b.Next(t), "yes"); err != nil {
				t.Fatal(err)
			}
		}
	})

	run("nothing blocks without a network", func(t *testing.T, br Broker) {
		_, addr, _ := strings.Cut(br.URL, "://")
		p := StartProxy(t, addr)
		b := br.board(t, version, func(c *mqtt.Config) {
			c.URL, c.KeepAlive, c.Timeout = p.URL(), time.Second, 500*time.Millisecond
		})
		b.WaitUp(t)
		p.Cut()
		start := time.Now()
		if err := b.Publish(ctx, mqtt.Outgoing{Topic: b.Topics.Answer("plc1"), Payload: []byte("{}"), QoS: 1}); err == nil {
			t.Error("published through a cut network")
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("Publish took %s", d)
		}
		p.Mend()
		p.Drop()
		b.WaitUp(t)
		if b.Stats().Reconnects == 0 {
			t.Error("no reconnect counted")
		}
	})

	if five {
		run("properties of MQTT 5", func(t *testing.T, br Broker) {
			if br.Protocol == wire.Version311 {
				t.Skip("this broker speaks 3.1.1 only")
			}
			b := br.board(t, version, nil)
			b.WaitUp(t)
			o := br.device(t, wire.Version5)
			for i, c := range []struct {
				response, want string
			}{
				{"acme/l2/llm/v1/reply/plc1/rr/7", "acme/l2/llm/v1/reply/plc1/rr/7"},
				{"acme/l2/llm/v1/reply/plc2/rr/7", b.Topics.Answer("plc1")},
				{"plc/valve/set", b.Topics.Answer("plc1")},
				{"acme/l2/llm/v1/reply/plc1/+/7", b.Topics.Answer("plc1")},
				{"acme/l2/llm/v1/reply/plc1/#", b.Topics.Answer("plc1")},
				{"", b.Topics.Answer("plc1")},
			} {
				id := fmt.Sprint("rr", i)
				m := wire.Outgoing{Topic: b.Topics.AskText("plc1"), Payload: []byte(`{"id":"` + id + `","prompt":"x"}`), QoS: 1,
					ResponseTopic: c.response, CorrelationData: []byte{0, 0xff, byte(i)}, Expiry: time.Minute}
				if err := o.Send(ctx, m); err != nil {
					t.Fatal(err)
				}
				g := b.Next(t)
				stripped := g.ResponseTopic == "" && strings.ContainsAny(c.response, "+#") // as a careful broker does
				if g.ResponseTopic != c.response && !stripped || g.Expiry <= 0 || g.Expiry > time.Minute || g.ContentType != "application/json" {
					t.Errorf("arrived as %q, expiry %s, type %q", g.ResponseTopic, g.Expiry, g.ContentType)
				}
				if err := b.Reply(ctx, g, "yes"); err != nil {
					t.Fatal(err)
				}
				r, err := o.Message(ctx, c.want, func(m wire.Message) bool { return strings.Contains(string(m.Payload), `"id":"`+id+`"`) })
				if err != nil {
					t.Errorf("Response Topic %q: %v", c.response, err)
				} else if !bytes.Equal(r.CorrelationData, []byte{0, 0xff, byte(i)}) || r.ContentType != "application/json" {
					t.Errorf("answer with %x, %q", r.CorrelationData, r.ContentType)
				}
			}
		})
	}
}

func hasState(state string) func(wire.Message) bool {
	return func(m wire.Message) bool { return strings.Contains(string(m.Payload), `"state":"`+state+`"`) }
}
