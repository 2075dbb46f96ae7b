package daemon

import (
	"fmt"
	"slices"
	"time"

	"lineside/daemon/ledger"
	"lineside/daemon/queue"
	"lineside/daemon/store"
	"lineside/mqtt"
)

// recover takes up what the last run left: answers that were not delivered go
// out, asks go back into the queue if there is time left for them. A disk that is
// read-only would bring the same at every start: what is past its time then stays there.
func (d *Daemon) recover(now time.Time) error {
	asks, answers, unreadable, err := d.Store.Load()
	if err != nil {
		return fmt.Errorf("read the store: %w", err)
	}
	if unreadable > 0 {
		d.Log.Error("records of the store cannot be read and are left out", "records", unreadable)
	}
	if d.Store.Fixed() {
		answers = slices.DeleteFunc(answers, func(s store.Answer) bool { return !s.Until.After(now) })
		asks = slices.DeleteFunc(asks, func(s store.Ask) bool { return !s.Deadline.After(now) })
	}
	for _, s := range answers {
		if s.Until.After(now) {
			d.mu.Lock()
			d.ledger.Answer(s.Key, s.Print, s.Payload, s.Until)
			d.mu.Unlock()
		}
		if !s.Delivered {
			d.send(delivery{to: s.Topic, corr: s.Correlation, payload: s.Payload, key: s.Key, stored: true})
		}
	}
	for _, s := range asks {
		d.count.asked.Add(1)
		d.resume(&ask{
			key: s.Key, topic: s.Topic, payload: s.Payload, response: s.Response, corr: s.Correlation,
			arrived: s.Accepted, deadline: s.Deadline, attempts: s.Attempts, safe: true,
		}, now)
	}
	if n := len(asks) + len(answers); n > 0 {
		d.Log.Info("taken up from before the start", "asks", len(asks), "answers", len(answers))
	}
	return nil
}

// resume brings one ask of the last run back.
func (d *Daemon) resume(a *ask, now time.Time) {
	to, err := d.Topics.Parse(a.topic)
	if err != nil { // the board was renamed: its clients listen elsewhere now
		d.Store.Remove(a.key)
		return
	}
	a.to = to
	a.replies, _ = d.Topics.Replies(to.Client, a.response)
	a.print = ledger.PrintOf(what(to), a.payload)
	req, refusal := mqtt.ParseAsk(a.payload, mqtt.Limits{MaxBytes: int(d.Config.Limits.MaxAsk)})
	a.req = req
	if refusal != nil {
		a.req.ID = a.key.ID
	}
	d.mu.Lock()
	d.ledger.Begin(a.key, a.print)
	d.asks[a.key] = a
	d.mu.Unlock()
	switch {
	case refusal != nil:
		d.end(a, outcome{code: refusal.Code, text: refusal.Text})
		return
	case !now.Before(a.due()), now.Before(a.arrived): // a clock that went back says nothing about the deadline
		d.end(a, outcome{code: mqtt.Deadline, text: "the board was off when the deadline came", finish: mqtt.FinishDeadline})
		return
	}
	if v := d.prepare(a); !v.OK() {
		d.end(a, outcome{code: v.Code, text: v.Text, retry: v.Retry})
		return
	}
	if c := a.filled.Canned; c != nil {
		d.end(a, outcome{text: c.Text, data: c.Data, finish: mqtt.FinishStop})
		return
	}
	it := queue.Item[*ask]{Client: a.key.Client, ID: a.key.ID, Deadline: a.due(), Value: a}
	if a.skill != nil {
		it.Priority = a.skill.Priority
	}
	d.mu.Lock()
	d.queue.Return(it)
	d.mu.Unlock()
}

// storeFailed tells that the disk does not take an ask or answer. The broker
// keeps such asks instead, so that only a power cut of both loses one.
func (d *Daemon) storeFailed(err error) {
	d.mu.Lock()
	again := time.Since(d.storeTold) < time.Minute
	if !again {
		d.storeTold = time.Now()
	}
	d.mu.Unlock()
	d.count.drop("store")
	if !again {
		d.Log.Error("the store does not take asks; the broker keeps them until they are answered", "err", err)
	}
}
