// Package faults kills parts of the running appliance at every stage of an ask
// and counts the answers: every accepted ask must end with exactly one.
//
// The broker is a real Mosquitto, linesided the built program; the engine is a
// process of this test that answers slowly from a script, so that there is time to
// kill it.
package faults

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lineside/inference"
	"lineside/inference/inferencetest"
	"lineside/inference/serve"
	"lineside/mqtt"
	"lineside/mqtt/mqtttest"
	"lineside/mqtt/wire"
)

const engineEnv = "LINESIDE_TEST_ENGINE"

// TestMain is also the engine: linesided starts this binary as its child.
func TestMain(m *testing.M) {
	if os.Getenv(engineEnv) != "" {
		if err := runEngine(os.Args[1:]); err != nil {
			fmt.Fprintf(os.Stderr, "lineside-engine: %v\n", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// wordTime is how long the scripted engine takes for a word.
const wordTime = 20 * time.Millisecond

func runEngine(args []string) error {
	f := flag.NewFlagSet("engine", flag.ContinueOnError)
	model := f.String("model", "", "")
	listen := f.String("listen", "", "")
	f.String("slots", "", "")
	f.String("ctx", "", "")
	f.String("state-dir", "", "")
	if err := f.Parse(args); err != nil {
		return err
	}
	if strings.Contains(*model, "bad") {
		return fmt.Errorf("%s is truncated: copy it again", *model)
	}
	path := strings.TrimPrefix(*listen, "unix:")
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	var s serve.Server
	s.Ready(&backend{})
	return s.Run(context.Background(), l)
}

type backend struct{}

func (*backend) Generate(ctx context.Context, r *inference.Request, emit func(string) error) (*inference.Result, error) {
	prompt := r.Messages[len(r.Messages)-1].Content
	if strings.HasPrefix(prompt, "poison") {
		time.AfterFunc(2*wordTime, func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) })
	}
	e := inferencetest.Engine{
		Answer: func(*inference.Request) string { return prompt },
		Step: func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(wordTime):
				return nil
			}
		},
	}
	return e.Generate(ctx, r, emit)
}
func (*backend) Pin(context.Context, []inference.Message) error { return nil }
func (*backend) SetLimits(inference.Limits) error               { return nil }
func (*backend) Health() inference.Health {
	return inference.Health{State: "ok", Model: "scripted", Slots: 2, Context: 4096, Steps: uint64(time.Now().UnixNano())}
}

var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "lineside-faults-")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "linesided")
	build := exec.Command("go", "build", "-o", bin, "lineside/cmd/linesided")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build linesided: %w\n%s", err, out)
	}
	return bin, nil
})

// world is one appliance with its broker and a client.
type world struct {
	t      *testing.T
	broker *mqtttest.Mosquitto
	proxy  *mqtttest.Proxy // between linesided and the broker
	client *mqtttest.Observer
	dir    string
	disk   string // where store and audit are on a small disk
	cmd    *exec.Cmd
	log    *os.File
	env    []string // more for linesided
	sent   sync.Map // payloads by id
	bin    string
}

const skillFile = `
name = "alarm"
version = 1
prompt = "{{.code}}"
args = '{"type":"object","required":["code"],"properties":{"code":{"type":"string"}}}'
[[canned]]
when = { code = "E00" }
text = "No fault."
`

// start makes a world whose parts all run. more goes into the configuration.
func start(t *testing.T, version, model, more string) *world {
	t.Helper()
	w := prepare(t, version, model, more)
	w.daemon()
	return w
}

// prepare makes a world whose linesided does not run yet.
func prepare(t *testing.T, version, model, more string) *world {
	t.Helper()
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, bin: bin, dir: t.TempDir(), broker: mqtttest.StartMosquitto(t)}
	w.proxy = mqtttest.StartProxy(t, w.broker.Addr)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w.write("skills/alarm.toml", skillFile)
	w.write("lineside.toml", fmt.Sprintf(`
[board]
id = "b03"
[mqtt]
url = %q
version = %q
[engine]
spawn = true
program = %q
model = %q
slots = 2
socket = "unix:%[5]s/e.sock"
[limits]
per_client_per_minute = 0
[skills]
dir = "%[5]s/skills"
[audit]
dir = "%[5]s/audit"
[store]
dir = "%[5]s/state"
`, w.proxy.URL(), version, exe, model, w.dir)+more)
	if w.log, err = os.Create(filepath.Join(w.dir, "log")); err != nil {
		t.Fatal(err)
	}
	w.client = mqtttest.Observe(t, w.broker.URL(), version, "", "plc", []string{"llm/v1/+/status", "llm/v1/+/event"}, nil)
	t.Cleanup(func() {
		if w.cmd != nil {
			w.kill()
		}
		if t.Failed() {
			b, _ := os.ReadFile(w.log.Name())
			t.Logf("linesided said:\n%s", b)
		}
	})
	return w
}

func (w *world) write(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// daemon starts linesided.
func (w *world) daemon() {
	w.t.Helper()
	w.cmd = exec.Command(w.bin, "--config", filepath.Join(w.dir, "lineside.toml"))
	w.cmd.Env = append(append(os.Environ(), engineEnv+"=1"), w.env...)
	w.cmd.Stdout, w.cmd.Stderr = w.log, w.log
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := w.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
}

// kill ends linesided with kill -9.
func (w *world) kill() {
	_ = w.cmd.Process.Kill()
	_ = w.cmd.Wait()
	w.cmd = nil
}

// killEngine ends the engine with kill -9.
func (w *world) killEngine() {
	w.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 500 {
		out, err := exec.Command("pgrep", "-P", fmt.Sprint(w.cmd.Process.Pid)).Output()
		var pid int
		if _, none := fmt.Sscan(string(out), &pid); err == nil && none == nil {
			if syscall.Kill(pid, syscall.SIGKILL) == nil {
				return
			}
		}
		<-tick.C // it is down: linesided starts it again
	}
	w.t.Fatal("linesided has no engine within 10 s")
}

// state waits until the newest status is of this state.
func (w *world) state(want string) (s mqtt.Status) {
	w.t.Helper()
	return w.stateOf("b03", want)
}

func (w *world) stateOf(board, want string) mqtt.Status {
	w.t.Helper()
	return w.statusOf(board, func(s mqtt.Status) bool { return s.State == want })
}

// statusOf waits until a board's status is as wanted.
func (w *world) statusOf(board string, want func(mqtt.Status) bool) (s mqtt.Status) {
	w.t.Helper()
	limit := time.After(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, m := range w.client.Messages() {
			if m.Topic == "llm/v1/"+board+"/status" {
				s = mqtt.Status{}
				_ = json.Unmarshal(m.Payload, &s)
			}
		}
		if want(s) {
			return s
		}
		select {
		case <-limit:
			w.t.Fatalf("the state stays %+v", s)
		case <-tick.C:
		}
	}
}

// asks sends n prompts of that many words under ids that begin with name.
func (w *world) asks(name string, n, words int) []string {
	return w.ask(name, n, words, `,"ack":true`)
}

func (w *world) ask(name string, n, words int, more string) (ids []string) {
	w.t.Helper()
	for i := range n {
		id := fmt.Sprintf("%s-%d", name, i)
		ids = append(ids, id)
		w.sent.Store(id, fmt.Sprintf(`{"id":%q,"prompt":"%s %s"%s}`, id, id, strings.TrimSpace(strings.Repeat("w ", words)), more))
		w.send(id)
	}
	return ids
}

func (w *world) send(id string) {
	payload, _ := w.sent.Load(id)
	w.client.Ask("llm/v1/b03/ask/plc/text", payload.(string))
}

// accepted waits until the board has acknowledged all asks.
func (w *world) accepted(ids []string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, id := range ids {
		_, err := w.client.Message(ctx, "llm/v1/reply/plc/b03/ack", func(m wire.Message) bool {
			return strings.Contains(string(m.Payload), fmt.Sprintf("%q", id))
		})
		if err != nil {
			w.t.Fatalf("%s was not accepted: %v", id, err)
		}
	}
}

// patience is how long a careful device waits before it asks again under the same id.
const patience = 15 * time.Second

// settle waits until every ask has an answer, and a little longer for second ones.
// A broker that is killed can lose what it has confirmed, in both directions;
// against that a device asks again under the same id. again counts it.
func (w *world) settle(ids []string) (y mqtttest.Tally, again int) {
	w.t.Helper()
	wait, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, id := range ids {
		if _, err := w.client.Answer(wait, id); err != nil {
			if _, ours := w.sent.Load(id); ours {
				w.send(id)
				again++
			}
		}
	}
	ctx, stop := context.WithTimeout(context.Background(), 45*time.Second)
	defer stop()
	for _, id := range ids {
		if _, err := w.client.Answer(ctx, id); err != nil {
			w.t.Error(err)
		}
	}
	quiet, end := context.WithTimeout(context.Background(), time.Second)
	defer end()
	<-quiet.Done()
	return w.client.Tally(ids), again
}
