package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lineside/hw/hwtest"
	"lineside/inference"
	"lineside/inference/model/demo"
	"lineside/mqtt"
	"lineside/mqtt/mqtttest"
)

// hot is a board made of files, with the LED's files and the engine's limits at hand.
type hot struct {
	*plant
	root   string
	board  hwtest.Board
	engine *inference.Client
	events *mqtttest.Observer
}

func startHot(t *testing.T) *hot {
	t.Helper()
	h := &hot{root: t.TempDir(), board: hwtest.Pi5()}
	if err := h.board.Write(h.root); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	model, err := demo.Write(dir)
	if err != nil {
		t.Fatal(err)
	}
	h.plant = board(t, dir, fmt.Sprintf(`
spawn = true
program = %q
model = %q
socket = "unix:%s/e.sock"
threads = 4
[hw]
root = %q
sample_every = "250ms"
[leds]
kind = "led"
lamps = { status = "sysfs:ACT" }
`, filepath.Join(programs(t), "lineside-engine"), model, dir, h.root), 64)
	if h.engine, err = inference.NewClient("unix:" + filepath.Join(h.dir, "e.sock")); err != nil {
		t.Fatal(err)
	}
	h.events = mqtttest.Observe(t, h.broker.URL(), "auto", "", "watcher", []string{"llm/v1/b03/event"}, nil)
	h.ready()
	return h
}

// until waits for something, for at most a minute.
func (h *hot) until(what string, ok func() bool) {
	h.t.Helper()
	ctx := h.patience()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			h.t.Fatalf("%s: never; the rungs were %v, the lamp shows %q", what, h.rungs(), h.lamp())
		}
	}
}

// rungs are the throttle events so far.
func (h *hot) rungs() (all []string) {
	for _, m := range h.events.Messages() {
		var e mqtt.Event
		if json.Unmarshal(m.Payload, &e) == nil && e.Event == mqtt.EventThrottle {
			all = append(all, fmt.Sprint(e.Data["rung"]))
		}
	}
	return all
}

// lamp is what the LED's files say: "good" for the beat, or the number of flashes.
func (h *hot) lamp() string {
	read := func(file string) string {
		b, err := os.ReadFile(filepath.Join(h.root, "sys/class/leds/ACT", file))
		if err != nil {
			h.t.Error(err)
		}
		return strings.TrimSpace(string(b))
	}
	switch trigger := read("trigger"); trigger {
	case "oneshot":
		return "good"
	case "pattern":
		return fmt.Sprint(strings.Count(read("pattern"), "255 200 255 0"), " flashes")
	default:
		return trigger
	}
}

// limits are how hard the engine may work now, as it says itself.
func (h *hot) limits() inference.Limits {
	ctx, cancel := context.WithTimeout(h.t.Context(), 10*time.Second)
	defer cancel()
	health, err := h.engine.Health(ctx)
	if err != nil {
		h.t.Error(err)
		return inference.Limits{}
	}
	return health.Limits
}

// TestHeat plays a hot day on a Pi 5, five times as fast as it would be and the cooling
// twenty times: the engine works
// more slowly, asks are refused with the time to come back, lamp and status say so, and all
// of it goes back when the board cools down.
func TestHeat(t *testing.T) {
	t.Parallel()
	h := startHot(t)
	h.until("the good beat", func() bool { return h.lamp() == "good" })
	if a := h.ask("text", map[string]any{"prompt": "What does alarm E301 mean?"}); a.Code != mqtt.OK {
		t.Fatalf("cool: %+v", a)
	}
	full := h.limits()
	if full.DecodeThreads != 4 || full.PacePercent != 100 {
		t.Errorf("full speed is %+v", full)
	}
	day := h.board.HeatUp()
	half := slices.IndexFunc(day.Steps, func(s hwtest.Step) bool { return s.At >= 2*time.Minute })
	warming := hwtest.Script{Name: "warming", Steps: day.Steps[:half]}
	cooling := hwtest.Script{Name: "cooling", Steps: slices.Clone(day.Steps[half:])}
	for i := range cooling.Steps {
		cooling.Steps[i].At -= 2 * time.Minute
	}
	played := make(chan error, 1)
	go func() { played <- warming.Play(t.Context(), h.root, 5) }()
	h.status(func(s mqtt.Status) bool { return s.State == "ready" && strings.Contains(s.Why, "working more slowly") })
	h.until("fewer threads", func() bool { return h.limits().DecodeThreads < 4 })
	h.until("three flashes", func() bool { return h.lamp() == "3 flashes" })
	s := h.status(func(s mqtt.Status) bool { return s.State == "degraded" })
	if !strings.Contains(s.Why, "its limit is 80") {
		t.Errorf("refusing: %+v", s)
	}
	if a := h.ask("text", map[string]any{"prompt": "What does alarm E301 mean?"}); a.Code != mqtt.TooHot || a.RetryMS < 1000 {
		t.Errorf("hot: %+v", a)
	}
	if h.lamp() != "3 flashes" {
		t.Errorf("hot, the lamp shows %q", h.lamp())
	}
	h.until("all work stopped", func() bool { return slices.Contains(h.rungs(), "abort") })
	h.until("the lowest setting", func() bool {
		l := h.limits()
		return l.DecodeThreads == 1 && l.PacePercent <= 50 && l.Batch < full.Batch && l.Slots < full.Slots
	})
	if err := <-played; err != nil {
		t.Fatal(err)
	}
	if err := cooling.Play(t.Context(), h.root, 20); err != nil {
		t.Fatal(err)
	}
	h.until("answers again", func() bool {
		return h.ask("text", map[string]any{"prompt": "What does alarm E301 mean?"}).Code == mqtt.OK
	})
	h.until("full speed again", func() bool { l := h.limits(); return l == full })
	h.until("the good beat again", func() bool { return h.lamp() == "good" })
	h.status(func(s mqtt.Status) bool { return s.State == "ready" && s.Why == "" })
	got := h.rungs()
	t.Logf("the rungs were %v", got)
	if len(got) > 12 || got[len(got)-1] != "full" {
		t.Errorf("it flaps, or does not come back: %v", got)
	}
}

// TestFanAndSupply: what the technician must know shows and does not stop the work.
func TestFanAndSupply(t *testing.T) {
	t.Parallel()
	h := startHot(t)
	set := func(path, content string) {
		t.Helper()
		s := hwtest.Script{Name: t.Name(), Steps: []hwtest.Step{{Set: map[string]string{path: content}}}}
		if err := s.Apply(h.root, -1, 0); err != nil {
			t.Fatal(err)
		}
	}
	set(h.board.Fan, "0\n")
	h.until("two flashes", func() bool { return h.lamp() == "2 flashes" })
	h.status(func(s mqtt.Status) bool {
		return s.State == "ready" && strings.Contains(s.Why, "fan pwmfan does not turn")
	})
	set(h.board.Throttled, "50005\n")
	h.until("three flashes", func() bool { return h.lamp() == "3 flashes" })
	h.until("half the threads", func() bool { return h.limits().DecodeThreads == 2 })
	if a := h.ask("text", map[string]any{"prompt": "What does alarm E301 mean?"}); a.Code != mqtt.OK {
		t.Errorf("with a weak supply: %+v", a)
	}
}

// TestSmallerInHeat: before asks are refused, the fallback model answers, and its answers say so.
func TestSmallerInHeat(t *testing.T) {
	t.Parallel()
	dir, root, b := t.TempDir(), t.TempDir(), hwtest.Pi5()
	if err := b.Write(root); err != nil {
		t.Fatal(err)
	}
	s, _ := shelf(t, dir)
	if err := s.SetFallback("tiny"); err != nil {
		t.Fatal(err)
	}
	tiny, err := s.Find("tiny")
	if err != nil {
		t.Fatal(err)
	}
	p := board(t, dir, fmt.Sprintf("spawn = true\nprogram = %q\nsocket = \"unix:%s/e.sock\"\nthreads = 2\n[hw]\nroot = %q\nsample_every = \"250ms\"\n",
		filepath.Join(programs(t), "lineside-engine"), dir, root), 64)
	p.ready()
	if a := p.ask("text", map[string]any{"prompt": "What does alarm E301 mean?"}); a.Code != mqtt.OK || a.Model == tiny.Weights()[:12] {
		t.Fatalf("cool: %+v", a)
	}
	warm := hwtest.Script{Name: "just too warm", Steps: []hwtest.Step{{Set: map[string]string{b.Temp: "78900\n"}}}}
	if err := warm.Apply(root, -1, 0); err != nil {
		t.Fatal(err)
	}
	e := p.event(mqtt.EventModelChanged, 1)
	if e.Data["to"] != "tiny" || e.Data["smaller"] != true {
		t.Errorf("%+v", e)
	}
	if a := p.ask("text", map[string]any{"prompt": "What does alarm E301 mean?"}); a.Code != mqtt.OK || a.Model != tiny.Weights()[:12] {
		t.Errorf("warm: %+v", a)
	}
}
