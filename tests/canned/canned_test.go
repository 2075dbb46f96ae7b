// Package canned measures the way of an ask without the model: broker,
// admission, canned answer, audit, reply. It starts a real Mosquitto and the
// real linesided, so that its memory is measured too.
package canned

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lineside/mqtt"
	"lineside/mqtt/mqtttest"
	"lineside/mqtt/wire"
)

var (
	seconds = flag.Duration("for", 2*time.Second, "how long each load lasts")
	version = flag.String("mqtt", "5", "protocol: 5 or 3.1.1")
)

const skillFile = `
name = "alarm"
version = 1
prompt = "Explain {{.code}}"
args = '{"type":"object","required":["code"],"properties":{"code":{"type":"string"}}}'
[[canned]]
when = { code = "E00" }
text = "No fault. The machine may go on."
`

// linesided builds and starts the daemon against a broker and returns its process.
func linesided(t *testing.T, url string, perMinute int) *os.Process {
	t.Helper()
	dir := t.TempDir()
	bin := filepath.Join(dir, "linesided")
	build := exec.Command("go", "build", "-o", bin, "lineside/cmd/linesided")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build linesided: %v\n%s", err, out)
	}
	files := map[string]string{
		"skills/alarm.toml": skillFile,
		"lineside.toml": fmt.Sprintf(`
[board]
id = "b03"
[mqtt]
url = %q
version = %q
[engine]
socket = "unix:%[3]s/engine.sock"
[limits]
per_client_per_minute = %[4]d
[skills]
dir = "%[3]s/skills"
[audit]
dir = "%[3]s/audit"
[store]
dir = "%[3]s/state"
`, url, *version, dir, perMinute),
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(bin, "--config", filepath.Join(dir, "lineside.toml"))
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("linesided: %v\n%s", err, log.String())
		}
	})
	return cmd.Process
}

// rss is the resident memory of a process, in kB.
func rss(t *testing.T, p *os.Process) (kb int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid))
	if err != nil {
		t.Skip("no /proc here")
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		t.Fatal(err)
	}
	return kb
}

// device asks and counts.
type device struct {
	conn    wire.Conn
	topic   string
	prefix  string
	mu      sync.Mutex
	sent    map[string]time.Time
	took    []time.Duration
	codes   map[mqtt.Code]int
	strange int // answers to nothing that is open
	done    chan struct{}
}

var serial atomic.Int64

func newDevice(t *testing.T, url, name string) *device {
	t.Helper()
	topics := mqtt.Topics{Board: "b03"}
	d := &device{topic: topics.AskSkill(name, "alarm"), prefix: name, sent: map[string]time.Time{}, codes: map[mqtt.Code]int{}, done: make(chan struct{}, 1<<20)}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c, err := wire.Dial(ctx, wire.Options{URL: url, Version: *version, ClientID: name, Window: 1000, OnMessage: d.answer})
	if err != nil {
		t.Fatal(err)
	}
	d.conn = c
	if err := c.Subscribe(ctx, []wire.Subscription{{Filter: topics.Answer(name), QoS: 1}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return d
}

func (d *device) answer(m wire.Message) {
	now := time.Now()
	m.Ack()
	var a struct {
		ID   string
		Code mqtt.Code
	}
	if json.Unmarshal(m.Payload, &a) != nil {
		return
	}
	d.mu.Lock()
	at, ok := d.sent[a.ID]
	delete(d.sent, a.ID)
	if ok {
		d.took = append(d.took, now.Sub(at))
		d.codes[a.Code]++
	} else {
		d.strange++
	}
	d.mu.Unlock()
	if ok {
		d.done <- struct{}{}
	}
}

func (d *device) ask(ctx context.Context) error {
	id := fmt.Sprintf("%s-%d", d.prefix, serial.Add(1))
	d.mu.Lock()
	d.sent[id] = time.Now()
	d.mu.Unlock()
	return d.conn.Publish(ctx, wire.Outgoing{Topic: d.topic, Payload: fmt.Appendf(nil, `{"id":%q,"args":{"code":"E00"}}`, id), QoS: 1})
}

// load runs devices for a while, each by its own plan, and waits for all answers.
func load(t *testing.T, devices []*device, plan func(ctx context.Context, d *device) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), *seconds)
	defer cancel()
	var g sync.WaitGroup
	for _, d := range devices {
		g.Add(1)
		go func() {
			defer g.Done()
			if err := plan(ctx, d); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}()
	}
	g.Wait()
	limit := time.Now().Add(10 * time.Second)
	for _, d := range devices {
		for open(d) > 0 && time.Now().Before(limit) {
			select {
			case <-d.done:
			case <-time.After(time.Until(limit)):
			}
		}
	}
}

func open(d *device) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.sent)
}

// paced asks so often per second.
func paced(perSecond float64) func(context.Context, *device) error {
	return func(ctx context.Context, d *device) error {
		tick := time.NewTicker(time.Duration(float64(time.Second) / perSecond))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				if err := d.ask(context.WithoutCancel(ctx)); err != nil {
					return err
				}
			}
		}
	}
}

// windowed keeps so many asks open.
func windowed(n int) func(context.Context, *device) error {
	return func(ctx context.Context, d *device) error {
		var g sync.WaitGroup
		for range n {
			g.Add(1)
			go func() {
				defer g.Done()
				for ctx.Err() == nil {
					if d.ask(context.WithoutCancel(ctx)) != nil {
						return
					}
					select {
					case <-d.done:
					case <-ctx.Done():
					}
				}
			}()
		}
		g.Wait()
		return nil
	}
}

// figures sums up and resets.
func figures(t *testing.T, devices []*device) (n, lost int, p50, p99 time.Duration, codes map[mqtt.Code]int) {
	t.Helper()
	var all []time.Duration
	codes = map[mqtt.Code]int{}
	for _, d := range devices {
		d.mu.Lock()
		all = append(all, d.took...)
		lost += len(d.sent)
		for c, k := range d.codes {
			codes[c] += k
		}
		if d.strange > 0 {
			t.Errorf("%s got %d answers to nothing", d.prefix, d.strange)
		}
		d.took, d.codes, d.sent = nil, map[mqtt.Code]int{}, map[string]time.Time{}
		d.mu.Unlock()
		for len(d.done) > 0 {
			<-d.done
		}
	}
	if len(all) == 0 {
		t.Fatal("no answers")
	}
	slices.Sort(all)
	return len(all), lost, all[len(all)/2], all[len(all)*99/100], codes
}

// TestCannedAsks prints what DESIGN.md's table asks for. It fails where an ask
// is lost; how fast this machine is, it only says.
func TestCannedAsks(t *testing.T) {
	m := mqtttest.StartMosquitto(t, "max_inflight_messages 1000", "max_queued_messages 100000", "autosave_interval 3600", "autosave_on_changes false")
	p := linesided(t, m.URL(), 0)
	var devices []*device
	for i := range 8 {
		devices = append(devices, newDevice(t, m.URL(), fmt.Sprintf("plc%d", i)))
	}
	ready(t, devices[0])
	idle := rss(t, p)
	t.Logf("protocol %s, idle: %d kB resident", *version, idle)
	for _, l := range []struct {
		name string
		plan func(context.Context, *device) error
	}{
		{"200 asks/s", paced(200.0 / 8)},
		{"1000 asks/s", paced(1000.0 / 8)},
		{"saturation", windowed(16)},
	} {
		start := time.Now()
		load(t, devices, l.plan)
		took := time.Since(start)
		n, lost, p50, p99, codes := figures(t, devices)
		t.Logf("%-12s %7.0f answers/s, p50 %6.2f ms, p99 %6.2f ms, %d kB resident", l.name, float64(n)/took.Seconds(), ms(p50), ms(p99), rss(t, p))
		if lost > 0 || codes[mqtt.OK] != n {
			t.Errorf("%s: %d asks lost, codes %v", l.name, lost, codes)
		}
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// ready waits for the first answer.
func ready(t *testing.T, d *device) {
	t.Helper()
	for range 50 {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		err := d.ask(ctx)
		answered := false
		select {
		case <-d.done:
			answered = err == nil
		case <-ctx.Done():
		}
		cancel()
		d.mu.Lock()
		clear(d.sent) // what came before the board had subscribed is nobody's
		d.mu.Unlock()
		if answered {
			figures(t, []*device{d})
			return
		}
	}
	t.Fatal("linesided does not answer")
}

// TestFloodDoesNotHurtOthers has a ninth client ask as fast as it can.
func TestFloodDoesNotHurtOthers(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: run without -short")
	}
	m := mqtttest.StartMosquitto(t, "max_inflight_messages 1000", "max_queued_messages 100000", "autosave_interval 3600", "autosave_on_changes false")
	linesided(t, m.URL(), 6000)
	var devices []*device
	for i := range 8 {
		devices = append(devices, newDevice(t, m.URL(), fmt.Sprintf("plc%d", i)))
	}
	ready(t, devices[0])
	load(t, devices, paced(200.0/8))
	_, _, _, alone, _ := figures(t, devices)

	flood := newDevice(t, m.URL(), "flood")
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- paced(4000)(ctx, flood) }()
	load(t, devices, paced(200.0/8))
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	n, lost, _, beside, codes := figures(t, devices)
	if lost > 0 || codes[mqtt.OK] != n {
		t.Errorf("%d of the others' asks lost, codes %v", lost, codes)
	}
	load(t, []*device{flood}, func(context.Context, *device) error { return nil })
	n, lost, _, _, codes = figures(t, []*device{flood})
	t.Logf("p99 of 8 clients: %.2f ms alone, %.2f ms beside a flood of %d asks with codes %v", ms(alone), ms(beside), n, codes)
	if lost > 0 || codes[mqtt.RateLimited] == 0 {
		t.Errorf("the flood: %d asks without an answer, codes %v", lost, codes)
	}
}
