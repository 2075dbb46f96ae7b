package daemon

import (
	"context"
	"errors"
	"maps"
	"time"

	"lineside/mqtt"
)

// publishStatus says in which state the board is. It reports success.
func (d *Daemon) publishStatus(ctx context.Context, state, why string) bool {
	s := mqtt.Status{State: state, Why: why, Boot: d.Boot, TS: mqtt.Stamp(time.Now()), Clock: d.Clock()}
	if !d.retain(ctx, d.Topics.Status(), encode(s), 1) {
		return false
	}
	d.mu.Lock()
	d.status = s
	d.mu.Unlock()
	d.Log.Info("state", "state", state, "why", why)
	return true
}

// retain publishes what a newcomer must find. A failure is tried again after
// the next connect, when everything retained goes out anew.
func (d *Daemon) retain(ctx context.Context, topic string, payload []byte, qos byte) bool {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	err := d.Bus.Publish(ctx, mqtt.Outgoing{Topic: topic, Payload: payload, QoS: qos, Retain: true})
	if err != nil && !errors.Is(err, mqtt.ErrDown) && ctx.Err() == nil {
		d.Log.Error("a retained topic could not be published: check the ACL of the board's user", "topic", topic, "err", err)
	}
	return err == nil
}

func (d *Daemon) publishInfo(ctx context.Context) {
	l := d.Config.Limits
	i := mqtt.Info{
		V: mqtt.Version, Board: d.Topics.Board, API: "llm/v1", Lineside: d.About.Version, Hardware: d.About.Hardware,
		Limits: mqtt.InfoLimits{
			Queue: l.Queue, MaxAskBytes: int(l.MaxAsk), MaxAnswerBytes: int(l.MaxAnswer), MaxAnswerTokens: l.MaxAnswerTokens,
			DeadlineDefaultMS: l.DeadlineDefault.Milliseconds(), DeadlineMaxMS: l.DeadlineMax.Milliseconds(), PerClientPerMinute: l.PerClientPerMinute,
		},
		Skills: []mqtt.SkillRef{}, Pools: append([]string{}, d.Config.Board.Pools...), Stamps: d.stamps(),
	}
	if d.About.Protocol != nil {
		i.Protocol = d.About.Protocol()
	}
	if d.About.Model != nil {
		i.Model = d.About.Model()
	}
	d.mu.Lock()
	if i.Model.Name == "" && d.board.Ready {
		i.Model.Name = d.engine.Model
	}
	d.mu.Unlock()
	for _, s := range d.Skills.All() {
		i.Skills = append(i.Skills, mqtt.SkillRef{Name: s.Name, Version: s.Version})
	}
	d.retain(ctx, d.Topics.Info(), encode(i), 1)
}

// publishCards describes every skill to clients.
func (d *Daemon) publishCards(ctx context.Context) {
	for _, s := range d.Skills.All() {
		l := d.latencyNamed(s.Name)
		args := s.ArgsSchema
		if args == nil {
			args = []byte(`{"type":"object","additionalProperties":false}`)
		}
		card := mqtt.SkillCard{
			V: mqtt.Version, Name: s.Name, Version: s.Version, About: s.About, Languages: s.Languages, Args: args, Answer: s.Schema,
			P50MS: l.quantile(0.5).Milliseconds(), P95MS: l.quantile(0.95).Milliseconds(), Advisory: true, Characters: s.MaxChars,
		}
		if !d.retain(ctx, d.Topics.Skill(s.Name), encode(card), 1) {
			return
		}
	}
}

// forgetCard clears the retained card of a skill that is gone.
func (d *Daemon) forgetCard(name string) {
	d.mu.Lock()
	delete(d.latency, name)
	d.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	d.retain(ctx, d.Topics.Skill(name), nil, 1)
}

func (d *Daemon) publishHealth(ctx context.Context, now time.Time) {
	h := mqtt.Health{V: mqtt.Version, Board: d.Topics.Board, Readings: map[string]mqtt.Reading{}, Stamps: d.stamps()}
	own := func(name, unit string, v float64) {
		h.Readings[name] = mqtt.Reading{Value: v, Unit: unit, Quality: mqtt.QualityGood}
	}
	d.mu.Lock()
	maps.Copy(h.Readings, healthReadings(&d.sample, now))
	h.Lamp, h.Conditions = d.lamp.Signal().Category.String(), d.lamp.Conditions()
	own("queue", "1", float64(d.queue.Len()))
	own("running", "1", float64(d.running()))
	own("tokens-per-second", "tokens/s", d.engine.TokenSec)
	d.mu.Unlock()
	d.retain(ctx, d.Topics.Health(), encode(h), 0)
}

// event tells that something happened. It is sent in the background; without a
// connection it is lost, as the log has it too.
func (d *Daemon) event(name, why, client string, data map[string]any) {
	if name == mqtt.EventDenied && !d.mayDeny(time.Now()) {
		return
	}
	d.Log.Warn("event", "event", name, "why", why, "client", client)
	e := mqtt.Event{V: mqtt.Version, Board: d.Topics.Board, Event: name, Why: why, Client: client, Data: data, Stamps: d.stamps()}
	d.softly(delivery{to: d.Topics.Event(), payload: encode(e), event: true})
}

// deniedEvery is the least time between two denied events: clients cause them, and
// must not flood the plant through the board.
const deniedEvery = time.Second

func (d *Daemon) mayDeny(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now.Sub(d.denied) < deniedEvery {
		return false
	}
	d.denied = now
	return true
}
