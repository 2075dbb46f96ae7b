package daemon

import (
	"testing"
	"testing/synctest"
	"time"

	"lineside/inference"
	"lineside/mqtt"
)

// child is an engine's process that runs.
type child struct{}

func (child) Down() (string, time.Duration) { return "", 0 }
func (child) Restart(string)                {}

// TestAsksWaitForTheEngine has asks that find the engine starting wait for it, if their
// deadline leaves time and it does not take too long.
func TestAsksWaitForTheEngine(t *testing.T) {
	loading := inference.Health{State: "loading"}
	for _, tt := range []struct {
		name   string
		health inference.Health
		err    error
		mine   bool // the engine is started here
		waited time.Duration
		more   string
		code   mqtt.Code
	}{
		{"loading", loading, nil, false, time.Second, "", mqtt.OK},
		{"its process has just been started", inference.Health{}, unavailable(), true, time.Second, "", mqtt.OK},
		{"no time to wait", loading, nil, true, time.Second, `,"deadline_ms":5000`, mqtt.NotReady},
		{"loading for long", loading, nil, true, 2 * time.Minute, "", mqtt.NotReady},
		{"failed", inference.Health{State: "failed", Why: "truncated"}, nil, true, time.Second, "", mqtt.NotReady},
		{"nobody knows whether there is one", inference.Health{}, unavailable(), false, time.Second, "", mqtt.NotReady},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t, func(o *Options) {
					e := o.Engine.(*engine)
					e.health, e.err = tt.health, tt.err
					if tt.mine {
						o.Child = child{}
					}
				})
				after(tt.waited)
				h.send(topics.AskText("plc"), prompt("1", tt.more))
				after(time.Second)
				if n := len(h.answers("plc")["1"]); (n == 0) != (tt.code == mqtt.OK) {
					t.Errorf("%d answers while the engine starts", n)
				}
				if h.bus.pool {
					t.Error("the board takes from its pools before it can answer")
				}
				h.engine.set(inference.Health{State: "ok", Model: "scripted"}, nil)
				after(10 * time.Second)
				if a := h.one("plc", "1"); a.Code != tt.code || a.Code == mqtt.NotReady && a.RetryMS == 0 {
					t.Errorf("%+v", a)
				}
				h.stop()
			})
		})
	}
}
