package engine_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lineside/inference"
	"lineside/inference/engine"
	"lineside/inference/engine/enginetest"
)

func saved(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.prefix"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestRestart: what was pinned before a restart costs nothing after it.
func TestRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	var log bytes.Buffer
	o := engine.Options{StateDir: dir, StateKey: "model-1", Log: slog.New(slog.NewTextHandler(&log, nil))}
	skill := []inference.Message{{Role: inference.RoleSystem, Content: long("skill", 200)}}

	first := open(t, enginetest.Config{}, o)
	if err := first.Pin(t.Context(), skill); err != nil {
		t.Fatal(err)
	}
	pinned := first.Stats().PinnedTokens
	want := first.ask(t, text(skill[0].Content, "what now?")).Text
	first.stop()
	if n := len(saved(t, dir)); n != 1 {
		t.Fatalf("%d files saved", n)
	}

	second := open(t, enginetest.Config{}, o)
	res := second.ask(t, text(skill[0].Content, "what now?"))
	if res.Text != want || res.Usage.Cached < pinned {
		t.Errorf("after a restart %q with %d tokens cached, before %q with %d pinned", res.Text, res.Usage.Cached, want, pinned)
	}
	if s := second.Stats(); s.PinnedTokens != pinned || int(s.PrefillTokens) != res.Usage.Prompt-res.Usage.Cached {
		t.Errorf("stats %+v", s)
	}
	second.stop()

	o.StateKey = "model-2"
	third := open(t, enginetest.Config{}, o)
	if res := third.ask(t, text(skill[0].Content, "what now?")); res.Text != want || res.Usage.Cached != 0 {
		t.Errorf("with another model %q, %d tokens cached", res.Text, res.Usage.Cached)
	}
	if err := third.Pin(t.Context(), skill); err != nil {
		t.Fatal(err)
	}
	if err := third.Unpin(skill); err != nil {
		t.Fatal(err)
	}
	third.ask(t, text("", "and now?"))
	third.stop()
	if files := saved(t, dir); len(files) != 0 {
		t.Errorf("%v are left after unpin", files)
	}
	if !strings.Contains(log.String(), "another model") {
		t.Errorf("the log says nothing of the foreign file:\n%s", log.String())
	}
}

// TestDamagedState: files that are cut, changed or no prefix at all are left out.
func TestDamagedState(t *testing.T) {
	skill := []inference.Message{{Role: inference.RoleSystem, Content: long("skill", 100)}}
	for name, damage := range map[string]func(b []byte) []byte{
		"cut":     func(b []byte) []byte { return b[:len(b)/2] },
		"flipped": func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"empty":   func([]byte) []byte { return nil },
		"junk":    func([]byte) []byte { return []byte("junk") },
	} {
		dir := t.TempDir()
		var log bytes.Buffer
		o := engine.Options{StateDir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))}
		first := open(t, enginetest.Config{}, o)
		if err := first.Pin(t.Context(), skill); err != nil {
			t.Fatal(err)
		}
		want := first.ask(t, text(skill[0].Content, "what now?")).Text
		first.stop()
		file := saved(t, dir)[0]
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for path, data := range map[string][]byte{file: damage(b), filepath.Join(dir, "notes.txt"): []byte("mine"), filepath.Join(dir, ".1.prefix.new"): []byte("half")} {
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		second := open(t, enginetest.Config{}, o)
		if res := second.ask(t, text(skill[0].Content, "what now?")); res.Text != want || res.Usage.Cached != 0 {
			t.Errorf("%s: %q with %d tokens cached, want %q", name, res.Text, res.Usage.Cached, want)
		}
		second.stop()
		if !strings.Contains(log.String(), "left out") {
			t.Errorf("%s: the log says nothing:\n%s", name, log.String())
		}
		left, err := os.ReadDir(dir)
		if err != nil || len(left) != 1 || left[0].Name() != "notes.txt" {
			t.Errorf("%s: left in the folder: %v", name, left)
		}
	}
}

// TestStateDirUnwritable: saving is a comfort; without it everything works.
func TestStateDirUnwritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h := open(t, enginetest.Config{}, engine.Options{StateDir: filepath.Join(file, "below")})
	skill := []inference.Message{{Role: inference.RoleSystem, Content: "A skill of a few words."}}
	if err := h.Pin(t.Context(), skill); err != nil {
		t.Fatal(err)
	}
	h.ask(t, text(skill[0].Content, "what now?"))
}
