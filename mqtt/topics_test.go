package mqtt_test

import (
	"errors"
	"strings"
	"testing"

	"lineside/mqtt"
)

func TestTopicsValidate(t *testing.T) {
	for _, c := range []struct {
		prefix, board string
		ok            bool
	}{
		{"", "b03", true},
		{"acme/plant-3/area.1/line_2", "b03", true},
		{"1/2/3/4/5/6", "B", true},
		{"1/2/3/4/5/6/7", "b", false},
		{"/acme", "b", false},
		{"acme/", "b", false},
		{"acme//x", "b", false},
		{"ac me", "b", false},
		{"$SYS", "b", false},
		{"a/+", "b", false},
		{"", "", false},
		{"", "reply", false},
		{"", "pool", false},
		{"", "b/3", false},
		{"", "ü", false},
		{"", strings.Repeat("x", 64), true},
		{"", strings.Repeat("x", 65), false},
	} {
		err := mqtt.Topics{Prefix: c.prefix, Board: c.board}.Validate()
		if (err == nil) != c.ok {
			t.Errorf("prefix %q board %q: %v", c.prefix, c.board, err)
		}
	}
}

// everyTopic is mqtt-api.md's table, for board b03 and prefix acme/l2.
var everyTopic = []struct {
	topic string
	addr  mqtt.Address
	write bool // by board b03
}{
	{"acme/l2/llm/v1/b03/status", mqtt.Address{Kind: mqtt.KindStatus, Board: "b03"}, true},
	{"acme/l2/llm/v1/b03/info", mqtt.Address{Kind: mqtt.KindInfo, Board: "b03"}, true},
	{"acme/l2/llm/v1/b03/skill/alarm", mqtt.Address{Kind: mqtt.KindSkill, Board: "b03", Skill: "alarm"}, true},
	{"acme/l2/llm/v1/b03/health", mqtt.Address{Kind: mqtt.KindHealth, Board: "b03"}, true},
	{"acme/l2/llm/v1/b03/event", mqtt.Address{Kind: mqtt.KindEvent, Board: "b03"}, true},
	{"acme/l2/llm/v1/b04/status", mqtt.Address{Kind: mqtt.KindStatus, Board: "b04"}, false},
	{"acme/l2/llm/v1/b03/ask/plc1/text", mqtt.Address{Kind: mqtt.KindAskText, Board: "b03", Client: "plc1"}, false},
	{"acme/l2/llm/v1/b03/ask/plc1/skill/alarm", mqtt.Address{Kind: mqtt.KindAskSkill, Board: "b03", Client: "plc1", Skill: "alarm"}, false},
	{"acme/l2/llm/v1/pool/p/ask/plc1/text", mqtt.Address{Kind: mqtt.KindAskText, Pool: "p", Client: "plc1"}, false},
	{"acme/l2/llm/v1/pool/p/ask/plc1/skill/alarm", mqtt.Address{Kind: mqtt.KindAskSkill, Pool: "p", Client: "plc1", Skill: "alarm"}, false},
	{"acme/l2/llm/v1/b03/cancel/plc1", mqtt.Address{Kind: mqtt.KindCancel, Board: "b03", Client: "plc1"}, false},
	{"acme/l2/llm/v1/pool/p/cancel/plc1", mqtt.Address{Kind: mqtt.KindCancel, Pool: "p", Client: "plc1"}, false},
	{"acme/l2/llm/v1/reply/plc1/b03/answer", mqtt.Address{Kind: mqtt.KindAnswer, Board: "b03", Client: "plc1"}, true},
	{"acme/l2/llm/v1/reply/plc1/b03/ack", mqtt.Address{Kind: mqtt.KindAck, Board: "b03", Client: "plc1"}, true},
	{"acme/l2/llm/v1/reply/plc1/b03/chunk", mqtt.Address{Kind: mqtt.KindChunk, Board: "b03", Client: "plc1"}, true},
	{"acme/l2/llm/v1/reply/op/b03/admin", mqtt.Address{Kind: mqtt.KindAdminReply, Board: "b03", Client: "op"}, true},
	{"acme/l2/llm/v1/b03/admin/op/drain", mqtt.Address{Kind: mqtt.KindAdmin, Board: "b03", Client: "op", Verb: "drain"}, false},
}

func TestEveryTopic(t *testing.T) {
	b := mqtt.Topics{Prefix: "acme/l2", Board: "b03"}
	for _, c := range everyTopic {
		got, err := b.Parse(c.topic)
		if err != nil || got != c.addr {
			t.Errorf("Parse(%s) = %+v, %v, want %+v", c.topic, got, err, c.addr)
		}
		if back := b.Topic(c.addr); back != c.topic {
			t.Errorf("Topic(%+v) = %s, want %s", c.addr, back, c.topic)
		}
		err = b.MayPublish(c.topic)
		if c.write != (err == nil) || err != nil && !errors.Is(err, mqtt.ErrOutside) {
			t.Errorf("MayPublish(%s) = %v, want allowed: %v", c.topic, err, c.write)
		}
	}
}

func TestBuildersAgree(t *testing.T) {
	b := mqtt.Topics{Prefix: "acme/l2", Board: "b03"}
	for i, got := range []string{
		b.Status(), b.Info(), b.Skill("alarm"), b.Health(), b.Event(), "",
		b.AskText("plc1"), b.AskSkill("plc1", "alarm"), b.PoolAskText("p", "plc1"), b.PoolAskSkill("p", "plc1", "alarm"),
		b.Cancel("plc1"), b.PoolCancel("p", "plc1"), b.Answer("plc1"), b.Ack("plc1"), b.Chunk("plc1"), b.AdminReply("op"), b.Admin("op", "drain"),
	} {
		if got != "" && got != everyTopic[i].topic {
			t.Errorf("built %s, want %s", got, everyTopic[i].topic)
		}
	}
}

func TestForeignTopics(t *testing.T) {
	b := mqtt.Topics{Board: "b03"}
	for _, topic := range []string{
		"", "/", "llm/v1", "llm/v1/", "llm/v1/b03", "llm/v2/b03/status", "x/llm/v1/b03/status",
		"llm/v1/b03/ask/plc1", "llm/v1/b03/ask/plc1/text/more", "llm/v1/b03/ask//text", "llm/v1/b03/ask/+/text",
		"llm/v1/b03/ask/plc 1/text", "llm/v1/b03/ask/plc1/skill/#", "llm/v1/b03/ask/" + strings.Repeat("x", 65) + "/text",
		"llm/v1/reply/plc1/pool/answer", "llm/v1/reply/plc1/b03/answer/x", "llm/v1/pool/p", "llm/v1/pool/p/admin/op/drain",
		"llm/v1/b03/ask/plc1/text\x00", "llm/v1/b03/skill/\xff", strings.Repeat("llm/v1/", 400),
	} {
		if a, err := b.Parse(topic); err == nil || !errors.Is(err, mqtt.ErrTopic) {
			t.Errorf("Parse(%q) = %+v, %v, want ErrTopic", topic, a, err)
		}
		if err := b.MayPublish(topic); !errors.Is(err, mqtt.ErrOutside) && !strings.HasPrefix(topic, "llm/v1/reply/plc1/") {
			t.Errorf("MayPublish(%q) = %v, want ErrOutside", topic, err)
		}
	}
	for _, topic := range []string{
		"plc/valve/set", "llm/v1/reply/plc1", "llm/v1/reply/plc1/", "llm/v1/reply/plc1/+/x", "llm/v1/reply/plc1/x/#",
		"llm/v1/reply/+/b03/answer", "llm/v1/reply//b03/answer", "llm/v1/reply/plc1//x", "llm/v1/reply/plc1/x/", "llm/v1/reply/plc1/\xff",
		"llm/v1/reply/plc1/a\nb", "$SYS/x", "llm/v1/replyx/plc1/b03/answer", "llm/v1/b03/ask/plc1/text", "llm/v1/b03/status/x",
	} {
		if err := b.MayPublish(topic); !errors.Is(err, mqtt.ErrOutside) {
			t.Errorf("MayPublish(%q) = %v, want ErrOutside", topic, err)
		}
	}
}

func TestReplies(t *testing.T) {
	b := mqtt.Topics{Board: "b03"}
	std := mqtt.Replies{Answer: "llm/v1/reply/plc1/b03/answer", Ack: "llm/v1/reply/plc1/b03/ack", Chunk: "llm/v1/reply/plc1/b03/chunk"}
	for _, c := range []struct {
		response string
		want     mqtt.Replies
		honoured bool
	}{
		{"", std, true},
		{std.Answer, std, true},
		{"llm/v1/reply/plc1/my/rr", mqtt.Replies{Answer: "llm/v1/reply/plc1/my/rr", Ack: "llm/v1/reply/plc1/my/rr/ack", Chunk: "llm/v1/reply/plc1/my/rr/chunk"}, true},
		{"llm/v1/reply/plc2/my/rr", std, false},
		{"llm/v1/reply/plc1", std, false},
		{"llm/v1/reply/plc1/", std, false},
		{"llm/v1/reply/plc1/+", std, false},
		{"llm/v1/reply/plc1/#", std, false},
		{"llm/v1/reply/plc1/../plc2", mqtt.Replies{Answer: "llm/v1/reply/plc1/../plc2", Ack: "llm/v1/reply/plc1/../plc2/ack", Chunk: "llm/v1/reply/plc1/../plc2/chunk"}, true}, // dots mean nothing in MQTT
		{"plc/valve/set", std, false},
		{"llm/v1/reply/plc1/" + strings.Repeat("x", 300), std, false},
	} {
		got, honoured := b.Replies("plc1", c.response)
		if got != c.want || honoured != c.honoured {
			t.Errorf("Replies(%q) = %+v, %v", c.response, got, honoured)
		}
		for _, topic := range []string{got.Answer, got.Ack, got.Chunk} {
			if err := b.MayPublish(topic); err != nil {
				t.Errorf("Replies(%q) leads to %v", c.response, err)
			}
		}
	}
}

// FuzzTopic holds Parse and Topic to each other, and both to the law that
// nothing a client writes can lead the board to publish outside its own.
func FuzzTopic(f *testing.F) {
	for _, c := range everyTopic {
		f.Add(c.topic, "plc1")
	}
	f.Add("acme/l2/llm/v1/reply/+/b03/answer", "+")
	f.Add("plc/valve/set", "#")
	b := mqtt.Topics{Prefix: "acme/l2", Board: "b03"}
	f.Fuzz(func(t *testing.T, topic, client string) {
		a, err := b.Parse(topic)
		if err == nil && b.Topic(a) != topic {
			t.Fatalf("Parse(%q) = %+v, which is %q", topic, a, b.Topic(a))
		}
		if !mqtt.ValidID(client) {
			return
		}
		r, _ := b.Replies(client, topic)
		for _, to := range []string{r.Answer, r.Ack, r.Chunk} {
			if !strings.HasPrefix(to, "acme/l2/llm/v1/reply/"+client+"/") || strings.ContainsAny(to, "+#\x00") {
				t.Fatalf("Response Topic %q leads to %q", topic, to)
			}
			if err := b.MayPublish(to); err != nil {
				t.Fatal(err)
			}
		}
	})
}
