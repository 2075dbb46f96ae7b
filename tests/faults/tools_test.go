package faults

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

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

// TestDiskFull fills the disk below store and audit: asks go on being answered,
// the audit says so, and recovers when there is room again.
func TestDiskFull(t *testing.T) {
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("no right to mount a small disk: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(disk, unix.MNT_DETACH) })
	w := prepare(t, "5", "good.gguf", "")
	conf := filepath.Join(w.dir, "lineside.toml")
	b, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(w.dir+"/audit", disk+"/audit", w.dir+"/state", disk+"/state").Replace(string(b))
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	w.daemon()
	w.state(mqtt.StateReady)
	filler := filepath.Join(disk, "filler")
	if err := fill(filler); err != nil {
		t.Fatal(err)
	}
	ids := w.asks("full", 12, 3)
	tally, again := w.settle(ids)
	if tally.Codes["ok"] != len(ids) || again > 0 {
		t.Errorf("with a full disk: %s, asked again: %d", tally, again)
	}
	said := false
	for _, m := range w.client.Messages() {
		said = said || strings.HasSuffix(m.Topic, "/event") && strings.Contains(string(m.Payload), "audit_full")
	}
	if !said {
		t.Error("no event tells that the audit is full")
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if tally, _ := w.settle(w.asks("free", 3, 1)); tally.Codes["ok"] != 3 {
		t.Errorf("after that: %s", tally)
	}
	w.state(mqtt.StateReady)
}

// fill writes zeros until there is no room.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, size := range []int{64 << 10, 4 << 10, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	if !errors.Is(err, unix.ENOSPC) {
		return err
	}
	return nil
}
