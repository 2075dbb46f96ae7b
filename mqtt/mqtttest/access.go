package mqtttest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"lineside/mqtt"
	"lineside/mqtt/wire"
)

// Guarded is a broker with docs/mosquitto/acl: board b03, operator op1, and
// devices plc1 and plc2.
type Guarded struct {
	URL   string
	Login func(user string, o *wire.Options) // puts in what user logs in with
}

// AccessSuite proves what the access list promises, over one protocol.
func AccessSuite(t *testing.T, version string, g Guarded) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	root := "llm/v1/"
	board := StartBoard(t, g.URL, version, "b03", func(c *mqtt.Config) {
		var o wire.Options
		g.Login("b03", &o)
		c.Prefix, c.Username, c.PasswordFile, c.TLS, c.Admin = "", o.Username, o.PasswordFile, o.TLS, true
	})
	board.WaitUp(t)
	as := func(user string) *Observer {
		return Observe(t, g.URL, version, "", user, nil, func(o *wire.Options) { g.Login(user, o) })
	}
	plc1, plc2 := as("plc1"), as("plc2")

	// What is allowed works.
	for _, o := range []*Observer{plc1, plc2} {
		o.Ask(board.Topics.AskText(o.Client), `{"id":"own","prompt":"x"}`)
		got := board.Next(t)
		if got.Client != o.Client {
			t.Errorf("%s asked, board saw %+v", o.Client, got.Address)
		}
		if err := board.Reply(ctx, got, "for "+o.Client); err != nil {
			t.Fatal(err)
		}
		if a, err := o.Answer(ctx, "own"); err != nil || a.Text != "for "+o.Client {
			t.Errorf("%s: %+v, %v", o.Client, a, err)
		}
	}
	op := as("op1")
	op.Ask(board.Topics.Admin("op1", "drain"), `{"id":"1"}`)
	if got := board.Next(t); got.Kind != mqtt.KindAdmin || got.Verb != "drain" {
		t.Errorf("operator's verb: %+v", got.Address)
	}

	// What is not allowed does not happen. Each try has its own connection:
	// some brokers end it.
	tries := []string{
		board.Topics.AskText("plc1"), board.Topics.AskSkill("plc1", "alarm"), board.Topics.Cancel("plc1"),
		board.Topics.Status(), board.Topics.Event(), board.Topics.Answer("plc1"), root + "reply/plc1/x",
		board.Topics.Admin("op1", "drain"), board.Topics.Admin("plc2", "drain"), root + "pool/p/ask/plc1/text",
		root + "reply/ask/plc2/answer", root + "reply/cancel/plc2", "plc/valve/set",
	}
	for _, topic := range tries {
		tryPublish(ctx, t, g, version, "plc2", topic)
	}
	if got := trySubscribe(ctx, t, g, version, "plc2", root+"reply/plc1/#", func() {
		plc1.Ask(board.Topics.AskText("plc1"), `{"id":"secret","prompt":"x"}`)
		got := board.Next(t)
		if !strings.Contains(string(got.Payload), "secret") {
			t.Errorf("a forbidden message reached the board: %s %s", got.Topic, got.Payload)
		}
		if err := board.Reply(ctx, got, "for plc1 only"); err != nil {
			t.Fatal(err)
		}
		if _, err := plc1.Answer(ctx, "secret"); err != nil {
			t.Error(err)
		}
	}); len(got) != 0 {
		t.Errorf("plc2 read %d replies of plc1", len(got))
	}
	for _, m := range plc1.Messages() {
		if strings.Contains(string(m.Payload), "forged") {
			t.Errorf("plc2 wrote to plc1: %s %s", m.Topic, m.Payload)
		}
	}
	if s := board.Stats(); s.StaleStatus != 0 {
		t.Error("plc2 wrote the board's status")
	}

	tryWill(ctx, t, g, version, board, plc1)

	// Nobody gets in without proof.
	if c, err := dialAs(ctx, g, version, "nobody", "nobody", nil); err == nil {
		t.Error("nobody got in")
		c.Close()
	}
}

// tryWill has plc2 die with a will on plc1's replies, and then with one on its
// own cancel topic: the board sees the second, plc1 must not have seen the first.
func tryWill(ctx context.Context, t *testing.T, g Guarded, version string, board *Board, plc1 *Observer) {
	t.Helper()
	scheme, addr, _ := strings.Cut(g.URL, "://")
	for i, topic := range []string{board.Topics.Answer("plc1"), board.Topics.Cancel("plc2")} {
		p := StartProxy(t, addr)
		behind := Guarded{URL: scheme + "://" + p.Addr, Login: g.Login}
		c, err := dialAs(ctx, behind, version, "plc2", fmt.Sprint("plc2-will", i), func(o *wire.Options) {
			o.Will = &wire.Outgoing{Topic: topic, Payload: []byte(`{"id":"forged by a will"}`), QoS: 1}
		})
		if err != nil {
			if i == 1 || !errors.Is(err, wire.ErrRefused) {
				t.Errorf("will on %s: %v", topic, err)
			}
			continue // refused at the door
		}
		p.Drop()
		select {
		case <-c.Down():
		case <-ctx.Done():
			t.Fatal("the connection does not end")
		}
	}
	if got := board.Next(t); got.Kind != mqtt.KindCancel || got.Client != "plc2" {
		t.Errorf("plc2's own will: %+v", got.Address)
	}
	for _, m := range plc1.Messages() {
		if strings.Contains(string(m.Payload), "forged") {
			t.Errorf("plc2's will reached plc1: %s %s", m.Topic, m.Payload)
		}
	}
}

func dialAs(ctx context.Context, g Guarded, version, user, clientID string, change func(*wire.Options)) (wire.Conn, error) {
	o := wire.Options{URL: g.URL, Version: version, ClientID: clientID, Timeout: 5 * time.Second, OnMessage: func(m wire.Message) { m.Ack() }}
	g.Login(user, &o)
	if change != nil {
		change(&o)
	}
	return wire.Dial(ctx, o)
}

// tryPublish publishes something forged and waits until the broker is done with it.
func tryPublish(ctx context.Context, t *testing.T, g Guarded, version, user, topic string) {
	t.Helper()
	c, err := dialAs(ctx, g, version, user, user+"-try", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// The broker may say no (5), say nothing (3.1.1), or hang up.
	err = c.Publish(ctx, wire.Outgoing{Topic: topic, Payload: []byte(`{"id":"forged","prompt":"forged","state":"offline"}`), QoS: 1})
	if version == wire.Version5 && err == nil {
		t.Errorf("the broker took a publish of %s on %s", user, topic)
	}
}

// trySubscribe returns what user receives on filter while f runs.
func trySubscribe(ctx context.Context, t *testing.T, g Guarded, version, user, filter string, f func()) []wire.Message {
	t.Helper()
	var got []wire.Message
	fence := make(chan struct{}, 1)
	own := fmt.Sprintf("llm/v1/reply/%s/fence", user)
	c, err := dialAs(ctx, g, version, user, user+"-spy", func(o *wire.Options) {
		o.OnMessage = func(m wire.Message) {
			m.Ack()
			if m.Topic == own {
				fence <- struct{}{}
				return
			}
			got = append(got, m)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Subscribe(ctx, []wire.Subscription{{Filter: own, QoS: 1}}); err != nil {
		t.Fatal(err)
	}
	if err := c.Subscribe(ctx, []wire.Subscription{{Filter: filter, QoS: 1}}); err != nil && !errors.Is(err, wire.ErrRefused) {
		t.Fatal(err)
	}
	f()
	// The board's own message on the spy's topic comes after everything before it.
	b, err := dialAs(ctx, g, version, "b03", "b03-fence", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Publish(ctx, wire.Outgoing{Topic: own, Payload: []byte("{}"), QoS: 1}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-fence:
	case <-ctx.Done():
		t.Fatal("the fence does not arrive")
	}
	return got
}
