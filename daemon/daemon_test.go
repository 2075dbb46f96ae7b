package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lineside/daemon/lamp"
	"lineside/inference"
	"lineside/mqtt"
)

func TestCodes(t *testing.T) {
	text := topics.AskText("plc")
	for _, tt := range []struct {
		name, topic, payload, id string
		code                     mqtt.Code
		text                     string // part of it
	}{
		{"prompt", text, `{"id":"1","prompt":"hello there"}`, "1", mqtt.OK, "hello there"},
		{"canned", topics.AskSkill("plc", "alarm"), `{"id":"1","args":{"code":"E00"}}`, "1", mqtt.OK, "No fault."},
		{"skill", topics.AskSkill("plc", "alarm"), `{"id":"1","args":{"code":"E42"}}`, "1", mqtt.OK, "Code E42"},
		{"no JSON", text, `{"id":"1","prompt"`, "1", mqtt.BadRequest, "ends too early"},
		{"no id", text, `{"prompt":"x"}`, "", mqtt.BadRequest, "id"},
		{"junk", text, "\x00\xff\x12", "", mqtt.BadRequest, "UTF-8"},
		{"unknown field", text, `{"id":"1","prompt":"x","hammer":1}`, "1", mqtt.BadRequest, "hammer"},
		{"args to text", text, `{"id":"1","args":{}}`, "1", mqtt.BadRequest, "skill's topic"},
		{"too large", text, `{"id":"1","prompt":"` + strings.Repeat("x", 1<<20) + `"}`, "1", mqtt.TooLarge, "shorten"},
		{"unknown skill", topics.AskSkill("plc", "none"), `{"id":"1","args":{}}`, "1", mqtt.UnknownSkill, "none"},
		{"bad args", topics.AskSkill("plc", "alarm"), `{"id":"1","args":{"code":3}}`, "1", mqtt.BadArgs, "want string"},
		{"schema", text, `{"id":"1","prompt":"x","schema":{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}}`, "1", mqtt.OK, ""},
		{"bad schema", text, `{"id":"1","prompt":"x","schema":{"type":3}}`, "1", mqtt.BadRequest, "schema"},
		{"max chars", text, `{"id":"1","prompt":"äöü and more words","max_chars":3}`, "1", mqtt.OK, "äöü"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t, nil)
				h.send(tt.topic, tt.payload)
				after(time.Second)
				a := h.one("plc", tt.id)
				if a.Code != tt.code || !strings.Contains(a.Text, tt.text) {
					t.Errorf("answer %d %q, want %d %q", a.Code, a.Text, tt.code, tt.text)
				}
				if tt.code == mqtt.OK && a.Text == "" && a.Data == nil {
					t.Error("neither text nor data")
				}
				if tt.name == "max chars" && (a.Text != "äöü" || a.Finish != mqtt.FinishLength) {
					t.Errorf("text %q ends with %q", a.Text, a.Finish)
				}
				if len(h.ack) != 1 {
					t.Errorf("acks to the broker: %v, want one", h.ack)
				}
				h.stop()
			})
		})
	}
}

func TestDeadlineWhileRunningAndWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, nil)
		blocked(h)
		for _, id := range []string{"1", "2", "3"} { // two slots: the third waits
			h.send(topics.AskText("plc"), prompt(id, `,"deadline_ms":5000`))
		}
		after(5 * time.Second)
		for _, id := range []string{"1", "2", "3"} {
			a := h.one("plc", id)
			if a.Code != mqtt.Deadline || a.MS.Total > 5000 {
				t.Errorf("ask %s: code %d after %d ms, want 22 before 5000", id, a.Code, a.MS.Total)
			}
		}
		h.stop()
	})
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, nil)
		blocked(h)
		for _, id := range []string{"1", "2", "3"} {
			h.send(topics.AskText("plc"), prompt(id))
		}
		after(time.Second)
		h.send(topics.Cancel("hmi"), `{"id":"1"}`) // not its own
		h.send(topics.Cancel("plc"), `{"id":"2"}`) // running
		h.send(topics.Cancel("plc"), `{"id":"3"}`) // waiting or running
		h.send(topics.Cancel("plc"), `{"id":"9"}`)
		after(time.Second)
		if n := len(h.answers("plc")["1"]); n != 0 {
			t.Error("a client ended another's ask")
		}
		for _, id := range []string{"2", "3"} {
			if a := h.one("plc", id); a.Code != mqtt.Cancelled || a.Finish != mqtt.FinishCancelled {
				t.Errorf("ask %s: %+v", id, a)
			}
		}
		h.stop()
		if a := h.one("plc", "1"); a.Code != mqtt.Draining || a.RetryMS == 0 {
			t.Errorf("left at the stop: %+v", a)
		}
	})
}

func TestReplayAndConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, nil)
		release := blocked(h)
		h.send(topics.AskText("plc"), prompt("1"))
		h.send(topics.AskText("plc"), prompt("1")) // again while it runs: one answer serves both
		h.send(topics.AskText("hmi"), prompt("1")) // another client's id is its own
		after(time.Second)
		release()
		after(time.Second)
		first := h.one("plc", "1")
		h.one("hmi", "1")
		if h.acked("1") != 3 {
			t.Errorf("%d acks for 3 messages", h.acked("1"))
		}
		h.send(topics.AskText("plc"), prompt("1"))
		h.send(topics.AskText("plc"), prompt("1", `,"lang":"de"`))
		after(time.Second)
		all := h.answers("plc")["1"]
		if len(all) != 3 || !all[1].Replay && !all[2].Replay {
			t.Fatalf("answers: %+v", all)
		}
		for _, a := range all[1:] {
			switch {
			case a.Replay && (a.Text != first.Text || a.Code != mqtt.OK):
				t.Errorf("replay differs: %+v", a)
			case !a.Replay && a.Code != mqtt.IDConflict:
				t.Errorf("another payload under the same id: %+v", a)
			}
		}
		if h.engine.calls != 2 {
			t.Errorf("the engine was asked %d times, want 2", h.engine.calls)
		}
		h.stop()
	})
}

func TestAckAndChunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, nil)
		h.engine.Step = func(context.Context) error { time.Sleep(100 * time.Millisecond); return nil }
		h.send(topics.AskText("plc"), `{"id":"1","prompt":"one two. three four five six seven","stream":true,"ack":true}`)
		after(3 * time.Second)
		if acks := h.bus.on(topics.Ack("plc")); len(acks) != 1 || !strings.Contains(acks[0], `"queued"`) {
			t.Errorf("acks: %v", acks)
		}
		var text strings.Builder
		chunks := h.bus.on(topics.Chunk("plc"))
		for i, p := range chunks {
			var c mqtt.Chunk
			if err := json.Unmarshal([]byte(p), &c); err != nil || c.I != i || c.Last != (i == len(chunks)-1) {
				t.Errorf("chunk %d: %s %v", i, p, err)
			}
			text.WriteString(c.Text)
		}
		if a := h.one("plc", "1"); a.Text != text.String() || len(chunks) < 3 || len(chunks) > 5 {
			t.Errorf("%d chunks make %q, the answer is %q", len(chunks), text.String(), a.Text)
		}
		h.stop()
	})
}

func TestEngineCrash(t *testing.T) {
	for _, tt := range []struct {
		name string
		fail []error
		code mqtt.Code
	}{
		{"once", []error{unavailable()}, mqtt.OK},
		{"twice", []error{unavailable(), unavailable()}, mqtt.Fault},
		{"not ready counts not", []error{inference.ErrNotReady, inference.ErrNotReady, unavailable()}, mqtt.OK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t, nil)
				h.engine.fail = tt.fail
				h.send(topics.AskText("plc"), prompt("1"))
				after(10 * time.Second)
				if a := h.one("plc", "1"); a.Code != tt.code {
					t.Errorf("code %d %s, want %d", a.Code, a.Text, tt.code)
				}
				h.send(topics.AskText("plc"), prompt("2"))
				after(time.Second)
				if a := h.one("plc", "2"); a.Code != mqtt.OK {
					t.Errorf("the next ask: %+v", a)
				}
				h.stop()
			})
		})
	}
}

func TestEngineDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, nil)
		h.engine.set(inference.Health{State: "failed", Why: "model.gguf is truncated"}, nil)
		after(10 * time.Second)
		if s := h.status(); s.State != mqtt.StateDegraded || s.Why != "model.gguf is truncated" {
			t.Errorf("status %+v", s)
		}
		h.send(topics.AskText("plc"), prompt("1"))
		h.send(topics.AskSkill("plc", "alarm"), `{"id":"2","args":{"code":"E00"}}`)
		after(time.Second)
		if a := h.one("plc", "1"); a.Code != mqtt.NotReady || a.RetryMS == 0 || a.Text != "model.gguf is truncated" {
			t.Errorf("%+v", a)
		}
		if a := h.one("plc", "2"); a.Code != mqtt.OK {
			t.Errorf("a canned answer needs no engine: %+v", a)
		}
		h.engine.set(inference.Health{State: "ok", Model: "scripted"}, nil)
		after(10 * time.Second)
		if s := h.status(); s.State != mqtt.StateReady {
			t.Errorf("status %+v", s)
		}
		h.send(topics.AskText("plc"), prompt("1")) // what was told to come back may come back
		after(time.Second)
		if all := h.answers("plc")["1"]; len(all) != 2 || all[1].Code != mqtt.OK || all[1].Replay {
			t.Errorf("%+v", all)
		}
		h.stop()
		if s := h.status(); s.State != mqtt.StateOffline {
			t.Errorf("status after the stop: %+v", s)
		}
	})
}

func TestTellOnce(t *testing.T) {
	var log strings.Builder
	d := &Daemon{Options: Options{Log: slog.New(slog.NewTextHandler(&log, nil))}}
	for _, words := range []string{"no lamp", "no lamp", "", "no watchdog", "no lamp"} {
		if words == "" {
			d.tell(nil)
			continue
		}
		d.tell(errors.New(words))
	}
	if got := strings.Count(log.String(), "\n"); got != 3 {
		t.Errorf("%d lines, want 3:\n%s", got, &log)
	}
}

// TestEngineNever gives an engine that this daemon never saw a minute to start: then it is down.
func TestEngineNever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("connect: no such file")
		h := open(t, func(o *Options) { o.Engine.(*engine).set(inference.Health{}, gone) })
		after(50 * time.Second)
		if s := h.Signal(); s.Condition != lamp.IsStarting {
			t.Errorf("in the first minute the light says %+v", s)
		}
		after(15 * time.Second)
		if s := h.Signal(); s.Condition != lamp.EngineDown {
			t.Errorf("after a minute the light says %+v", s)
		}
		if s := h.status(); s.State != mqtt.StateDegraded {
			t.Errorf("after a minute the status is %+v", s)
		}
		h.engine.set(inference.Health{State: "ok", Model: "scripted"}, nil)
		after(10 * time.Second)
		if s := h.status(); s.State != mqtt.StateReady || h.Signal().Category != lamp.Good {
			t.Errorf("once it is there: %+v", s)
		}
		h.stop()
	})
}

func TestBrokerAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, nil)
		release := blocked(h)
		h.send(topics.AskText("plc"), prompt("1"))
		after(time.Second)
		h.bus.set(true)
		h.Up(false)
		release()
		after(30 * time.Second)
		if len(h.answers("plc")) != 0 {
			t.Fatal("an answer went through a broker that is away")
		}
		h.bus.set(false)
		h.send(topics.AskText("plc"), prompt("old", `,"deadline_ms":20000`)) // the backlog comes at once
		h.send(topics.AskText("plc"), prompt("young"))
		h.Up(true)
		after(time.Second)
		h.send(topics.AskText("plc"), prompt("new", `,"deadline_ms":20000`))
		after(time.Second)
		for id, code := range map[string]mqtt.Code{"1": mqtt.OK, "old": mqtt.Expired, "young": mqtt.OK, "new": mqtt.OK} {
			if a := h.one("plc", id); a.Code != code {
				t.Errorf("ask %s: code %d, want %d", id, a.Code, code)
			}
		}
		if n := len(h.bus.on(topics.Info())); n < 2 {
			t.Errorf("info was published %d times: not again after the reconnect", n)
		}
		h.stop()
	})
}

func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, func(o *Options) { o.Config.Limits.Queue = 8; o.Config.Limits.PerClientPerMinute = 60 })
		release := blocked(h)
		for i := range 20 {
			h.send(topics.AskText("flood"), prompt(fmt.Sprint(i)))
			synctest.Wait() // the first two run before the queue fills
		}
		h.send(topics.AskSkill("plc", "alarm"), `{"id":"a","args":{"code":"E42"}}`)
		after(time.Second)
		codes := map[mqtt.Code]int{}
		for _, all := range h.answers("flood") {
			codes[all[0].Code]++
			if all[0].RetryMS == 0 {
				t.Errorf("no time to come back: %+v", all[0])
			}
		}
		// 15 at once are allowed: two run, half of the queue waits.
		if codes[mqtt.RateLimited] != 5 || codes[mqtt.QueueFull] != 9 {
			t.Errorf("codes %v", codes)
		}
		if h.bus.pool {
			t.Error("a full board still takes from its pools")
		}
		release()
		after(time.Second)
		if a := h.one("plc", "a"); a.Code != mqtt.OK {
			t.Errorf("another client's alarm: %+v", a)
		}
		if !h.bus.pool {
			t.Error("an empty board does not come back to its pools")
		}
		h.stop()
	})
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, func(o *Options) { o.Config.MQTT.Operators = []string{"ops"} })
		h.send(topics.Admin("plc", "drain"), `{"id":"1"}`)
		after(time.Second)
		if r := h.bus.on(topics.AdminReply("plc")); len(r) != 1 || !strings.Contains(r[0], `"code":14`) {
			t.Errorf("a stranger's drain: %v", r)
		}
		h.send(topics.Admin("ops", "drain"), `{"id":"1"}`)
		after(time.Second)
		h.send(topics.AskText("plc"), prompt("1"))
		after(time.Second)
		if a := h.one("plc", "1"); a.Code != mqtt.Draining {
			t.Errorf("%+v", a)
		}
		if s := h.status(); s.State != mqtt.StateDraining || h.bus.pool {
			t.Errorf("status %+v, in the pool: %v", s, h.bus.pool)
		}
		h.send(topics.Admin("ops", "resume"), `{"id":"2"}`)
		after(10 * time.Second)
		if s := h.status(); s.State != mqtt.StateReady {
			t.Errorf("status %+v", s)
		}
		h.stop()
	})
}

func TestNewRefusesMissingParts(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("a daemon of nothing was made")
	}
}
