package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"lineside/daemon/admission"
	"lineside/daemon/ledger"
	"lineside/daemon/queue"
	"lineside/daemon/skill"
	"lineside/daemon/store"
	"lineside/inference/model/licence"
	"lineside/mqtt"
)

// ask is one ask on its way through the house.
type ask struct {
	key      ledger.Key
	print    ledger.Print
	topic    string
	payload  []byte
	to       mqtt.Address
	req      mqtt.Ask
	response string // Response Topic as it came, and where replies go because of it
	replies  mqtt.Replies
	corr     []byte
	arrived  time.Time
	deadline time.Time
	skill    *skill.Skill // nil: a free prompt
	filled   skill.Ask
	schema   *jsonschema.Schema // of the ask itself

	// Guarded by Daemon.mu.
	acks     []func() // to the broker, once the ask or its answer is safe
	safe     bool     // it is on disk
	attempts int      // times that the engine failed on it; only its worker writes it
	ended    bool     // its answer is on the way
	started  time.Time
	cancel   context.CancelCauseFunc // set while running
}

// what names the ask's kind for its print: the same payload to another skill is another ask.
func what(a mqtt.Address) string { return string(a.Kind) + "/" + a.Skill }

// Handle takes one message from the broker. It never blocks.
func (d *Daemon) Handle(to mqtt.Address, m mqtt.Message) {
	switch {
	case to.IsAsk():
		d.ask(m, to, time.Now())
	case to.Kind == mqtt.KindCancel:
		m.Ack()
		d.cancelled(m.Payload, to)
	case to.Kind == mqtt.KindAdmin:
		m.Ack()
		d.admin(m.Payload, to)
	default:
		d.count.drop("topic")
		m.Ack()
	}
}

// ask walks one ask through the door.
func (d *Daemon) ask(m mqtt.Message, to mqtt.Address, now time.Time) {
	replies, honoured := d.Topics.Replies(to.Client, m.ResponseTopic)
	a := &ask{
		topic: m.Topic, payload: m.Payload, to: to, response: m.ResponseTopic, replies: replies, corr: m.CorrelationData,
		arrived: now, acks: []func(){m.Ack},
	}
	d.count.asked.Add(1)
	if !honoured {
		d.event(mqtt.EventDenied, "a Response Topic outside the client's own replies was not used", to.Client, nil)
	}
	req, refusal := mqtt.ParseAsk(m.Payload, mqtt.Limits{MaxBytes: int(d.Config.Limits.MaxAsk)})
	if refusal == nil {
		a.req = req
		refusal = req.Fits(to)
	}
	if refusal != nil {
		a.req.ID = refusal.ID
		a.key = ledger.Key{Client: to.Client, ID: refusal.ID}
		d.mu.Lock()
		v := d.rates.Take(to.Client, now)
		d.mu.Unlock()
		if v.OK() {
			v = admission.Verdict{Code: refusal.Code, Text: refusal.Text}
		}
		d.refuse(a, v)
		return
	}
	a.key = ledger.Key{Client: to.Client, ID: req.ID}
	a.print = ledger.PrintOf(what(to), m.Payload)
	if d.known(a, now) {
		return
	}
	if v := d.prepare(a); !v.OK() {
		d.refuse(a, v)
		return
	}
	d.mu.Lock()
	waited := d.backlog.Waited(now)
	d.mu.Unlock()
	left := admission.Times{
		Default: d.Config.Limits.DeadlineDefault.Duration, Max: d.Config.Limits.DeadlineMax.Duration,
		Asked: time.Duration(req.DeadlineMS) * time.Millisecond, Expiry: m.Expiry, Waited: waited,
	}
	if a.skill != nil {
		left.Skill = a.skill.Deadline
	}
	if left.Left() <= 0 {
		d.refuse(a, admission.Verdict{Code: mqtt.Expired, Text: "the ask had waited past its deadline when it arrived"})
		return
	}
	a.deadline = now.Add(left.Left())
	if c := a.filled.Canned; c != nil {
		d.canned(a, c)
		return
	}
	d.enqueue(a)
}

// known deals with an ask that the ledger has, and with clients that ask too often.
func (d *Daemon) known(a *ask, now time.Time) bool {
	d.mu.Lock()
	standing, stored := d.ledger.Look(a.key, a.print, now)
	if standing == ledger.Working {
		// The broker sent it again, or the client did: the one answer serves both.
		w := d.asks[a.key]
		if w != nil && !w.safe {
			w.acks = append(w.acks, a.acks...)
			a.acks = nil
		}
		var ack *delivery
		if w != nil && a.req.Ack {
			ack = d.ackOf(w)
		}
		d.mu.Unlock()
		for _, f := range a.acks {
			f()
		}
		if ack != nil {
			d.softly(*ack)
		}
		return true
	}
	v := d.rates.Take(a.to.Client, now)
	d.mu.Unlock()
	switch {
	case !v.OK():
		d.refuse(a, v)
	case standing == ledger.Conflict:
		d.refuse(a, admission.Verdict{Code: mqtt.IDConflict, Text: "this id was used for another ask: choose a new one"})
	case standing == ledger.Answered:
		d.replay(a, stored)
	default:
		return false
	}
	return true
}

// prepare finds the skill and fills it in, or takes in the ask's own schema.
func (d *Daemon) prepare(a *ask) admission.Verdict {
	if a.to.Kind == mqtt.KindAskText {
		a.filled = skill.Ask{System: systemText(a.req.Lang), Prompt: a.req.Prompt}
		if a.req.Schema == nil {
			return d.permitted(a)
		}
		_, s, err := skill.CompileSchema(a.req.Schema)
		if err != nil {
			return admission.Verdict{Code: mqtt.BadRequest, Text: "field \"schema\" " + err.Error()}
		}
		a.schema = s
		return d.permitted(a)
	}
	s, ok := d.Skills.Get(a.to.Skill)
	if !ok {
		return admission.Verdict{Code: mqtt.UnknownSkill, Text: fmt.Sprintf("this board has no skill %q: its info topic lists them", a.to.Skill)}
	}
	filled, err := s.Apply(a.req.Args, a.req.Lang)
	if err != nil {
		return admission.Verdict{Code: mqtt.BadArgs, Text: err.Error()}
	}
	a.skill, a.filled = s, filled
	if filled.Canned != nil {
		return admission.Verdict{}
	}
	return d.permitted(a)
}

// permitted asks the licences of the model and of the ask's adapter whether they may be used
// for this.
func (d *Daemon) permitted(a *ask) admission.Verdict {
	use, adapter := licence.General, ""
	if a.skill != nil {
		use, adapter = a.skill.UseClass, a.skill.Adapter
	}
	err := d.Permit(use, adapter)
	switch {
	case err == nil:
		return admission.Verdict{}
	case adapter != "" && !errors.Is(err, licence.ErrRefused): // another model runs for now, or it is not installed
		return admission.Verdict{Code: mqtt.NotReady, Text: err.Error(), Retry: time.Minute}
	}
	d.event(mqtt.EventDenied, err.Error(), a.to.Client, nil)
	return admission.Verdict{Code: mqtt.Denied, Text: err.Error()}
}

// canned answers without the model.
func (d *Daemon) canned(a *ask, c *skill.Canned) {
	d.mu.Lock()
	v := d.board.Any()
	d.mu.Unlock()
	if !v.OK() {
		d.refuse(a, v)
		return
	}
	d.end(a, outcome{text: c.Text, data: c.Data, finish: mqtt.FinishStop})
}

// enqueue takes an ask for the model in, or refuses it.
func (d *Daemon) enqueue(a *ask) {
	it := queue.Item[*ask]{Client: a.to.Client, ID: a.req.ID, Deadline: a.due(), Value: a}
	if a.skill != nil {
		it.Priority = a.skill.Priority
	}
	full := admission.Verdict{Code: mqtt.QueueFull, Text: "the queue has no place for this client"}
	d.mu.Lock()
	v := d.board.Queued(it.Deadline.Sub(a.arrived))
	full.Retry = d.pace.Wait(d.queue.Len()/2 + 1)
	if v.OK() && !d.queue.Room(it.Client, it.Priority) {
		v = full
	}
	if v.OK() {
		d.ledger.Begin(a.key, a.print)
		d.asks[a.key] = a
	}
	d.mu.Unlock()
	if !v.OK() {
		d.refuse(a, v)
		return
	}
	if d.Store != nil { // before a worker can have it: the store must see the ask before its answer
		d.Store.PutAsk(a.record(), func(err error) { d.stored(a, err) })
	}
	d.mu.Lock()
	_, err := d.queue.Push(it)
	d.mu.Unlock()
	if err != nil { // asks that came back from the engine took the last places meanwhile
		d.refuse(a, full)
		return
	}
	if d.Store == nil {
		d.acknowledge(a)
	}
	nudge(d.wake)
	nudge(d.tick)
}

// acknowledge tells the client that its ask is taken, if it wants to know. With a
// store it is told only once the ask is on disk: what it hears of survives a power cut.
func (d *Daemon) acknowledge(a *ask) {
	if !a.req.Ack {
		return
	}
	d.mu.Lock()
	working := d.asks[a.key] == a
	ack := d.ackOf(a)
	d.mu.Unlock()
	if working {
		d.softly(*ack)
	}
}

// due is when the answer must be on its way.
func (a *ask) due() time.Time {
	return a.deadline.Add(-admission.Margin(a.deadline.Sub(a.arrived)))
}

func (a *ask) record() store.Ask {
	return store.Ask{
		Key: a.key, Topic: a.topic, Payload: a.payload, Response: a.response, Correlation: a.corr,
		Accepted: a.arrived, Deadline: a.deadline, Attempts: a.attempts,
	}
}

// stored hears from the store that an ask is on disk: the broker may forget it.
func (d *Daemon) stored(a *ask, err error) {
	d.acknowledge(a)
	if err != nil {
		d.storeFailed(err) // the broker keeps it until it is answered
		return
	}
	d.mu.Lock()
	a.safe = true
	acks := a.acks
	a.acks = nil
	d.mu.Unlock()
	for _, f := range acks {
		f()
	}
}

// ackOf says where a working ask is. d.mu is held.
func (d *Daemon) ackOf(a *ask) *delivery {
	ack := mqtt.Ack{ID: a.req.ID, State: mqtt.AckRunning, ETAMS: d.pace.Answer().Milliseconds()}
	if ahead := d.queue.Ahead(a.to.Client, a.req.ID); ahead >= 0 {
		ack.State, ack.Pos = mqtt.AckQueued, ahead
		ack.ETAMS += d.pace.Wait(ahead + d.running() - d.pace.Lanes + 1).Milliseconds()
	}
	return &delivery{to: a.replies.Ack, corr: a.corr, payload: encode(ack)}
}

// running counts asks in the engine. d.mu is held.
func (d *Daemon) running() int { return len(d.asks) - d.queue.Len() }

// cancelled ends a client's own ask.
func (d *Daemon) cancelled(payload []byte, to mqtt.Address) {
	c, refusal := mqtt.ParseCancel(payload)
	if refusal != nil {
		d.count.drop("cancel")
		return
	}
	k := ledger.Key{Client: to.Client, ID: c.ID}
	d.mu.Lock()
	a := d.asks[k]
	_, waiting := d.queue.Remove(k.Client, k.ID)
	if a != nil && a.cancel != nil {
		a.cancel(errCancelled)
	}
	d.mu.Unlock()
	if waiting {
		d.end(a, outcome{code: mqtt.Cancelled, text: "cancelled", finish: mqtt.FinishCancelled})
	}
}

// replay sends the stored answer of an ask that came again.
func (d *Daemon) replay(a *ask, stored []byte) {
	var ans mqtt.Answer
	if err := json.Unmarshal(stored, &ans); err != nil {
		d.refuse(a, admission.Verdict{Code: mqtt.Internal, Text: "the stored answer cannot be read"})
		return
	}
	ans.Replay = true
	ans.Stamps = d.stamps()
	payload, _ := ans.Encode(int(d.Config.Limits.MaxAnswer))
	d.count.replayed.Add(1)
	d.send(delivery{to: a.replies.Answer, corr: a.corr, payload: payload, acks: a.acks})
}

// refuse answers an ask that was not taken in.
func (d *Daemon) refuse(a *ask, v admission.Verdict) {
	d.end(a, outcome{code: v.Code, text: v.Text, retry: v.Retry})
}

var errCancelled = errors.New("cancelled by the client")
