package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lineside/daemon/lamp"
	"lineside/daemon/skill"
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

// TestSkillWithAdapter has an adapter answer a skill, and says when to come back where that
// does not go with the running model.
func TestSkillWithAdapter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked, named string
		here := errors.New("plant-words was made for another model")
		h := open(t, func(o *Options) {
			o.Permit = func(_ licence.Class, adapter string) error { named = adapter; return here }
		})
		s, err := skill.Parse([]byte("name = \"w\"\nversion = 1\nprompt = \"x\"\nadapter = \"plant-words\"\n"))
		if err != nil {
			t.Fatal(err)
		}
		a := &ask{skill: s}
		if v := h.permitted(a); v.Code != mqtt.NotReady || v.Retry == 0 || named != "plant-words" || !strings.Contains(v.Text, "another model") {
			t.Errorf("%+v, asked for %q", v, named)
		}
		here = nil
		if v := h.permitted(a); !v.OK() {
			t.Errorf("%+v", v)
		}
		if asked = h.request(a, 10).Adapter; asked != "plant-words" {
			t.Errorf("the engine is asked for %q", asked)
		}
		if _, err := skill.Parse([]byte("name = \"w\"\nversion = 1\nprompt = \"x\"\nadapter = \"../x\"\n")); err == nil {
			t.Error("an adapter named like a path is taken")
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
			o.Permit = func(licence.Class, string) error {
				if forbidden.Load() {
					return fmt.Errorf("%w: clause 3", licence.ErrRefused)
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
