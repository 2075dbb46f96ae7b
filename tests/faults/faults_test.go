package faults

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"lineside/mqtt"
	"lineside/mqtt/wire"
)

// TestPoison has an ask that kills the engine each time: it ends with 33, and
// what ran beside it is answered.
func TestPoison(t *testing.T) {
	w := start(t, "5", "good.gguf", "")
	w.state(mqtt.StateReady)
	ids := w.asks("beside", 1, 10)
	w.client.Ask("llm/v1/b03/ask/plc/text", `{"id":"poison","prompt":"poison one two three four five"}`)
	ids = append(ids, "poison")
	tally, _ := w.settle(ids)
	if got := w.client.Answers("poison"); len(got) != 1 || got[0].Code != mqtt.Fault {
		t.Errorf("poison: %+v", got)
	}
	if tally.Codes["ok"] != 1 {
		t.Errorf("%s", tally)
	}
}

// TestBadModel: the engine's own reason is the status.
func TestBadModel(t *testing.T) {
	w := start(t, "5", "bad.gguf", "")
	s := w.state(mqtt.StateDegraded)
	if s.Why != "bad.gguf is truncated: copy it again" {
		t.Errorf("why: %q", s.Why)
	}
	tally, _ := w.settle(w.asks("a", 1, 1))
	if tally.Codes["not_ready"] != 1 {
		t.Errorf("%s", tally)
	}
	w.client.Ask("llm/v1/b03/ask/plc/skill/alarm", `{"id":"c","args":{"code":"E00"}}`)
	if tally, _ := w.settle([]string{"c"}); tally.Codes["ok"] != 1 {
		t.Errorf("canned: %s", tally)
	}
}

// TestStop: SIGTERM answers what is left, says offline, and is done within 10 s.
func TestStop(t *testing.T) {
	w := start(t, "3.1.1", "good.gguf", "")
	w.state(mqtt.StateReady)
	ids := w.asks("left", 8, 100)
	w.accepted(ids) // what the board has not seen yet stays at the broker for its next start
	begin := time.Now()
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err := w.cmd.Wait()
	w.cmd = nil
	var exit *exec.ExitError
	if errors.As(err, &exit) || time.Since(begin) > 10*time.Second {
		t.Errorf("ended with %v after %s", err, time.Since(begin))
	}
	w.state(mqtt.StateOffline)
	tally, _ := w.settle(ids)
	if tally.Codes["draining"] != len(ids) {
		t.Errorf("%s", tally)
	}
}

// TestMessy sends what devices send by mistake.
func TestMessy(t *testing.T) {
	w := start(t, "5", "good.gguf", "")
	w.state(mqtt.StateReady)
	text := "llm/v1/b03/ask/plc/text"
	for id, payload := range map[string]string{
		"unknown":  `{"id":"unknown","prompt":"x","hammer":1}`,
		"twice":    `{"id":"twice","id":"twice","prompt":"x"}`,
		"huge":     `{"id":"huge","prompt":"` + strings.Repeat("x", 1<<20) + `"}`,
		"neither":  `{"id":"neither"}`,
		"args":     `{"id":"args","args":{}}`,
		"deadline": `{"id":"deadline","prompt":"x","deadline_ms":-1}`,
	} {
		w.client.Ask(text, payload)
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		a, err := w.client.Answer(ctx, id)
		cancel()
		if want := map[bool]mqtt.Code{true: mqtt.TooLarge, false: mqtt.BadRequest}[id == "huge"]; err != nil || a.Code != want {
			t.Errorf("%s: code %d, want %d (%v)", id, a.Code, want, err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, m := range []wire.Outgoing{
		{Topic: text, Payload: []byte(`{"id":"retained","prompt":"x"}`), QoS: 1, Retain: true},
		{Topic: text, Payload: []byte("\x00\x01\xfe"), QoS: 1},
		{Topic: "llm/v1/b03/ask/p@c/text", Payload: []byte(`{"id":"1","prompt":"x"}`), QoS: 1},
	} {
		if err := w.client.Send(ctx, m); err != nil {
			t.Error(err)
		}
	}
	if tally, _ := w.settle(w.asks("after", 1, 1)); tally.Codes["ok"] != 1 {
		t.Errorf("after all that: %s", tally)
	}
}
