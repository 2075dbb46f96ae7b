package conform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"lineside/mqtt"
	"lineside/mqtt/wire"
)

// checks is the list, in the order in which a report reads best.
func checks() []check {
	return []check{
		{"status is retained and fits its schema", retained("status", mqtt.Topics.Status)},
		{"info is retained and fits its schema", retained("info", mqtt.Topics.Info)},
		{"health is retained and fits its schema", retained("health", mqtt.Topics.Health)},
		{"skill cards fit their schema", skillCards},
		{"an ask gets exactly one answer", oneAnswer},
		{"the same ask again gets the same answer", replayed},
		{"the same id with another payload gets 16", conflict},
		{"an acknowledgement comes where asked for", acknowledged},
		{"chunks make up the answer's text", streamed},
		{"a tiny deadline gets an end, too", deadline},
		{"a cancelled ask ends", cancelled},
		{"payloads that are no asks get 10, with their id", badRequests},
		{"a payload over the board's limit gets 13", tooLarge},
		{"a skill that is not there gets 11", unknownSkill},
		{"args on the text topic get 10", misplaced},
		{"MQTT 5: a Response Topic of the client's own is honoured", responseTopic},
		{"MQTT 5: a foreign Response Topic is not", foreignResponseTopic},
		{"MQTT 5: Correlation Data comes back", correlation},
	}
}

func retained(name string, topic func(mqtt.Topics) string) func(context.Context, *tester) (string, error) {
	return func(ctx context.Context, t *tester) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		m, ok := t.inbox.wait(ctx, 0, func(m wire.Message) bool { return m.Topic == topic(t.Topics) && m.Retained })
		if !ok {
			return "", fmt.Errorf("nothing retained on %s", topic(t.Topics))
		}
		var s mqtt.Status
		if name == "status" && mqtt.Decode(m.Payload, &s) == nil {
			return "state " + s.State + " " + s.Why, t.fits(name, m.Payload)
		}
		return fmt.Sprintf("%d bytes", len(m.Payload)), t.fits(name, m.Payload)
	}
}

// info is what the board says about itself; zero where it says nothing.
func (t *tester) info() (i mqtt.Info) {
	for _, m := range t.inbox.all(0, func(m wire.Message) bool { return m.Topic == t.Topics.Info() }) {
		_ = mqtt.Decode(m.Payload, &i) // the check of info reports what is wrong with it
	}
	return i
}

func skillCards(ctx context.Context, t *tester) (string, error) {
	skills := t.info().Skills
	if len(skills) == 0 {
		return "", errSkip{"info names no skills"}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, s := range skills {
		m, ok := t.inbox.wait(ctx, 0, func(m wire.Message) bool { return m.Retained && m.Topic == t.Topics.Skill(s.Name) })
		if !ok {
			return "", fmt.Errorf("info names skill %s, nothing is retained on %s", s.Name, t.Topics.Skill(s.Name))
		}
		var card mqtt.SkillCard
		if err := errors.Join(t.fits("skill", m.Payload), mqtt.Decode(m.Payload, &card)); err != nil {
			return "", fmt.Errorf("%s: %w", m.Topic, err)
		}
		if card.Name != s.Name || card.Version != s.Version {
			return "", fmt.Errorf("info says %s@%d, the card %s@%d", s.Name, s.Version, card.Name, card.Version)
		}
	}
	return fmt.Sprintf("%d skills", len(skills)), nil
}

// answered asks for a text that the board can give now, or skips.
func answered(ctx context.Context, t *tester, id, more string) (mqtt.Answer, error) {
	a, err := t.askPrompt(ctx, id, more)
	if err == nil && a.Code != mqtt.OK {
		err = errSkip{fmt.Sprintf("the board answers %d %s: %s", a.Code, a.Code, a.Text)}
	}
	return a, err
}

func oneAnswer(ctx context.Context, t *tester) (string, error) {
	id := t.newID("one")
	since := t.inbox.len()
	a, err := t.askPrompt(ctx, id, "")
	if err != nil {
		return "", err
	}
	if _, err := t.askPrompt(ctx, t.newID("fence"), ""); err != nil { // whatever came twice has come by now
		return "", err
	}
	n := len(t.inbox.all(since, func(m wire.Message) bool {
		var b mqtt.Answer
		return mqtt.Decode(m.Payload, &b) == nil && b.ID == id && b.V != 0
	}))
	if n != 1 {
		return "", fmt.Errorf("%d answers", n)
	}
	return fmt.Sprintf("code %d %s in %d ms", a.Code, a.Code, a.MS.Total), nil
}

func replayed(ctx context.Context, t *tester) (string, error) {
	id := t.newID("again")
	first, err := answered(ctx, t, id, "")
	if err != nil {
		return "", err
	}
	second, err := t.askPrompt(ctx, id, "")
	if err != nil {
		return "", err
	}
	if !second.Replay || second.Text != first.Text || second.Code != first.Code {
		return "", fmt.Errorf("replay %v, code %d then %d, %q then %q", second.Replay, first.Code, second.Code, first.Text, second.Text)
	}
	return "", nil
}

func conflict(ctx context.Context, t *tester) (string, error) {
	id := t.newID("conflict")
	if _, err := answered(ctx, t, id, ""); err != nil {
		return "", err
	}
	return wantCode(mqtt.IDConflict)(t.askPrompt(ctx, id, `,"max_chars":7`))
}

func wantCode(codes ...mqtt.Code) func(mqtt.Answer, error) (string, error) {
	return func(a mqtt.Answer, err error) (string, error) {
		if err != nil {
			return "", err
		}
		for _, c := range codes {
			if a.Code == c {
				return a.Text, nil
			}
		}
		return "", fmt.Errorf("code %d %s (%s), want %d", a.Code, a.Code, a.Text, codes)
	}
}

func acknowledged(ctx context.Context, t *tester) (string, error) {
	id := t.newID("ack")
	since := t.inbox.len()
	if _, err := answered(ctx, t, id, `,"ack":true`); err != nil {
		return "", err
	}
	acks := t.inbox.all(since, func(m wire.Message) bool { return m.Topic == t.Topics.Ack(t.Client) })
	if len(acks) == 0 {
		return "", errors.New("no acknowledgement before the answer")
	}
	return fmt.Sprintf("%d", len(acks)), t.fits("ack", acks[0].Payload)
}

func streamed(ctx context.Context, t *tester) (string, error) {
	id := t.newID("stream")
	since := t.inbox.len()
	a, err := answered(ctx, t, id, `,"stream":true`)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	chunks := t.inbox.all(since, func(m wire.Message) bool { return m.Topic == t.Topics.Chunk(t.Client) })
	for i, m := range chunks {
		var c mqtt.Chunk
		if err := errors.Join(t.fits("chunk", m.Payload), mqtt.Decode(m.Payload, &c)); err != nil {
			return "", err
		}
		if c.ID != id || c.I != i || c.Last != (i == len(chunks)-1) {
			return "", fmt.Errorf("chunk %d of %d is %+v (one may have been lost: QoS 0)", i, len(chunks), c)
		}
		text.WriteString(c.Text)
	}
	if text.String() != a.Text {
		return "", fmt.Errorf("the chunks say %q, the answer %q", text.String(), a.Text)
	}
	return fmt.Sprintf("%d chunks", len(chunks)), nil
}

func deadline(ctx context.Context, t *tester) (string, error) {
	a, err := t.askPrompt(ctx, t.newID("deadline"), `,"deadline_ms":1`)
	if err == nil && a.Code.Retry() {
		return "", errSkip{fmt.Sprintf("the board answers %d %s", a.Code, a.Code)}
	}
	return wantCode(mqtt.Deadline, mqtt.Expired, mqtt.OK)(a, err)
}

func cancelled(ctx context.Context, t *tester) (string, error) {
	id := t.newID("cancel")
	since := t.inbox.len()
	if err := t.send(ctx, wire.Outgoing{Topic: t.Topics.AskText(t.Client), Payload: []byte(t.prompt(id, "")), QoS: 1}); err != nil {
		return "", err
	}
	if err := t.send(ctx, wire.Outgoing{Topic: t.Topics.Cancel(t.Client), Payload: []byte(fmt.Sprintf(`{"id":%q}`, id))}); err != nil {
		return "", err
	}
	a, _, err := t.answer(ctx, t.Topics.Answer(t.Client), id, since)
	if err == nil && (a.Code.Retry() || a.Code == mqtt.OK) {
		return "", errSkip{fmt.Sprintf("the ask ended with %d %s before the cancel came", a.Code, a.Code)}
	}
	return wantCode(mqtt.Cancelled)(a, err)
}

func badRequests(ctx context.Context, t *tester) (string, error) {
	n := 0
	for what, payload := range map[string]string{
		"an unknown field": `{"id":%q,"prompt":"x","promt":"y"}`,
		"a key twice":      `{"id":%q,"prompt":"x","prompt":"y"}`,
		"a wrong type":     `{"id":%q,"prompt":7}`,
		"neither":          `{"id":%q}`,
		"both":             `{"id":%q,"prompt":"x","args":{}}`,
		"cut off":          `{"id":%q,"prompt":"x`,
		"no number":        `{"id":%q,"prompt":"x","deadline_ms":-1}`,
	} {
		id := t.newID("bad")
		if _, err := wantCode(mqtt.BadRequest)(t.ask(ctx, id, fmt.Sprintf(payload, id))); err != nil {
			return "", fmt.Errorf("%s: %w", what, err)
		}
		n++
	}
	for _, payload := range []string{"\x00\xff\xfe", "hello", "", "[]", "{}"} {
		if _, err := wantCode(mqtt.BadRequest)(t.ask(ctx, "", payload)); err != nil {
			return "", fmt.Errorf("%q: %w", payload, err)
		}
		n++
	}
	return fmt.Sprintf("%d payloads", n), nil
}

func tooLarge(ctx context.Context, t *tester) (string, error) {
	id, limit := t.newID("large"), t.info().Limits.MaxAskBytes
	if limit <= 0 {
		return "", errSkip{"info names no limit"}
	}
	a, err := t.ask(ctx, id, fmt.Sprintf(`{"id":%q,"prompt":"%s"}`, id, strings.Repeat("x", limit)))
	if errors.Is(err, wire.ErrPacketSize) || errors.Is(err, wire.ErrRefused) {
		return "", errSkip{"the broker takes no packet of that size"}
	}
	return wantCode(mqtt.TooLarge)(a, err)
}

func unknownSkill(ctx context.Context, t *tester) (string, error) {
	id := t.newID("skill")
	since := t.inbox.len()
	m := wire.Outgoing{Topic: t.Topics.AskSkill(t.Client, "no-such-skill-"+t.run), Payload: []byte(fmt.Sprintf(`{"id":%q,"args":{}}`, id)), QoS: 1}
	if err := t.send(ctx, m); err != nil {
		return "", err
	}
	a, _, err := t.answer(ctx, t.Topics.Answer(t.Client), id, since)
	return wantCode(mqtt.UnknownSkill)(a, err)
}

func misplaced(ctx context.Context, t *tester) (string, error) {
	id := t.newID("misplaced")
	return wantCode(mqtt.BadRequest)(t.ask(ctx, id, fmt.Sprintf(`{"id":%q,"args":{}}`, id)))
}

// ask5 asks with MQTT 5 properties and waits for the answer on topic.
func (t *tester) ask5(ctx context.Context, response, topic string, correlation []byte) (wire.Message, error) {
	if t.conn.Protocol() != wire.Version5 {
		return wire.Message{}, errSkip{"the connection speaks MQTT " + t.conn.Protocol()}
	}
	id := t.newID("v5")
	since := t.inbox.len()
	err := t.send(ctx, wire.Outgoing{Topic: t.Topics.AskText(t.Client), Payload: []byte(t.prompt(id, "")), QoS: 1, ResponseTopic: response, CorrelationData: correlation})
	if err != nil {
		return wire.Message{}, err
	}
	_, m, err := t.answer(ctx, topic, id, since)
	return m, err
}

func responseTopic(ctx context.Context, t *tester) (string, error) {
	own := t.Topics.Root() + "/reply/" + t.Client + "/conform/" + t.run
	_, err := t.ask5(ctx, own, own, nil)
	return own, err
}

func foreignResponseTopic(ctx context.Context, t *tester) (string, error) {
	_, err := t.ask5(ctx, t.Topics.Root()+"/reply/not-"+t.Client+"/x", t.Topics.Answer(t.Client), nil)
	return "answered on the standard topic", err
}

func correlation(ctx context.Context, t *tester) (string, error) {
	want := []byte{0, 0xff, 'x'}
	m, err := t.ask5(ctx, "", t.Topics.Answer(t.Client), want)
	if err == nil && !bytes.Equal(m.CorrelationData, want) {
		err = fmt.Errorf("sent %x, got %x", want, m.CorrelationData)
	}
	return "", err
}
