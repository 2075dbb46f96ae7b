package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aead.dev/minisign"

	"lineside/inference/model/bundle"
	"lineside/inference/model/demo"
	"lineside/inference/model/modeltest"
	"lineside/inference/model/shape"
	"lineside/inference/model/store"
	"lineside/mqtt"
	"lineside/mqtt/mqtttest"
)

// shelf is a board's store with the demo model, which is active, a tiny synthetic one, and
// one that every check takes but the engine does not load.
func shelf(t *testing.T, dir string) (*store.Store, minisign.PrivateKey) {
	t.Helper()
	pub, priv, err := minisign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := pub.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "owner.pub"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(filepath.Join(dir, "models"), store.Options{Keys: []minisign.PublicKey{pub}})
	if err != nil {
		t.Fatal(err)
	}
	demoFile, err := demo.Write(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	tiny := modeltest.Tiny(t, "tiny", shape.Q8_0)
	raw, err := os.ReadFile(tiny)
	if err != nil {
		t.Fatal(err)
	}
	key := []byte("attention.layer_norm_rms_epsilon") // llama.cpp does without none
	odd := bytes.Replace(raw, key, bytes.ToUpper(key), 1)
	if bytes.Equal(odd, raw) {
		t.Fatalf("the tiny model has no %s", key)
	}
	oddFile := filepath.Join(t.TempDir(), "odd.gguf")
	if err := os.WriteFile(oddFile, odd, 0o644); err != nil {
		t.Fatal(err)
	}
	put(t, s, bundle.Source{Name: "demo", Weights: demoFile, Key: priv})
	put(t, s, bundle.Source{Name: "tiny", Weights: tiny, Override: because, Key: priv})
	put(t, s, bundle.Source{Name: "odd", Weights: oddFile, Override: because, Key: priv})
	if _, err := s.Activate("demo"); err != nil {
		t.Fatal(err)
	}
	return s, priv
}

var because = &bundle.Override{Reason: "made for a test", By: "A. Muster", Date: "2026-11-24"}

// put bundles a model under our own licence and installs it.
func put(t *testing.T, s *store.Store, src bundle.Source) {
	t.Helper()
	src.Texts, src.Origin, src.Now = modeltest.Apache(t), "a test", time.Unix(100, 0)
	out := filepath.Join(t.TempDir(), src.Name)
	if _, err := bundle.Make(t.Context(), src, out); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Install(t.Context(), out, store.InstallOptions{}); err != nil {
		t.Fatal(err)
	}
}

// systemd stands in for the unit of the engine: it starts the engine on the store's link, and
// a second after it has ended again.
func systemd(t *testing.T, dir string, args ...string) {
	ctx, cancel := context.WithCancel(context.Background())
	link := filepath.Join(dir, "models", store.ActiveLink)
	var g sync.WaitGroup
	g.Go(func() {
		for ctx.Err() == nil {
			cmd := exec.CommandContext(ctx, filepath.Join(programs(t), "lineside-engine"), append([]string{
				"--model", link, "--listen", "unix:" + dir + "/e.sock", "--slots", "4"}, args...)...)
			_ = cmd.Run() // how it ends is linesided's to find out
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	})
	t.Cleanup(func() { cancel(); g.Wait() })
}

// keepAsking sends an ask every 200 ms, from before it returns until the returned function is called, which waits
// for all answers. Each must be one and good, or where there may be a gap, and it is longer
// than 10 seconds, say when to come back; longest is how long one took.
func (p *plant) keepAsking(gap bool) (stop func() (models map[string]int, longest time.Duration)) {
	ctx, cancel := context.WithCancel(p.t.Context())
	p.n++
	round := p.n
	var g sync.WaitGroup
	var ids []string
	p.t.Cleanup(func() { cancel(); g.Wait() })
	g.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			id := fmt.Sprintf("swap%d-%d", round, i)
			ids = append(ids, id)
			p.send("text", fmt.Sprintf(`{"id":%q,"prompt":"What does alarm E301 mean?","max_chars":40,"deadline_ms":120000}`, id))
		}
	})
	p.answer(fmt.Sprintf("swap%d-2", round)) // asks are under way
	return func() (map[string]int, time.Duration) {
		p.t.Helper()
		cancel()
		g.Wait()
		models, longest, later := map[string]int{}, time.Duration(0), 0
		for _, id := range ids {
			a := p.answer(id)
			if gap && a.Code == mqtt.NotReady && a.RetryMS > 0 {
				later++
				continue
			}
			if a.Code != mqtt.OK {
				p.t.Errorf("ask %s: code %d (%s)", id, a.Code, a.Text)
			}
			models[a.Model]++
			longest = max(longest, time.Duration(a.MS.Total)*time.Millisecond)
		}
		for _, id := range ids {
			if n := len(p.device.Answers(id)); n != 1 {
				p.t.Errorf("%d answers to %s", n, id)
			}
		}
		p.t.Logf("%d asks, answered by %v; the longest took %s; %d told to come back", len(ids), models, longest, later)
		return models, longest
	}
}

// event waits for the n-th event of a name.
func (p *plant) event(name string, n int) (e mqtt.Event) {
	p.t.Helper()
	ctx := p.patience()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		seen := 0
		for _, m := range p.device.Messages() {
			if !strings.HasSuffix(m.Topic, "/b03/event") {
				continue
			}
			if err := json.Unmarshal(m.Payload, &e); err != nil {
				p.t.Fatal(err)
			}
			if e.Event == name {
				if seen++; seen == n {
					return e
				}
			}
		}
		select {
		case <-ctx.Done():
			p.t.Fatalf("no event %s", name)
		case <-tick.C:
		}
	}
}

// TestSwap changes models under load, with the engines side by side, one after the other,
// and run by a service manager. No ask is lost; what does not load changes nothing.
func TestSwap(t *testing.T) {
	for _, tt := range []struct {
		name, engine string
		beside       bool
		systemd      bool
	}{
		{"beside", "spawn = true\nprogram = %q\nsocket = \"unix:%s/e.sock\"\n", true, false},
		{"one after the other", "spawn = true\nprogram = %q\nsocket = \"tcp:" + mqtttest.FreeAddr(t) + "\" # %s\n", false, false},
		{"systemd's engine", "spawn = false # %q\nsocket = \"unix:%s/e.sock\"\n", false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bin, dir := programs(t), t.TempDir()
			s, _ := shelf(t, dir)
			if tt.systemd {
				systemd(t, dir)
			}
			p := board(t, dir, fmt.Sprintf(tt.engine, filepath.Join(bin, "lineside-engine"), dir), 64)
			p.ready()
			activate := func(name string) (string, error) {
				cmd := exec.Command(filepath.Join(bin, "lineside"), "model", "activate", name,
					"--store", filepath.Join(dir, "models"), "--owner-key", filepath.Join(dir, "owner.pub"))
				out, err := cmd.CombinedOutput()
				return string(out), err
			}
			tiny, err := s.Find("tiny")
			if err != nil {
				t.Fatal(err)
			}
			p.ask("text", map[string]any{"prompt": "What does alarm E301 mean?"})
			stop := p.keepAsking(!tt.beside)
			if out, err := activate("tiny"); err != nil || !strings.Contains(out, "tiny runs") {
				t.Errorf("activate: %v %s", err, out)
			}
			e := p.event(mqtt.EventModelChanged, 1)
			models, longest := stop()
			if len(models) != 2 || models[tiny.Weights()[:12]] == 0 {
				t.Errorf("answered by %v, want both models", models)
			}
			gap, _ := e.Data["gap_ms"].(float64)
			t.Logf("gap: %.0f ms, longest ask %s", gap, longest)
			if (gap == 0) != tt.beside || e.Data["to"] != "tiny" {
				t.Errorf("%+v", e)
			}
			stop = p.keepAsking(!tt.beside)
			out, err := activate("odd")
			if err == nil || !strings.Contains(out, "the model stays as it was") {
				t.Errorf("a model that does not load: %v %s", err, out)
			}
			t.Logf("refused: %s", out)
			refused := p.event(mqtt.EventModelRefused, 1)
			gap, _ = refused.Data["gap_ms"].(float64)
			t.Logf("gap of the try: %.0f ms", gap)
			if models, _ := stop(); len(models) != 1 || models[tiny.Weights()[:12]] == 0 {
				t.Errorf("answered by %v, want tiny alone", models)
			}
			if active, err := s.Active(); err != nil || active.ID != tiny.ID {
				t.Errorf("%s is active, %v", active.Manifest.Name, err)
			}
		})
	}
}
