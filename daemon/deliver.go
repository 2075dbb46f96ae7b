package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"time"
	"unicode/utf8"

	"lineside/daemon/ledger"
	"lineside/daemon/store"
	"lineside/mqtt"
)

// outcome is how an ask ended.
type outcome struct {
	code   mqtt.Code
	text   string
	data   json.RawMessage
	finish string
	model  string
	seed   uint64
	ms     mqtt.Timings
	tok    mqtt.Tokens
	retry  time.Duration
}

// delivery is one message on its way to the broker.
type delivery struct {
	to      string
	corr    []byte
	payload []byte
	acks    []func()   // of the ask's message, once the broker has this
	key     ledger.Key // of a stored answer, to note that it was delivered
	stored  bool
	answer  bool // goes on to the publishers of answers
	event   bool // QoS 1
}

// remembered tells whether the same ask again gets this answer. What says
// "come back later" must be asked anew, and what was refused at the door is
// refused again without memory.
func (o outcome) remembered() bool {
	switch o.code {
	case mqtt.OK, mqtt.Deadline, mqtt.Cancelled, mqtt.Fault, mqtt.SchemaFailed:
		return true
	}
	return false
}

// end gives an ask its one answer. A second call for the same ask does nothing.
func (d *Daemon) end(a *ask, o outcome) {
	now := time.Now()
	d.mu.Lock()
	if a.ended {
		d.mu.Unlock()
		return
	}
	a.ended = true
	working := d.asks[a.key] == a
	acks := a.acks
	a.acks = nil
	d.mu.Unlock()

	ans := d.answer(a, o, now)
	payload, fitted := ans.Encode(int(d.Config.Limits.MaxAnswer))
	if !fitted && ans.Data != nil {
		o.code = mqtt.TooLarge
	}
	d.audit(a, o, ans, now)
	d.count.answered(o.code)

	out := delivery{to: a.replies.Answer, corr: a.corr, payload: payload, acks: acks}
	d.mu.Lock()
	if working {
		delete(d.asks, a.key)
	}
	switch {
	case o.remembered():
		d.ledger.Answer(a.key, a.print, payload, laterOf(a.deadline, a.arrived.Add(ledger.Keep)))
	case working:
		d.ledger.Forget(a.key)
	}
	d.mu.Unlock()
	nudge(d.tick)
	if working && d.Store != nil {
		d.keep(a, o, out, now)
		return
	}
	if d.Store != nil && o.remembered() { // a canned answer: the broker keeps its ask until it has the answer
		d.Store.Note(store.Answer{
			Key: a.key, Print: a.print, Topic: out.to, Correlation: out.corr, Payload: payload, At: now,
			Until: laterOf(a.deadline, now.Add(ledger.Keep)), Delivered: true,
		})
	}
	d.handOver(a, out)
}

// keep stores an answer of the model before it goes out, so that a replay
// after a crash says the same.
func (d *Daemon) keep(a *ask, o outcome, out delivery, now time.Time) {
	until := laterOf(a.deadline, now.Add(ledger.Keep))
	if !o.remembered() {
		until = now // kept only until it is delivered
	}
	d.count.pending.Add(1) // while it is on its way to the disk
	d.Store.PutAnswer(store.Answer{
		Key: a.key, Print: a.print, Topic: out.to, Correlation: out.corr, Payload: out.payload, At: now, Until: until,
	}, func(err error) {
		if err != nil {
			d.storeFailed(err)
		} else {
			out.key, out.stored = a.key, true
			for _, f := range out.acks { // the answer is safe: the broker may forget the ask
				f()
			}
			out.acks = nil
		}
		d.handOver(a, out)
		d.count.pending.Add(-1)
	})
}

// handOver keeps the answer behind the ask's chunks.
func (d *Daemon) handOver(a *ask, out delivery) {
	if a.req.Stream {
		out.answer = true
		d.count.pending.Add(1)
		select {
		case d.soft <- out:
			return
		default:
			d.count.pending.Add(-1)
		}
	}
	d.send(out)
}

// answer makes the wire form of an outcome.
func (d *Daemon) answer(a *ask, o outcome, now time.Time) mqtt.Answer {
	ans := mqtt.Answer{
		ID: a.req.ID, Board: d.Topics.Board, Code: o.code, Text: o.text, Data: o.data, Finish: o.finish,
		Model: o.model, Seed: o.seed, MS: o.ms, Tok: o.tok, Stamps: d.stamps(),
	}
	ans.MS.Total = now.Sub(a.arrived).Milliseconds()
	if a.skill != nil {
		ans.Skill = a.skill.Ref()
	}
	if o.code.Retry() {
		ans.RetryMS = max(o.retry.Milliseconds(), 1)
	}
	return ans
}

// send queues an answer for the broker. Where the queue is full the answer is
// dropped, counted, and the ask left with the broker, which sends it again.
func (d *Daemon) send(out delivery) {
	d.count.pending.Add(1)
	select {
	case d.out <- out:
	default:
		d.count.pending.Add(-1)
		d.count.drop("out_full")
	}
}

// softly queues an ack or a chunk; where there is no room it is lost, as QoS 0 permits.
func (d *Daemon) softly(out delivery) {
	select {
	case d.soft <- out:
	default:
		d.count.drop("soft_full")
	}
}

// publishSoft sends acks and chunks in order, and passes on answers behind them.
func (d *Daemon) publishSoft(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case out := <-d.soft:
			if out.answer {
				d.send(out)
				d.count.pending.Add(-1)
				continue
			}
			qos := byte(0)
			if out.event {
				qos = 1
			}
			if err := d.try(ctx, out, qos, softTimeout); err != nil && ctx.Err() == nil {
				d.count.drop("soft")
			}
		}
	}
}

// publish brings answers out, one after the other, each until the broker has it.
func (d *Daemon) publish(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case out := <-d.out:
			d.deliver(ctx, out)
			d.count.pending.Add(-1)
		}
	}
}

// deliver tries until the broker has the answer, refuses it, or ctx ends.
func (d *Daemon) deliver(ctx context.Context, out delivery) {
	for {
		err := d.try(ctx, out, 1, answerTimeout)
		switch {
		case err == nil:
			if out.stored {
				d.Store.Delivered(out.key)
			}
			for _, f := range out.acks {
				f()
			}
			return
		case ctx.Err() != nil:
			return
		case errors.Is(err, mqtt.ErrOutside), errors.Is(err, mqtt.ErrRefused), errors.Is(err, mqtt.ErrPacketSize):
			d.count.drop("refused")
			d.Log.Error("the broker does not take an answer: check the ACL of the board's user", "topic", out.to, "err", err)
			for _, f := range out.acks {
				f()
			}
			return
		}
		if d.waitUp(ctx) != nil {
			return
		}
	}
}

// Bounds of one try. A dead connection is found by its keepalive before an answer is
// sent again, so that a network that was cut for a while brings it once.
const (
	softTimeout   = 10 * time.Second
	answerTimeout = time.Minute
)

func (d *Daemon) try(ctx context.Context, out delivery, qos byte, most time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	return d.Bus.Publish(ctx, mqtt.Outgoing{Topic: out.to, Payload: out.payload, QoS: qos, CorrelationData: out.corr})
}

// retryAfter keeps a bus that fails at once from spinning.
const retryAfter = 100 * time.Millisecond

// waitUp waits for the connection.
func (d *Daemon) waitUp(ctx context.Context) error {
	d.mu.Lock()
	up := d.isUp
	d.mu.Unlock()
	t := time.NewTimer(retryAfter)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-up:
		return nil
	}
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// cutChars keeps at most n characters; 0 keeps all.
func cutChars(s string, n int) (string, bool) {
	if n <= 0 || utf8.RuneCountInString(s) <= n {
		return s, false
	}
	for i := range s {
		if n == 0 {
			return s[:i], true
		}
		n--
	}
	return s, false
}
