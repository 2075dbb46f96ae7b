package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lineside/inference/model/bundle"
	"lineside/inference/model/modeltest"
	"lineside/inference/model/shape"
	"lineside/inference/model/synth"
	"lineside/mqtt"
	"lineside/tests/page"
)

// TestModelsPage walks docs/models.md on a running board: from a download on a laptop over a
// stick to an answer, and on to the purge. The model has the form and the vocabulary's size of
// the real one, and random weights.
func TestModelsPage(t *testing.T) {
	if testing.Short() {
		t.Skip("writes three files of 770 MB")
	}
	bin := programs(t)
	text, err := os.ReadFile("../../docs/models.md")
	if err != nil {
		t.Fatal(err)
	}
	dir, stick := t.TempDir(), t.TempDir()
	laptop := filepath.Join(dir, "laptop")
	if err := os.Mkdir(laptop, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]string{"texts": modeltest.Texts(t, "llama3_2"), "own": modeltest.Apache(t)} {
		if err := os.Symlink(from, filepath.Join(laptop, name)); err != nil {
			t.Fatal(err)
		}
	}
	model, err := synth.New("llama-3.2-1b", shape.Q4_0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := model.Create(t.Context(), filepath.Join(laptop, "Llama-3.2-1B-Instruct-Q4_0.gguf")); err != nil {
		t.Fatal(err)
	}
	systemd(t, dir, "--ctx", "1024")
	p := board(t, dir, fmt.Sprintf("spawn = false\nctx = 1024\nsocket = \"unix:%s/e.sock\"\n", dir), 8)
	asked := false
	for _, s := range page.Steps(string(text)) {
		args := page.Words(strings.NewReplacer("/media/stick", stick, "mqtt://broker.plant:1883", p.broker.URL()).Replace(s.Command))
		if args[1] == "ask" {
			asked = true
		}
		cmd := exec.CommandContext(t.Context(), filepath.Join(bin, args[0]), args[1:]...)
		cmd.Dir = laptop
		cmd.Env = append(os.Environ(), "LINESIDE_MODELS="+filepath.Join(dir, "models"), "LINESIDE_OWNER_KEY=owner.pub")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s\n%v:\n%s", s.Command, err, out)
		}
		got := strings.ReplaceAll(string(out), stick, "/media/stick")
		if missing := s.Missing(got); len(missing) > 0 {
			t.Errorf("%s\npromises %q and prints\n%s", s.Command, missing, got)
		}
		if args[1] == "ask" {
			t.Logf("%s\n%s", s.Command, got)
		}
	}
	if !asked {
		t.Error("nothing on the page asks the model")
	}
	p.status(func(s mqtt.Status) bool {
		return s.State == "degraded" && strings.Contains(s.Why, "does not answer any more")
	})
	if a := p.ask("text", map[string]any{"prompt": "Are you still there?"}); a.Code == mqtt.OK {
		t.Errorf("a purged model answers: %+v", a)
	}
}

// TestAdapterSkill has an installed adapter answer one of two skills that ask the same.
func TestAdapterSkill(t *testing.T) {
	bin, dir := programs(t), t.TempDir()
	s, key := shelf(t, dir)
	tiny, err := s.Find("tiny")
	if err != nil {
		t.Fatal(err)
	}
	adapter := filepath.Join(t.TempDir(), "words.gguf")
	if out, err := exec.Command(filepath.Join(bin, "lineside"), "model", "synth", "--adapter-for", tiny.Path, "-o", adapter).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	put(t, s, bundle.Source{Name: "words", Weights: adapter, Base: tiny.Path, Override: because, Key: key})
	if _, err := s.Activate("tiny"); err != nil {
		t.Fatal(err)
	}
	p := board(t, dir, fmt.Sprintf("spawn = true\nprogram = %q\nsocket = \"unix:%s/e.sock\"\n", filepath.Join(bin, "lineside-engine"), dir), 64)
	for name, line := range map[string]string{"plain": "", "tuned": "adapter = \"words\"\n", "foreign": "adapter = \"other\"\n"} {
		file := fmt.Sprintf("name = %q\nversion = 1\nmax_tokens = 24\nprompt = \"Explain fault E42.\"\n%s", name, line)
		if err := os.WriteFile(filepath.Join(dir, "skills", name+".toml"), []byte(file), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p.ready()
	if _, err := p.device.Message(p.patience(), "llm/v1/b03/skill/tuned", nil); err != nil {
		t.Fatal(err)
	}
	ask := func(skill string) mqtt.Answer { return p.ask("skill/"+skill, map[string]any{"args": map[string]any{}}) }
	plain, tuned, again := ask("plain"), ask("tuned"), ask("plain")
	if plain.Code != mqtt.OK || tuned.Code != mqtt.OK || plain.Text == tuned.Text || plain.Text != again.Text {
		t.Errorf("plain %d %q\ntuned %d %q\nagain %d %q", plain.Code, plain.Text, tuned.Code, tuned.Text, again.Code, again.Text)
	}
	if a := ask("foreign"); a.Code != mqtt.NotReady || !strings.Contains(a.Text, "other") {
		t.Errorf("an adapter that is not there: %+v", a)
	}
}
