package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lineside/daemon/config"
	"lineside/daemon/skill"
	"lineside/inference"
	"lineside/inference/inferencetest"
	"lineside/mqtt"
)

var topics = mqtt.Topics{Board: "b03"}

// bus is a broker with one board. It keeps what was published.
type bus struct {
	mu   sync.Mutex
	down bool
	sent []mqtt.Outgoing
	pool bool
}

func (b *bus) Publish(_ context.Context, m mqtt.Outgoing) error {
	if err := topics.MayPublish(m.Topic); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return mqtt.ErrDown
	}
	b.sent = append(b.sent, m)
	return nil
}

func (b *bus) JoinPools(_ context.Context, join bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pool = join
	return nil
}

func (b *bus) set(down bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = down
}

// on lists the payloads of a topic.
func (b *bus) on(topic string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []string
	for _, m := range b.sent {
		if m.Topic == topic {
			all = append(all, string(m.Payload))
		}
	}
	return all
}

// engine is a scripted engine with a health of its own.
type engine struct {
	inferencetest.Engine
	mu     sync.Mutex
	health inference.Health
	err    error // of Health
	fail   []error
	calls  int
	pinned int
	limits []inference.Limits // as they came
	deaf   bool               // to limits
}

func (e *engine) Generate(ctx context.Context, r *inference.Request, emit func(string) error) (*inference.Result, error) {
	e.mu.Lock()
	e.calls++
	var err error
	if len(e.fail) > 0 {
		err, e.fail = e.fail[0], e.fail[1:]
	}
	e.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return e.Engine.Generate(ctx, r, emit)
}

func (e *engine) Health(context.Context) (*inference.Health, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.health
	return &h, e.err
}

func (e *engine) set(h inference.Health, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.health, e.err = h, err
}

func (e *engine) SetLimits(_ context.Context, l inference.Limits) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.deaf {
		return inference.ErrUnavailable
	}
	e.limits = append(e.limits, l)
	return nil
}

// limited is how hard the engine may work by now, and how often it was told.
func (e *engine) limited() (l inference.Limits, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n = len(e.limits); n > 0 {
		l = e.limits[n-1]
	}
	return l, n
}

func (e *engine) Pin(context.Context, []inference.Message) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pinned++
	return nil
}

// house is a running daemon with its fakes.
type house struct {
	*Daemon
	t      *testing.T
	bus    *bus
	engine *engine
	ack    map[string]int // by id
	mu     sync.Mutex
	stop   func()
}

const alarmSkill = `
name = "alarm"
version = 3
priority = 10
system = "You explain fault codes."
prompt = "Code {{.code}}"
args = '{"type":"object","required":["code"],"properties":{"code":{"type":"string"}}}'
[[canned]]
when = { code = "E00" }
text = "No fault."
`

// open starts a daemon inside a synctest bubble.
func open(t *testing.T, change func(*Options)) *house {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "alarm.toml"), []byte(alarmSkill), 0o644); err != nil {
		t.Fatal(err)
	}
	c := config.Defaults()
	c.Limits.PerClientPerMinute = 0
	c.Engine.Slots = 2
	h := &house{t: t, bus: &bus{}, engine: &engine{health: inference.Health{State: "ok", Model: "scripted"}}, ack: map[string]int{}}
	h.engine.Answer = func(r *inference.Request) string { return r.Messages[len(r.Messages)-1].Content }
	o := Options{
		Config: c, Topics: topics, Bus: h.bus, Engine: h.engine, Skills: skill.NewLibrary(dir),
		Boot: "7f3a", Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&o)
	}
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	h.Daemon = d
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	d.Up(true)
	synctest.Wait()
	h.stop = sync.OnceFunc(func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(h.stop)
	return h
}

// send brings one message from the broker.
func (h *house) send(topic, payload string) {
	h.t.Helper()
	to, err := topics.Parse(topic)
	if err != nil {
		h.t.Fatal(err)
	}
	var id struct{ ID string }
	_ = json.Unmarshal([]byte(payload), &id)
	h.Handle(to, mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: 1, Ack: func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.ack[id.ID]++
	}})
}

func (h *house) acked(id string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ack[id]
}

// after lets time pass and what follows from it happen.
func after(d time.Duration) {
	time.Sleep(d) // of the bubble: it costs no time
	synctest.Wait()
}

// answers are all of one client, by id.
func (h *house) answers(client string) map[string][]mqtt.Answer {
	h.t.Helper()
	all := map[string][]mqtt.Answer{}
	for _, p := range h.bus.on(topics.Answer(client)) {
		var a mqtt.Answer
		if err := json.Unmarshal([]byte(p), &a); err != nil {
			h.t.Fatal(err)
		}
		all[a.ID] = append(all[a.ID], a)
	}
	return all
}

// one is the only answer to an ask.
func (h *house) one(client, id string) mqtt.Answer {
	h.t.Helper()
	all := h.answers(client)[id]
	if len(all) != 1 {
		h.t.Fatalf("%d answers to %s/%s, want exactly one: %+v", len(all), client, id, all)
	}
	return all[0]
}

// status is the newest one published.
func (h *house) status() mqtt.Status {
	h.t.Helper()
	all := h.bus.on(topics.Status())
	var s mqtt.Status
	if len(all) == 0 || json.Unmarshal([]byte(all[len(all)-1]), &s) != nil {
		h.t.Fatalf("no status: %v", all)
	}
	return s
}

// blocked makes an engine whose answers wait until release is called.
func blocked(h *house) (release func()) {
	gate := make(chan struct{})
	h.engine.Step = func(ctx context.Context) error {
		select {
		case <-gate:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return sync.OnceFunc(func() { close(gate) })
}

func prompt(id string, more ...string) string {
	return fmt.Sprintf(`{"id":%q,"prompt":"one two three"%s}`, id, strings.Join(more, ""))
}

func unavailable() error {
	return fmt.Errorf("%w: it went away in mid-answer", inference.ErrUnavailable)
}
