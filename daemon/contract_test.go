package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lineside/inference"
	"lineside/mqtt"
)

// handle brings a message with properties of MQTT 5.
func (h *house) handle(topic, payload string, change func(*mqtt.Message)) {
	h.t.Helper()
	to, err := topics.Parse(topic)
	if err != nil {
		h.t.Fatal(err)
	}
	m := mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: 1, Ack: func() {}}
	change(&m)
	h.Handle(to, m)
}

// TestResponseTopic: replies go where the client wants them below its own topics, and
// nowhere else; Correlation Data comes back, and the expiry counts as a deadline.
func TestResponseTopic(t *testing.T) {
	const own = "llm/v1/reply/plc/my/own"
	for _, tt := range []struct{ name, response, want string }{
		{"its own", own, own},
		{"none", "", topics.Answer("plc")},
		{"another client's", "llm/v1/reply/hmi/x", topics.Answer("plc")},
		{"a valve", "plc/valve/set", topics.Answer("plc")},
		{"wildcard", "llm/v1/reply/plc/+", topics.Answer("plc")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t, nil)
				h.handle(topics.AskText("plc"), prompt("1", `,"ack":true,"stream":true`), func(m *mqtt.Message) {
					m.ResponseTopic, m.CorrelationData = tt.response, []byte{0, 7, 0xff}
				})
				after(time.Second)
				sent := 0
				for _, m := range h.bus.sent {
					if !strings.HasPrefix(m.Topic, "llm/v1/reply/") {
						continue
					}
					sent++
					base := strings.TrimSuffix(strings.TrimSuffix(m.Topic, "/ack"), "/chunk")
					if want := strings.TrimSuffix(tt.want, "/answer"); base != tt.want && base != want {
						t.Errorf("sent to %s, want %s", m.Topic, tt.want)
					}
					if !bytes.Equal(m.CorrelationData, []byte{0, 7, 0xff}) {
						t.Errorf("%s has Correlation Data % x", m.Topic, m.CorrelationData)
					}
				}
				if sent < 3 || len(h.bus.on(tt.want)) != 1 {
					t.Errorf("%d messages for the client, %d answers on %s", sent, len(h.bus.on(tt.want)), tt.want)
				}
				refused := tt.response != "" && tt.response != own
				if denied := strings.Contains(strings.Join(h.bus.on(topics.Event()), ""), `"denied"`); denied != refused {
					t.Errorf("an event says denied: %v, want %v", denied, refused)
				}
				h.stop()
			})
		})
	}
}

func TestExpiryIsADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, nil)
		blocked(h)
		h.handle(topics.AskText("plc"), prompt("1", `,"deadline_ms":60000`), func(m *mqtt.Message) { m.Expiry = 5 * time.Second })
		after(5 * time.Second)
		if a := h.one("plc", "1"); a.Code != mqtt.Deadline || a.MS.Total > 5000 {
			t.Errorf("%+v", a)
		}
		h.stop()
	})
}

// TestEvents makes everything happen that events tell of; TestHeat and TestAuditFull
// make the other two.
func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, func(o *Options) { o.Config.MQTT.Operators = []string{"ops"} })
		after(time.Second)
		h.engine.set(inference.Health{}, inference.ErrUnavailable)
		after(5 * time.Second)
		h.engine.set(inference.Health{State: "ok", Model: "scripted"}, nil)
		after(5 * time.Second)
		h.engine.set(inference.Health{}, inference.ErrUnavailable)
		after(5 * time.Second)
		h.engine.set(inference.Health{State: "ok", Model: "another"}, nil)
		after(5 * time.Second)
		h.send(topics.Admin("plc", "drain"), `{"id":"1"}`)
		h.send(topics.Admin("ops", "drain"), `{"id":"2"}`)
		after(time.Second)
		got := map[string]int{}
		for _, p := range h.bus.on(topics.Event()) {
			var e mqtt.Event
			if err := json.Unmarshal([]byte(p), &e); err != nil || e.Why == "" || e.Board != "b03" || e.Boot != "7f3a" {
				t.Errorf("event %s: %v", p, err)
			}
			got[e.Event]++
		}
		for _, name := range []string{mqtt.EventEngineRestart, mqtt.EventModelChanged, mqtt.EventDenied, mqtt.EventDrain} {
			if got[name] != 1 {
				t.Errorf("%d times %s, want once: %v", got[name], name, got)
			}
		}
		h.stop()
	})
}

// TestStamps: boot and seq order a board's messages without a clock.
func TestStamps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, func(o *Options) { o.Clock = func() string { return mqtt.ClockUnsynced } })
		for _, id := range []string{"1", "2", "3"} {
			h.send(topics.AskText("plc"), prompt(id, `,"seed":7`))
			after(time.Second)
		}
		last := uint64(0)
		for _, id := range []string{"1", "2", "3"} {
			a := h.one("plc", id)
			if a.Seq <= last || a.Boot != "7f3a" || a.Clock != mqtt.ClockUnsynced || a.TS == "" || a.Board != "b03" || a.V != 1 || !a.Advisory || a.Seed != 7 || a.Status != "ok" {
				t.Errorf("after seq %d: %+v", last, a)
			}
			last = a.Seq
		}
		if s := h.status(); s.Clock != mqtt.ClockUnsynced {
			t.Errorf("status %+v", s)
		}
		h.stop()
	})
}

// TestPoolCancel ends an ask that came through a pool, wherever it landed.
func TestPoolCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, nil)
		blocked(h)
		h.send(topics.PoolAskText("press", "plc"), prompt("1"))
		after(time.Second)
		h.send(topics.PoolCancel("press", "plc"), `{"id":"1"}`)
		after(time.Second)
		if a := h.one("plc", "1"); a.Code != mqtt.Cancelled {
			t.Errorf("%+v", a)
		}
		h.stop()
	})
}

// TestInfo has everything that the API promises of it.
func TestInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, func(o *Options) {
			o.Config.Board.Pools = []string{"press"}
			o.About = About{Version: "1.2", Hardware: "Raspberry Pi 5", Protocol: func() string { return "5" }, Model: func() mqtt.ModelInfo {
				return mqtt.ModelInfo{Name: "Llama", SHA256: strings.Repeat("ab", 32), Licence: "Built with Llama"}
			}}
		})
		after(time.Second)
		all := h.bus.on(topics.Info())
		var i mqtt.Info
		if len(all) == 0 || json.Unmarshal([]byte(all[len(all)-1]), &i) != nil {
			t.Fatalf("info: %v", all)
		}
		l := i.Limits
		if i.Lineside != "1.2" || i.Hardware != "Raspberry Pi 5" || i.Protocol != "5" || i.API != "llm/v1" || i.Model.Name != "Llama" || i.Model.Licence != "Built with Llama" ||
			len(i.Model.SHA256) != 64 || len(i.Skills) != 1 || len(i.Pools) != 1 || l.Queue == 0 || l.MaxAskBytes != 4096 || l.MaxAnswerBytes != 4096 || l.DeadlineDefaultMS != 60000 || l.DeadlineMaxMS == 0 {
			t.Errorf("info: %s", all[len(all)-1])
		}
		for _, m := range h.bus.sent {
			retained := m.Topic == topics.Info() || m.Topic == topics.Status() || m.Topic == topics.Health() || m.Topic == topics.Skill("alarm")
			if qos := map[bool]byte{true: 0, false: 1}[m.Topic == topics.Health()]; m.Retain != retained || m.QoS != qos {
				t.Errorf("%s has QoS %d, retain %v", m.Topic, m.QoS, m.Retain)
			}
		}
		h.stop()
	})
}

// TestVerbs: what an operator may do, and what the board says to it.
func TestVerbs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wanted []string
		h := open(t, func(o *Options) {
			o.Config.MQTT.Operators = []string{"ops"}
			o.UseModel = func(name string) error {
				wanted = append(wanted, name)
				if name == "none" {
					return errors.New("no model of that name is on this board")
				}
				return nil
			}
		})
		for i, tt := range []struct {
			verb, payload string
			code          mqtt.Code
			text          string
		}{
			{"reload", `{"id":"0"}`, mqtt.OK, "read again"},
			{"use-model", `{"id":"1","model":"small"}`, mqtt.OK, "being changed"},
			{"use-model", `{"id":"2","model":"none"}`, mqtt.Denied, "no model of that name"},
			{"use-model", `{"id":"3"}`, mqtt.BadRequest, "missing"},
			{"explode", `{"id":"4"}`, mqtt.BadRequest, "unknown verb"},
			{"drain", `{"id":5}`, mqtt.BadRequest, "must be a string"},
		} {
			h.send(topics.Admin("ops", tt.verb), tt.payload)
			after(time.Second)
			all := h.bus.on(topics.AdminReply("ops"))
			var a mqtt.AdminAnswer
			if len(all) != i+1 || json.Unmarshal([]byte(all[i]), &a) != nil || a.ID != fmt.Sprint(i) || a.Code != tt.code || a.Verb != tt.verb || !strings.Contains(a.Text, tt.text) {
				t.Errorf("%s %s: %v", tt.verb, tt.payload, all)
			}
		}
		if len(wanted) != 2 {
			t.Errorf("models asked for: %v", wanted)
		}
		h.stop()
	})
}
