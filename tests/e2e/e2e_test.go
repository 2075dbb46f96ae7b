// Package e2e runs the built programs as a plant would: a real Mosquitto, linesided,
// lineside-engine with the demo model, and the words of its answers.
//
// `make test-e2e` builds the programs and names their folder in LINESIDE_BIN.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lineside/inference/model/demo"
	"lineside/mqtt"
	"lineside/mqtt/mqtttest"
	"lineside/mqtt/wire"
)

// programs is the folder of the built programs.
func programs(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("LINESIDE_BIN")
	if dir == "" {
		t.Skip("LINESIDE_BIN names no folder of built programs: run make test-e2e")
	}
	return dir
}

// plant is a broker, a board and a device.
type plant struct {
	t      *testing.T
	broker *mqtttest.Mosquitto
	device *mqtttest.Observer
	cmd    *exec.Cmd
	dir    string
	log    bytes.Buffer
	n      int
}

// start runs a board with the demo model and its skills, or with another model file.
func start(t *testing.T, model string) *plant {
	t.Helper()
	bin, dir := programs(t), t.TempDir()
	var err error
	if model == "" {
		if model, err = demo.Write(dir); err != nil {
			t.Fatal(err)
		}
	}
	return board(t, dir, fmt.Sprintf(`
spawn = true
program = %q
model = %q
socket = "unix:%s/e.sock"
`, filepath.Join(bin, "lineside-engine"), model, dir), 256)
}

// board runs a board with its files in dir, a configuration of its engine, and answers of at
// most so many tokens.
func board(t *testing.T, dir, engine string, tokens int) *plant {
	t.Helper()
	bin := programs(t)
	p := &plant{t: t, dir: dir}
	if err := os.Mkdir(filepath.Join(p.dir, "skills"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := demo.WriteSkills(filepath.Join(p.dir, "skills")); err != nil {
		t.Fatal(err)
	}
	p.broker = mqtttest.StartMosquitto(t)
	config := filepath.Join(p.dir, "lineside.toml")
	if err := os.WriteFile(config, fmt.Appendf(nil, `
[board]
id = "b03"
[mqtt]
url = %q
[engine]
%s
[limits]
per_client_per_minute = 0
queue = 256
max_answer_tokens = %d
[skills]
dir = "%[4]s/skills"
[audit]
dir = "%[4]s/audit"
[store]
dir = "%[4]s/state"
[licence]
dir = "%[4]s/models"
`, p.broker.URL(), engine, tokens, p.dir), 0o644); err != nil {
		t.Fatal(err)
	}
	p.device = mqtttest.Observe(t, p.broker.URL(), "auto", "", "plc", []string{"llm/v1/+/status", "llm/v1/+/event", "llm/v1/+/skill/#"}, nil)
	p.cmd = exec.Command(filepath.Join(bin, "linesided"), "--config", config)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
		if t.Failed() {
			t.Logf("linesided said:\n%s", &p.log)
		}
	})
	return p
}

func (p *plant) patience() context.Context {
	ctx, cancel := context.WithTimeout(p.t.Context(), 60*time.Second)
	p.t.Cleanup(cancel)
	return ctx
}

// status waits until the board's status is as wanted, and returns it.
func (p *plant) status(want func(mqtt.Status) bool) mqtt.Status {
	p.t.Helper()
	ctx := p.patience()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		s := p.latest()
		if want(s) {
			return s
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			p.t.Fatalf("status stays %+v", s)
		}
	}
}

// latest is the status that the board published last.
func (p *plant) latest() (s mqtt.Status) {
	for _, m := range p.device.Messages() {
		if strings.HasSuffix(m.Topic, "/b03/status") && json.Unmarshal(m.Payload, &s) != nil {
			p.t.Errorf("unreadable status %q", m.Payload)
		}
	}
	return s
}

func (p *plant) ready() { p.status(func(s mqtt.Status) bool { return s.State == "ready" }) }

// send publishes a payload on an ask topic of the device.
func (p *plant) send(what, payload string) {
	p.device.Ask("llm/v1/b03/ask/plc/"+what, payload)
}

// ask sends an ask with an id of its own and waits for its answer.
func (p *plant) ask(what string, fields map[string]any) mqtt.Answer {
	p.t.Helper()
	p.n++
	id := "a" + strconv.Itoa(p.n)
	fields["id"] = id
	b, err := json.Marshal(fields)
	if err != nil {
		p.t.Fatal(err)
	}
	p.send(what, string(b))
	return p.answer(id)
}

func (p *plant) answer(id string) mqtt.Answer {
	p.t.Helper()
	a, err := p.device.Answer(p.patience(), id)
	if err != nil {
		p.t.Fatalf("ask %s: %v", id, err)
	}
	return a
}

// engine is the engine's process id.
func (p *plant) engine() int {
	p.t.Helper()
	// A child belongs to the thread that started it: look at every thread.
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p.cmd.Process.Pid))
	for _, f := range tasks {
		b, _ := os.ReadFile(f)
		for id := range strings.FieldsSeq(string(b)) {
			if n, err := strconv.Atoi(id); err == nil {
				return n
			}
		}
	}
	p.t.Fatal("linesided has no child")
	return 0
}

// TestGolden checks the words of every fixed ask of the demo model.
func TestGolden(t *testing.T) {
	p := start(t, "")
	p.ready()
	for _, g := range demo.Golden() {
		what, fields := "text", map[string]any{"prompt": g.Prompt}
		if g.Skill != "" {
			what, fields = "skill/"+g.Skill, map[string]any{"args": g.Args}
		}
		a := p.ask(what, fields)
		got := a.Text
		if len(a.Data) > 0 {
			got = string(a.Data)
		}
		if a.Code != 0 || got != g.Answer {
			t.Errorf("%s %s%s\n got %d %q\nwant 0 %q", what, g.Prompt, g.Args, a.Code, got, g.Answer)
		}
		if !a.Advisory || a.Model == "" || a.Finish != "stop" {
			t.Errorf("answer %+v lacks its marks", a)
		}
	}
}

// TestMessy sends what devices get wrong, and expects each its code.
func TestMessy(t *testing.T) {
	p := start(t, "")
	p.ready()
	for _, tt := range []struct {
		id, what, payload string
		code              int
	}{
		{"m1", "text", `{"id":"m1","prompt":"hi","wat":1}`, 10},
		{"m2", "text", `{"id":"m2"}`, 10},
		{"m3", "text", `{"id":"m3","prompt":"` + strings.Repeat("x", 1<<20) + `"}`, 13},
		{"m4", "skill/nosuch", `{"id":"m4","args":{}}`, 11},
		{"m5", "skill/alarm", `{"id":"m5","args":{"code":7}}`, 12},
		{"m6", "text", `{"id":"m6","prompt":"hi","schema":{"type":"object","patternProperties":{}}}`, 10},
		{"m7", "text", `{"id":"m7","prompt":"What does alarm E301 mean?","deadline_ms":1}`, 22},
	} {
		p.send(tt.what, tt.payload)
		if a := p.answer(tt.id); int(a.Code) != tt.code {
			t.Errorf("%.80s: code %d (%s), want %d", tt.payload, a.Code, a.Text, tt.code)
		}
	}
	p.send("text", "{not json")
	p.send("text", string([]byte{0, 1, 2, 0xff}))
	if a := p.ask("text", map[string]any{"prompt": "What does alarm E301 mean?"}); a.Code != 0 {
		t.Errorf("after junk: code %d", a.Code)
	}
}

// TestEngineKilled ends the engine in mid-answer: the ask gets its end, and the next one works.
func TestEngineKilled(t *testing.T) {
	p := start(t, "")
	p.ready()
	p.send("text", `{"id":"k","prompt":"`+strings.Repeat("Tell me everything about the filler. ", 60)+`","deadline_ms":30000}`)
	if err := syscall.Kill(p.engine(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if a := p.answer("k"); a.Code != 0 && a.Code != 33 && a.Code != 32 {
		t.Errorf("the killed ask ended with %d (%s)", a.Code, a.Text)
	}
	p.ready()
	if a := p.ask("text", map[string]any{"prompt": "What does alarm E301 mean?"}); a.Code != 0 {
		t.Errorf("next ask: %d (%s)", a.Code, a.Text)
	}
	if n := len(p.device.Answers("k")); n != 1 {
		t.Errorf("%d answers for one ask", n)
	}
}

// TestBrokerRestart brings status and asks back after the broker was away.
func TestBrokerRestart(t *testing.T) {
	p := start(t, "")
	p.ready()
	p.broker.Kill()
	p.broker.Start()
	p.ready()
	if a := p.ask("text", map[string]any{"prompt": "What does alarm E301 mean?"}); a.Code != 0 {
		t.Errorf("after the restart: %d (%s)", a.Code, a.Text)
	}
}

// TestStop answers what is left, says offline and ends with 0 within ten seconds.
func TestStop(t *testing.T) {
	p := start(t, "")
	p.ready()
	idle := rss(t, p.cmd.Process.Pid)
	t.Logf("linesided idles at %d MB", idle>>20)
	if idle > 40<<20 {
		t.Errorf("linesided idles at %d MB, want at most 40", idle>>20)
	}
	begun := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("exit: %v", err)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("the stop took %s", took)
	}
	p.status(func(s mqtt.Status) bool { return s.State == "offline" })
}

// rss is a process's resident memory in bytes (proc(5), statm).
func rss(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(b))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// TestBadModels holds engine and daemon to one reason, in words, for every broken file.
func TestBadModels(t *testing.T) {
	bin := programs(t)
	dir := t.TempDir()
	good, err := demo.Write(dir)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	noise := bytes.Repeat([]byte{0x5a, 0xc3, 0x17}, 5000)
	other := bytes.Replace(bytes.Clone(whole[:4096]), []byte("\x05\x00\x00\x00\x00\x00\x00\x00llama"), []byte("\x05\x00\x00\x00\x00\x00\x00\x00qwen2"), 1)
	for name, content := range map[string][]byte{
		"truncated": whole[:len(whole)/2], "empty": {}, "noise": noise, "other-architecture": append(other, whole[4096:]...), "folder": nil,
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(dir, name+".gguf")
			if content == nil {
				err = os.Mkdir(file, 0o755)
			} else {
				err = os.WriteFile(file, content, 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
			var stderr bytes.Buffer
			cmd := exec.Command(filepath.Join(bin, "lineside-engine"), "--model", file, "--listen", "unix:"+filepath.Join(t.TempDir(), "e.sock"))
			cmd.Stderr = &stderr
			err := cmd.Run()
			if cmd.ProcessState.ExitCode() != 1 {
				t.Fatalf("the engine ended with %v:\n%s", err, &stderr)
			}
			line := strings.TrimSpace(stderr.String())
			reason := strings.TrimPrefix(line, "lineside-engine: ")
			if strings.Contains(line, "\n") || reason == line || !strings.Contains(line, name) {
				t.Errorf("want one line that names the file, got:\n%s", line)
			}
			p := start(t, file)
			s := p.status(func(s mqtt.Status) bool { return s.State == "degraded" && s.Why != "" })
			if !strings.Contains(s.Why, reason) {
				t.Errorf("the engine says %q, the status %q", reason, s.Why)
			}
			if a := p.ask("text", map[string]any{"prompt": "hi"}); a.Code != 32 || a.RetryMS == 0 {
				t.Errorf("answer %d, retry %d ms: want 32 with a time to come back", a.Code, a.RetryMS)
			}
		})
	}
}

// TestDemoIsQuick asks linesided --demo as soon as its broker is there.
func TestDemoIsQuick(t *testing.T) {
	bin := programs(t)
	addr := mqtttest.FreeAddr(t)
	begun := time.Now()
	cmd := exec.Command(filepath.Join(bin, "linesided"), "--demo", "--engine", filepath.Join(bin, "lineside-engine"), "--listen", addr)
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("linesided said:\n%s", &log)
		}
	})
	device := mqtttest.Observe(t, "mqtt://"+addr, "auto", "", "plc", []string{"llm/v1/demo/status"}, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := device.Message(ctx, "llm/v1/demo/status", func(m wire.Message) bool {
		return strings.Contains(string(m.Payload), `"state":"ready"`)
	}); err != nil {
		t.Fatal(err)
	}
	device.Ask("llm/v1/demo/ask/plc/text", `{"id":"first","prompt":"What does alarm E301 mean?"}`)
	a, err := device.Answer(ctx, "first")
	if err != nil {
		t.Fatal(err)
	}
	if a.Code != 0 || !strings.Contains(a.Text, "filler") {
		t.Errorf("first answer: %d %q", a.Code, a.Text)
	}
	// Twice the goal of 2 s: this machine may be busy with other tests.
	took := time.Since(begun)
	t.Logf("first answer %s after the start", took.Round(time.Millisecond))
	if took > 4*time.Second {
		t.Errorf("the first answer took %s", took)
	}
}
