package conform_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"lineside/mqtt"
	"lineside/mqtt/conform"
	"lineside/mqtt/mqtttest"
	"lineside/mqtt/wire"
)

// model is a board of the simplest kind that does everything right; faults
// names what it does wrong instead.
type model struct {
	*mqtttest.Board
	faults map[string]bool
	seen   map[string]string      // client and id: payload
	stored map[string]mqtt.Answer // client and id: answer
	slow   map[string]mqtttest.Got
}

func stamps() mqtt.Stamps {
	return mqtt.Stamps{Boot: "b", TS: mqtt.Stamp(time.Now()), Clock: mqtt.ClockSynced}
}

func (m *model) publish(ctx context.Context, t *testing.T, topic string, payload any, qos byte, retain bool, like mqtt.Message) {
	b, err := mqtt.Encode(payload)
	if err != nil {
		t.Error(err)
	}
	out := mqtt.Outgoing{Topic: topic, Payload: b, QoS: qos, Retain: retain, CorrelationData: like.CorrelationData}
	if m.faults["correlation"] {
		out.CorrelationData = nil
	}
	if err := m.Publish(ctx, out); err != nil && ctx.Err() == nil {
		t.Error(err)
	}
}

func (m *model) retained(ctx context.Context, t *testing.T) {
	none := mqtt.Message{}
	m.publish(ctx, t, m.Topics.Info(), mqtt.Info{V: 1, Board: "b03", API: "llm/v1", Protocol: m.Protocol(), Skills: []mqtt.SkillRef{{Name: "alarm", Version: 1}}, Pools: []string{}, Stamps: stamps(),
		Limits: mqtt.InfoLimits{Queue: 1, MaxAskBytes: mqtt.DefaultMaxBytes, MaxAnswerBytes: 1, MaxAnswerTokens: 1, DeadlineDefaultMS: 1, DeadlineMaxMS: 1}}, 1, true, none)
	m.publish(ctx, t, m.Topics.Health(), mqtt.Health{V: 1, Board: "b03", Readings: map[string]mqtt.Reading{}, Stamps: stamps()}, 0, true, none)
	m.publish(ctx, t, m.Topics.Skill("alarm"), mqtt.SkillCard{V: 1, Name: "alarm", Version: 1, Languages: []string{"en"}, Args: json.RawMessage(`{"type":"object"}`), Advisory: true}, 1, true, none)
}

// serve answers until ctx ends.
func (m *model) serve(ctx context.Context, t *testing.T) {
	for {
		select {
		case <-ctx.Done():
			return
		case g := <-m.Got:
			if g.Kind == mqtt.KindCancel {
				c, _ := mqtt.ParseCancel(g.Payload)
				if ask, ok := m.slow[g.Client+c.ID]; ok {
					m.answer(ctx, t, ask, mqtt.Answer{ID: c.ID, Code: mqtt.Cancelled, Text: "cancelled"})
				}
				continue
			}
			m.ask(ctx, t, g)
			g.Ack()
		}
	}
}

func (m *model) ask(ctx context.Context, t *testing.T, g mqtttest.Got) {
	a, refusal := mqtt.ParseAsk(g.Payload, mqtt.Limits{})
	if refusal == nil {
		refusal = a.Fits(g.Address)
	}
	key := g.Client + a.ID
	switch {
	case refusal != nil:
		m.answer(ctx, t, g, mqtt.Answer{ID: refusal.ID, Code: refusal.Code, Text: refusal.Text})
		return
	case g.Skill != "":
		m.answer(ctx, t, g, mqtt.Answer{ID: a.ID, Code: mqtt.UnknownSkill, Text: "no such skill"})
		return
	case m.seen[key] != "" && m.seen[key] != string(g.Payload) && !m.faults["conflict"]:
		m.answer(ctx, t, g, mqtt.Answer{ID: a.ID, Code: mqtt.IDConflict, Text: "used"})
		return
	case m.seen[key] != "" && !m.faults["replay"]:
		again := m.stored[key]
		again.Replay = true
		m.answer(ctx, t, g, again)
		return
	case strings.HasPrefix(a.ID, "cancel"):
		m.slow[key] = g
		return
	}
	m.seen[key] = string(g.Payload)
	to, _ := m.Topics.Replies(g.Client, g.ResponseTopic)
	if a.Ack && !m.faults["ack"] {
		m.publish(ctx, t, to.Ack, mqtt.Ack{ID: a.ID, State: mqtt.AckQueued}, 0, false, g.Message)
	}
	if a.Stream {
		m.publish(ctx, t, to.Chunk, mqtt.Chunk{ID: a.ID, Text: "it is "}, 0, false, g.Message)
		m.publish(ctx, t, to.Chunk, mqtt.Chunk{ID: a.ID, I: 1, Text: "fine", Last: true}, 0, false, g.Message)
	}
	m.stored[key] = mqtt.Answer{ID: a.ID, Text: "it is fine", Finish: mqtt.FinishStop}
	m.answer(ctx, t, g, m.stored[key])
}

func (m *model) answer(ctx context.Context, t *testing.T, g mqtttest.Got, a mqtt.Answer) {
	a.Board, a.Stamps = "b03", stamps()
	to, _ := m.Topics.Replies(g.Client, g.ResponseTopic)
	if m.faults["any response topic"] && g.ResponseTopic != "" {
		return // as good as answering where the client cannot see it
	}
	payload, _ := a.Encode(0)
	m.publish(ctx, t, to.Answer, json.RawMessage(payload), 1, false, g.Message)
	if m.faults["twice"] {
		m.publish(ctx, t, to.Answer, json.RawMessage(payload), 1, false, g.Message)
	}
}

func run(t *testing.T, version string, faults ...string) map[string]conform.Result {
	t.Helper()
	broker := mqtttest.StartMosquitto(t)
	m := &model{Board: mqtttest.StartBoard(t, broker.URL(), version, "b03", nil), faults: map[string]bool{},
		seen: map[string]string{}, stored: map[string]mqtt.Answer{}, slow: map[string]mqtttest.Got{}}
	for _, f := range faults {
		m.faults[f] = true
	}
	m.WaitUp(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	m.retained(ctx, t)
	go func() {
		defer close(done)
		m.serve(ctx, t)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	results := map[string]conform.Result{}
	err := conform.Run(t.Context(), conform.Options{
		Connect: wire.Options{URL: broker.URL(), Version: version}, Topics: m.Topics, Client: "tester", Prompt: "How is it?", Wait: 2 * time.Second,
	}, func(r conform.Result) { results[r.Check] = r })
	if err != nil {
		t.Fatal(err)
	}
	return results
}

// TestGoodBoard: a board that does everything right fails nothing.
func TestGoodBoard(t *testing.T) {
	for _, version := range []string{wire.Version5, wire.Version311} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			skipped := 0
			for _, r := range run(t, version) {
				if r.Outcome == conform.Failed {
					t.Errorf("%s: %s", r.Check, r.Detail)
				}
				if r.Outcome == conform.Skipped {
					skipped++
				}
			}
			if want := map[string]int{wire.Version5: 0, wire.Version311: 3}[version]; skipped != want {
				t.Errorf("%d checks skipped, want %d", skipped, want)
			}
		})
	}
}

// TestBadBoards: each fault is found by its check.
func TestBadBoards(t *testing.T) {
	for fault, check := range map[string]string{
		"replay":             "the same ask again gets the same answer",
		"conflict":           "the same id with another payload gets 16",
		"ack":                "an acknowledgement comes where asked for",
		"twice":              "an ask gets exactly one answer",
		"any response topic": "MQTT 5: a foreign Response Topic is not",
		"correlation":        "MQTT 5: Correlation Data comes back",
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			if r := run(t, wire.Version5, fault)[check]; r.Outcome != conform.Failed {
				t.Errorf("%s: %s %s", check, r.Outcome, r.Detail)
			}
		})
	}
}
