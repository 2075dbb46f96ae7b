package engine_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"lineside/inference"
	"lineside/inference/engine"
	"lineside/inference/engine/enginetest"
)

// TestAdapters asks a model alone and under two adapters, at once: every answer is what it
// is alone, whatever ran before, and a pinned prefix survives.
func TestAdapters(t *testing.T) {
	o := engine.Options{Slots: 4, Adapters: []string{"de", "alarms"}}
	names := []string{"", "de", "alarms"}
	request := func(i int) *inference.Request {
		r := text("You answer for line 4, and for its filler and its capper and its labeller.", fmt.Sprint("question ", i/3))
		r.Adapter, r.Client, r.Pin = names[i%3], fmt.Sprint("client ", i%5), i%2 == 0
		r.Deterministic = i%7 == 0
		return r
	}
	want := map[int]string{}
	for i := range 30 {
		h := open(t, enginetest.Config{}, o) // with nothing in its cache
		want[i] = h.ask(t, request(i)).Text
		h.stop()
	}
	if want[0] == want[1] || want[1] == want[2] {
		t.Fatalf("adapters change nothing: %q", []string{want[0], want[1], want[2]})
	}
	h := open(t, enginetest.Config{}, o)
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			if got := h.ask(t, request(i)).Text; got != want[i] {
				t.Errorf("ask %d under %q: %q, alone %q", i, names[i%3], got, want[i])
			}
		})
	}
	wg.Wait()
	h.ask(t, request(1))
	if res := h.ask(t, request(6)); res.Usage.Cached == 0 {
		t.Error("the model's pinned prefix is lost under an adapter")
	}
	r := text("", "hello")
	r.Adapter = "nosuch"
	if _, err := h.Generate(t.Context(), r, nil); !errors.Is(err, inference.ErrBadRequest) {
		t.Errorf("an adapter that is not there: %v", err)
	}
}

// plain is a runtime without adapters.
type plain struct{ engine.Runtime }

func TestAdaptersNeedAWearer(t *testing.T) {
	rt := plain{enginetest.New(voc, enginetest.Config{})}
	if _, err := engine.New(rt, voc, enginetest.Template{Voc: voc}, engine.Options{Adapters: []string{"de"}}); err == nil {
		t.Error("an engine takes adapters that its runtime does not have")
	}
}
