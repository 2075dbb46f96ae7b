package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lineside/daemon/lamp"
	"lineside/daemon/swap"
	"lineside/inference"
	"lineside/inference/model/licence"
	"lineside/mqtt"
)

// events are those published under a name.
func (h *house) events(name string) (all []mqtt.Event) {
	h.t.Helper()
	for _, p := range h.bus.on(topics.Event()) {
		var e mqtt.Event
		if err := json.Unmarshal([]byte(p), &e); err != nil {
			h.t.Fatal(err)
		}
		if e.Event == name {
			all = append(all, e)
		}
	}
	return all
}

// TestModelChange shows a change on light, status and events, once.
func TestModelChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, nil)
		after(3 * time.Second)
		h.ModelChange(swap.Change{Phase: swap.Began, From: "one", To: "two"})
		after(time.Second)
		if s := h.Signal(); s.Category != lamp.FunctionCheck || s.Condition != lamp.ModelChanging {
			t.Errorf("the light says %+v", s)
		}
		if s := h.status(); s.State != mqtt.StateReady || !strings.Contains(s.Why, "changing the model to two") {
			t.Errorf("%+v", s)
		}
		h.engine.set(inference.Health{State: "ok", Model: "two"}, nil)
		h.ModelChange(swap.Change{Phase: swap.Done, From: "one", To: "two", Gap: 1500 * time.Millisecond})
		after(10 * time.Second)
		if s := h.Signal(); s.Category != lamp.Good {
			t.Errorf("afterwards the light says %+v", s)
		}
		changed := h.events(mqtt.EventModelChanged)
		if len(changed) != 1 || changed[0].Data["gap_ms"] != 1500.0 || changed[0].Data["to"] != "two" {
			t.Errorf("%+v", changed)
		}
		h.ModelChange(swap.Change{Phase: swap.Began, From: "two", To: "three"})
		h.ModelChange(swap.Change{Phase: swap.Refused, From: "two", To: "three", Why: "it did not answer"})
		after(10 * time.Second)
		refused := h.events(mqtt.EventModelRefused)
		if len(refused) != 1 || !strings.Contains(refused[0].Why, "it did not answer") || h.Signal().Category != lamp.Good {
			t.Errorf("%+v, %+v", refused, h.Signal())
		}
	})
}

// weighed is an engine that says whose weights answered.
type weighed struct{ *engine }

func (w weighed) Generate(ctx context.Context, r *inference.Request, emit func(string) error) (*inference.Result, error) {
	res, err := w.engine.Generate(ctx, r, emit)
	if res != nil {
		res.Weights = "00112233445566778899"
	}
	return res, err
}

// TestAnswerNamesItsModel names the model that answered, not the one that runs by now; and
// an ask that waited is held to the licence of the model that would answer it.
func TestAnswerNamesItsModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var forbidden atomic.Bool
		h := open(t, func(o *Options) {
			o.Engine = weighed{o.Engine.(*engine)}
			o.Permit = func(licence.Class) error {
				if forbidden.Load() {
					return errors.New("clause 3")
				}
				return nil
			}
		})
		h.engine.set(inference.Health{State: "loading"}, nil)
		after(3 * time.Second)
		h.engine.set(inference.Health{State: "ok", Model: "scripted"}, nil)
		after(3 * time.Second)
		block := make(chan struct{})
		h.engine.Step = func(context.Context) error { <-block; return nil }
		for _, id := range []string{"1", "2", "3"} { // two slots: the third waits
			h.send(topics.AskText("plc"), `{"id":"`+id+`","prompt":"hello"}`)
		}
		after(time.Second)
		forbidden.Store(true)
		close(block)
		after(time.Second)
		if a := h.one("plc", "1"); a.Code != mqtt.OK || a.Model != "001122334455" {
			t.Errorf("%+v", a)
		}
		if a := h.one("plc", "3"); a.Code != mqtt.Denied || !strings.Contains(a.Text, "clause 3") {
			t.Errorf("%+v", a)
		}
	})
}
