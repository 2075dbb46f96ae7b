package faults

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lineside/mqtt"
)

// TestTools uses the command line against a running board.
func TestTools(t *testing.T) {
	w := start(t, "5", "good.gguf", "")
	w.state(mqtt.StateReady)
	bin := filepath.Join(t.TempDir(), "lineside")
	build := exec.Command("go", "build", "-o", bin, "lineside/cmd/lineside")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	w.write("try.toml", skillFile+"[[examples]]\nargs = { code = \"E42 is open\" }\ncontains = [\"e42\"]\n[[examples]]\nargs = { code = \"E00\" }\ncanned = true\n")
	for _, tt := range []struct {
		args []string
		want []string
		code int
	}{
		{[]string{"ask", "--broker", w.broker.URL(), "--client", "tool", "one", "two.", "three"}, []string{"one two. three", "0 ok from b03", ", about "}, 0},
		{[]string{"ask", "--broker", w.broker.URL(), "--skill", "alarm", "--args", `{"code":"E00"}`}, []string{"No fault.", "by alarm@1, without the model"}, 0},
		{[]string{"ask", "--broker", w.broker.URL(), "--mqtt", "3.1.1", "--skill", "none", "--json"}, []string{`"code":11`, "unknown_skill"}, 1},
		{[]string{"skill", "test", "--ask", "--broker", w.broker.URL(), filepath.Join(w.dir, "try.toml")}, []string{"alarm@1 example 1 in", "ok    alarm@1: 2 examples"}, 0},
		{[]string{"conform", "--broker", w.broker.URL(), "--board", "b03", "--client", "kit"}, []string{"an ask gets exactly one answer", "Correlation Data"}, 0},
		{[]string{"conform", "--broker", w.broker.URL(), "--board", "b03", "--client", "kit", "--mqtt", "3.1.1"}, []string{"the same id with another payload gets 16"}, 0},
		{[]string{"homeassistant", "--broker", w.broker.URL(), "--board", "b03"}, []string{"b03"}, 0},
		{[]string{"doctor", "--config", filepath.Join(w.dir, "lineside.toml")}, []string{"ok    engine    scripted, 2 slots", "ok    broker", "ok    skills    1 in"}, 1}, // the model's file is made up
		{[]string{"audit", "verify", filepath.Join(w.dir, "audit")}, []string{"good: "}, 0},
	} {
		out, err := exec.Command(bin, tt.args...).CombinedOutput()
		var exit *exec.ExitError
		code := 0
		if errors.As(err, &exit) {
			code = exit.ExitCode()
		}
		if code != tt.code {
			t.Errorf("%v ended with %d, want %d:\n%s", tt.args, code, tt.code, out)
		}
		for _, want := range tt.want {
			if !strings.Contains(string(out), want) {
				t.Errorf("%v does not say %q:\n%s", tt.args, want, out)
			}
		}
	}
}
