// Package conform tests a board from outside, as a device sees it: any board,
// also one that is no Lineside but speaks the same topics.
//
// It asks under one client's name and never publishes on a board's topics. It
// needs no access that a device does not have.
package conform

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"lineside/mqtt"
	"lineside/mqtt/asyncapi"
	"lineside/mqtt/wire"
)

// Options says what to test and as whom.
type Options struct {
	Connect wire.Options  // URL, version and login; the rest is filled in
	Topics  mqtt.Topics   // prefix, and the board under test
	Client  string        // the device's name in the topics
	Prompt  string        // a harmless free prompt
	Wait    time.Duration // for one answer; default 60 s
}

// Outcome of one check.
type Outcome string

// Outcomes.
const (
	Passed  Outcome = "pass"
	Failed  Outcome = "fail"
	Skipped Outcome = "skip" // the board cannot show it, and Detail says why
)

// Result of one check.
type Result struct {
	Check   string  `json:"check"`
	Outcome Outcome `json:"outcome"`
	Detail  string  `json:"detail"` // what was seen, or what is wrong
	MS      int64   `json:"ms"`
}

// check is one thing that a board must do.
type check struct {
	name string
	run  func(context.Context, *tester) (detail string, err error)
}

// errSkip marks what a board cannot show.
type errSkip struct{ why string }

func (e errSkip) Error() string { return e.why }

// Run makes every check in turn and reports each as it is done. The error is
// about the test itself: a broker that cannot be reached, a context that ends.
func Run(ctx context.Context, o Options, report func(Result)) error {
	t, err := connect(ctx, o)
	if err != nil {
		return err
	}
	defer t.conn.Close()
	for _, c := range checks() {
		start := time.Now()
		detail, err := c.run(ctx, t)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r := Result{Check: c.name, Outcome: Passed, Detail: detail, MS: time.Since(start).Milliseconds()}
		var skip errSkip
		switch {
		case errors.As(err, &skip):
			r.Outcome, r.Detail = Skipped, skip.why
		case err != nil:
			r.Outcome, r.Detail = Failed, err.Error()
		}
		report(r)
		select {
		case err := <-t.conn.Down():
			return fmt.Errorf("the broker ended the connection after the check %q: %w", c.name, err)
		default:
		}
	}
	return nil
}

// tester is a device with an inbox.
type tester struct {
	Options
	conn    wire.Conn
	inbox   *inbox
	schemas map[string]*jsonschema.Schema
	run     string // part of every id, so that runs do not meet
	seq     int
}

func connect(ctx context.Context, o Options) (*tester, error) {
	if err := o.Topics.Validate(); err != nil {
		return nil, err
	}
	if !mqtt.ValidID(o.Client) {
		return nil, fmt.Errorf("client %q must be 1 to 64 characters of A-Z a-z 0-9 _ . -", o.Client)
	}
	if o.Wait <= 0 {
		o.Wait = time.Minute
	}
	t := &tester{Options: o, schemas: map[string]*jsonschema.Schema{}, run: rand.Text()[:8], inbox: newInbox()}
	for _, p := range asyncapi.Payloads() {
		c := jsonschema.NewCompiler()
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(p.Schema()))
		if err == nil {
			err = c.AddResource(p.Name+".json", doc)
		}
		if err == nil {
			t.schemas[p.Name], err = c.Compile(p.Name + ".json")
		}
		if err != nil {
			return nil, fmt.Errorf("schema of %s: %w", p.Name, err)
		}
	}
	o.Connect.ClientID = "conform-" + t.run
	o.Connect.Persistent, o.Connect.Will = false, nil // a tool must never have a will
	o.Connect.OnMessage = func(m wire.Message) {
		t.inbox.put(m)
		m.Ack()
	}
	var err error
	if t.conn, err = wire.Dial(ctx, o.Connect); err != nil {
		return nil, err
	}
	b := o.Topics
	err = t.conn.Subscribe(ctx, []wire.Subscription{
		{Filter: b.Root() + "/reply/" + o.Client + "/#", QoS: 1},
		{Filter: b.Status(), QoS: 1}, {Filter: b.Info(), QoS: 1}, {Filter: b.Health(), QoS: 0}, {Filter: b.Skill("+"), QoS: 1},
	})
	if err != nil {
		t.conn.Close()
		return nil, err
	}
	return t, nil
}

// fits holds a payload to its schema.
func (t *tester) fits(name string, payload []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(payload))
	if err != nil {
		return fmt.Errorf("%s is no JSON: %w", name, err)
	}
	if err := t.schemas[name].Validate(v); err != nil {
		lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
		return fmt.Errorf("%s does not fit its schema: %s", name, strings.Join(lines[min(1, len(lines)-1):], "; "))
	}
	return nil
}

func (t *tester) newID(what string) string {
	t.seq++
	return fmt.Sprintf("%s-%s-%d", what, t.run, t.seq)
}

// send publishes to the board as the device.
func (t *tester) send(ctx context.Context, m wire.Outgoing) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := t.conn.Publish(ctx, m); err != nil {
		return fmt.Errorf("send to %s: %w", m.Topic, err)
	}
	return nil
}

// ask sends a payload to the text topic and returns the answer to id.
func (t *tester) ask(ctx context.Context, id, payload string) (mqtt.Answer, error) {
	since := t.inbox.len()
	if err := t.send(ctx, wire.Outgoing{Topic: t.Topics.AskText(t.Client), Payload: []byte(payload), QoS: 1}); err != nil {
		return mqtt.Answer{}, err
	}
	a, _, err := t.answer(ctx, t.Topics.Answer(t.Client), id, since)
	return a, err
}

func (t *tester) askPrompt(ctx context.Context, id, more string) (mqtt.Answer, error) {
	return t.ask(ctx, id, t.prompt(id, more))
}

// prompt is an ask's payload; more is further fields with a comma before them.
func (t *tester) prompt(id, more string) string {
	p, _ := mqtt.Encode(t.Prompt)
	return fmt.Sprintf(`{"id":%q,"prompt":%s%s}`, id, p, more)
}

// answer waits for the answer to id on topic, not older than since, and holds
// it to the rules that all answers have.
func (t *tester) answer(ctx context.Context, topic, id string, since int) (mqtt.Answer, wire.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, t.Wait)
	defer cancel()
	var a mqtt.Answer
	m, ok := t.inbox.wait(ctx, since, func(m wire.Message) bool {
		return m.Topic == topic && mqtt.Decode(m.Payload, &a) == nil && a.ID == id
	})
	if !ok {
		return a, m, fmt.Errorf("no answer to %q on %s within %s", id, topic, t.Wait)
	}
	switch err := t.fits("answer", m.Payload); {
	case err != nil:
		return a, m, err
	case a.Board != t.Topics.Board:
		return a, m, fmt.Errorf("the answer names board %q", a.Board)
	case a.Status != a.Code.String():
		return a, m, fmt.Errorf("code %d with status %q, want %q", a.Code, a.Status, a.Code)
	case a.Code.Retry() && a.RetryMS <= 0:
		return a, m, fmt.Errorf("code %d %s without retry_ms", a.Code, a.Code)
	case m.Retained:
		return a, m, errors.New("the answer is retained")
	}
	return a, m, nil
}
