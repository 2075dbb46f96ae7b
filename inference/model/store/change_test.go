package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lineside/inference/model/bundle"
	"lineside/inference/model/gguf"
	"lineside/inference/model/modeltest"
	"lineside/inference/model/store"
)

// TestLead lends the link to another model, and takes it back when a daemon that lent it
// is gone.
func TestLead(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	one := install(t, s, made(t, "one", 100, nil))
	two := install(t, s, made(t, "two", 100, nil))
	activate(t, s, "one")
	leads := func(want store.Item) {
		t.Helper()
		got, err := filepath.EvalSymlinks(filepath.Join(dir, store.ActiveLink))
		if real, _ := filepath.EvalSymlinks(want.Path); err != nil || got != real {
			t.Errorf("the link leads to %s, not to %s: %v", got, want.Manifest.Name, err)
		}
		if a, err := s.Active(); err != nil || a.ID != one.ID {
			t.Errorf("active is %s, %v", a.Manifest.Name, err)
		}
	}
	lead := func(name string) {
		t.Helper()
		if err := s.Lead(name); err != nil {
			t.Fatal(err)
		}
	}
	lead("two")
	leads(two)
	lead("")
	leads(one)
	serve := func() {
		t.Helper()
		stop, err := s.Serve()
		if err != nil {
			t.Fatal(err)
		}
		stop()
	}
	lead("two")
	serve()
	leads(one)
	if swap, err := s.LastSwap(); err != nil || swap.ID != one.ID || !swap.OK {
		t.Errorf("a smaller model for hard times counts as a change: %+v, %v", swap, err)
	}
	if _, err := s.Propose("two"); err != nil {
		t.Fatal(err)
	}
	lead("two")
	s = open(t, dir, nil) // after a power cut
	leads(two)
	serve()
	leads(one)
	if _, err := s.Proposed(); !errors.Is(err, store.ErrNoModel) {
		t.Error("what took the board down is tried again")
	}
	if swap, err := s.LastSwap(); err != nil || swap.OK || !strings.Contains(swap.Why, "went down") {
		t.Errorf("%+v, %v", swap, err)
	}
}

func TestProposal(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	install(t, s, made(t, "one", 100, nil))
	two := install(t, s, made(t, "two", 100, nil))
	activate(t, s, "one")
	if s.Served() {
		t.Error("served without a daemon")
	}
	stop, err := s.Serve()
	if err != nil {
		t.Fatal(err)
	}
	if !s.Served() {
		t.Error("not served with one")
	}
	if _, err := s.Serve(); err == nil {
		t.Error("two daemons serve")
	}
	if _, err := s.Propose("two"); err != nil {
		t.Fatal(err)
	}
	p, err := s.Proposed()
	if err != nil || p.ID != two.ID || running(t, s) != "one" {
		t.Errorf("proposed %s, %v", p.ID, err)
	}
	if err := s.Reject(p.ID, "no answer to the warm-up"); err != nil {
		t.Fatal(err)
	}
	swap, err := s.LastSwap()
	if err != nil || swap.OK || swap.Why != "no answer to the warm-up" || running(t, s) != "one" {
		t.Errorf("%+v, %v", swap, err)
	}
	if _, err := s.Proposed(); !errors.Is(err, store.ErrNoModel) {
		t.Errorf("still proposed: %v", err)
	}
	if _, err := s.Propose("two"); err != nil {
		t.Fatal(err)
	}
	activate(t, s, "two")
	if _, err := s.Proposed(); !errors.Is(err, store.ErrNoModel) || running(t, s) != "two" {
		t.Errorf("%v", err)
	}
	if err := s.SetFallback("one"); err != nil {
		t.Fatal(err)
	}
	if f, err := s.Fallback(); err != nil || f.Manifest.Name != "one" {
		t.Errorf("fallback %s, %v", f.Manifest.Name, err)
	}
	if _, err := s.Remove("one"); !errors.Is(err, store.ErrInUse) {
		t.Errorf("removed the fallback: %v", err)
	}
	stop()
	if s.Served() {
		t.Error("served after the daemon stopped")
	}
}

func TestAdapterBelongsToItsBase(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	base := modeltest.Small(t, nil)
	var l gguf.Layout
	l.Set("general.architecture", "llama")
	l.Set("general.type", "adapter")
	l.Set("adapter.type", "lora")
	l.Add("blk.0.attn_q.weight.lora_a", gguf.F32, 32, 4)
	l.Add("blk.0.attn_q.weight.lora_b", gguf.F32, 4, 32)
	lora := filepath.Join(t.TempDir(), "lora.gguf")
	f, err := os.Create(lora)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.WriteTo(f, modeltest.Zeros); err != nil {
		t.Fatal(err)
	}
	f.Close()
	mine := install(t, s, made(t, "base", 100, func(b *bundle.Source) { b.Weights = base }))
	other := install(t, s, made(t, "other", 100, nil))
	install(t, s, made(t, "tuned", 100, func(b *bundle.Source) { b.Weights, b.Base = lora, base }))
	if i, err := s.Adapter("tuned", mine); err != nil || i.Manifest.Name != "tuned" {
		t.Errorf("%v", err)
	}
	if list, err := s.Adapters(mine); err != nil || len(list) != 1 || list[0].Manifest.Name != "tuned" {
		t.Errorf("%v, %v", list, err)
	}
	if list, err := s.Adapters(other); err != nil || len(list) != 0 {
		t.Errorf("of another model: %v, %v", list, err)
	}
	if _, err := s.Adapter("tuned", other); err == nil || !strings.Contains(err.Error(), "other weights") {
		t.Errorf("on another base: %v", err)
	}
	if _, err := s.Adapter("other", mine); err == nil {
		t.Error("a model passed for an adapter")
	}
	if _, err := s.Activate("tuned"); err == nil || !strings.Contains(err.Error(), "adapter") {
		t.Errorf("activated an adapter: %v", err)
	}
}
