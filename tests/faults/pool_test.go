package faults

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lineside/mqtt"
)

// TestExpiredBacklog: what waited at the broker past its deadline is answered 21,
// what has time left is answered.
func TestExpiredBacklog(t *testing.T) {
	for _, version := range []string{"5", "3.1.1"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			w := start(t, version, "good.gguf", "")
			w.state(mqtt.StateReady)
			w.kill()
			w.client.Ask("llm/v1/b03/ask/plc/skill/alarm", `{"id":"old","args":{"code":"E00"},"deadline_ms":1000}`)
			w.client.Ask("llm/v1/b03/ask/plc/skill/alarm", `{"id":"young","args":{"code":"E00"}}`)
			time.Sleep(4 * time.Second) // the board is away: there is nothing to wait for
			w.daemon()
			tally, _ := w.settle([]string{"old", "young"})
			if tally.Codes["expired"] != 1 || tally.Codes["ok"] != 1 {
				t.Errorf("%s", tally)
			}
			if a := w.client.Answers("old"); len(a) != 1 || a[0].Code != mqtt.Expired {
				t.Errorf("old: %+v", a)
			}
		})
	}
}

// TestPool has two boards share asks; one dies with its session at the broker,
// and the other answers everything.
func TestPool(t *testing.T) {
	for _, version := range []string{"5", "3.1.1"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			pool(t, version)
		})
	}
}

func pool(t *testing.T, version string) {
	w := start(t, version, "good.gguf", "")
	second := w.second("b04")
	w.kill() // the first one comes back as a member of the pool
	conf := filepath.Join(w.dir, "lineside.toml")
	b, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	w.write("lineside.toml", strings.Replace(string(b), `id = "b03"`, "id = \"b03\"\npools = [\"press\"]", 1))
	w.daemon()
	w.stateOf("b03", mqtt.StateReady)
	w.stateOf("b04", mqtt.StateReady)
	asks := func(name string, n int) (ids []string) {
		for i := range n {
			id := fmt.Sprintf("%s-%d", name, i)
			ids = append(ids, id)
			w.client.Ask("llm/v1/pool/press/ask/plc/skill/alarm", fmt.Sprintf(`{"id":%q,"args":{"code":"E00"}}`, id))
		}
		return ids
	}
	ids := asks("both", 20)
	if tally, again := w.settle(ids); tally.Codes["ok"] != len(ids) || again > 0 {
		t.Errorf("both: %s", tally)
	}
	boards := map[string]int{}
	for _, id := range ids {
		boards[w.client.Answers(id)[0].Board]++
	}
	if len(boards) != 2 {
		t.Errorf("answers by board: %v, want both", boards)
	}
	if err := second.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = second.Wait()
	w.stateOf("b04", mqtt.StateOffline)
	ids = asks("one", 40)
	if tally, again := w.settle(ids); tally.Codes["ok"] != len(ids) || tally.Duplicates > 0 || again > 0 {
		t.Errorf("with one board dead: %s", tally)
	}
}

// second starts another board of the pool at the same broker.
func (w *world) second(id string) *exec.Cmd {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, "lineside.toml"))
	if err != nil {
		w.t.Fatal(err)
	}
	text := strings.NewReplacer(`id = "b03"`, fmt.Sprintf("id = %q\npools = [\"press\"]", id), w.dir+"/", w.dir+"/"+id+"/").Replace(string(b))
	w.write(id+"/lineside.toml", text)
	w.write(id+"/skills/alarm.toml", skillFile)
	cmd := exec.Command(w.bin, "--config", filepath.Join(w.dir, id, "lineside.toml"))
	cmd.Env = append(os.Environ(), engineEnv+"=1")
	cmd.Stdout, cmd.Stderr = w.log, w.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}
