package daemon

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lineside/daemon/audit"
	"lineside/daemon/lamp"
	"lineside/daemon/skill"
	"lineside/hw"
	"lineside/inference"
	"lineside/inference/model/licence"
	"lineside/mqtt"
)

// sensor is a board with one thermal zone.
type sensor struct {
	mu   sync.Mutex
	temp float64
	free float64 // bytes of memory; 0: 4 GB
}

func (s *sensor) set(t float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.temp = t
}

func (s *sensor) Sample(dst *hw.Sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	dst.At = time.Now()
	free := s.free
	if free == 0 {
		free = 4e9
	}
	dst.Readings = []hw.Reading{
		{Kind: hw.Temperature, Name: "cpu-thermal", Value: s.temp, High: 80, Crit: 90, At: dst.At, Quality: hw.Good},
		{Kind: hw.Memory, Name: "available", Value: free, At: dst.At, Quality: hw.Good},
		{Kind: hw.Memory, Name: "total", Value: 8e9, At: dst.At, Quality: hw.Good},
	}
}

func TestHeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sensor{temp: 50}
		h := open(t, func(o *Options) { o.Sensor = s })
		blocked(h)
		after(5 * time.Second)
		h.send(topics.AskText("plc"), prompt("running"))
		after(time.Second)
		s.set(95)
		after(10 * time.Second)
		h.send(topics.AskText("plc"), prompt("refused"))
		h.send(topics.AskSkill("plc", "alarm"), `{"id":"canned","args":{"code":"E00"}}`)
		after(time.Second)
		for _, id := range []string{"running", "refused"} {
			if a := h.one("plc", id); a.Code != mqtt.TooHot || a.RetryMS == 0 || !strings.Contains(a.Text, "cpu-thermal") {
				t.Errorf("%s: %+v", id, a)
			}
		}
		if a := h.one("plc", "canned"); a.Code != mqtt.OK {
			t.Errorf("canned: %+v", a)
		}
		if s := h.status(); s.State != mqtt.StateDegraded || h.bus.pool {
			t.Errorf("status %+v, in the pool: %v", s, h.bus.pool)
		}
		if e := h.bus.on(topics.Event()); len(e) == 0 || !strings.Contains(strings.Join(e, ""), `"throttle"`) {
			t.Errorf("events: %v", e)
		}
		if p := h.bus.on(topics.Health()); !strings.Contains(p[len(p)-1], `"temperature/cpu-thermal":{"value":95`) {
			t.Errorf("health: %s", p[len(p)-1])
		} else if !strings.Contains(p[len(p)-1], `"lamp":"out-of-specification","conditions":["too_hot",`) {
			t.Errorf("health does not say what is the matter: %s", p[len(p)-1])
		}
		h.stop()
	})
}

// dog is a service manager that counts.
type dog struct {
	mu                             sync.Mutex
	ready, reloading, fed, stopped int
	status                         string
}

func (d *dog) count(n *int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	*n++
	return nil
}
func (d *dog) Ready() error                 { return d.count(&d.ready) }
func (d *dog) Reloading() error             { return d.count(&d.reloading) }
func (d *dog) Stopping() error              { return d.count(&d.stopped) }
func (d *dog) Watchdog() error              { return d.count(&d.fed) }
func (d *dog) WatchdogEvery() time.Duration { return 10 * time.Second }
func (d *dog) Status(line string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status = line
	return nil
}

func TestWatchdogFollowsRealProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &dog{}
		h := open(t, func(o *Options) { o.Notifier = n })
		after(time.Minute)
		if n.ready != 1 || n.fed < 6 || n.status != "ready" {
			t.Errorf("after a minute: %+v", n)
		}
		hang := make(chan struct{})
		h.engine.Step = func(context.Context) error { <-hang; return nil } // deaf to the deadline
		h.send(topics.AskText("plc"), prompt("1", `,"deadline_ms":5000`))
		after(time.Minute)
		fed := n.fed
		after(time.Minute)
		if n.fed != fed {
			t.Error("the watchdog is fed although a worker hangs")
		}
		close(hang)
		after(time.Second)
		h.stop()
		if n.stopped != 1 {
			t.Errorf("STOPPING was said %d times", n.stopped)
		}
	})
}

// slowLight is a lamp that takes its time, as one does whose files udev has yet to open.
type slowLight struct{ shown, beats atomic.Int32 }

func (l *slowLight) Show(hw.Pattern) error {
	time.Sleep(2 * time.Second)
	l.shown.Add(1)
	return nil
}

func (l *slowLight) Beat() error {
	l.beats.Add(1)
	return nil
}

// TestNothingWaitsForTheLight: neither READY nor an answer.
func TestNothingWaitsForTheLight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, l := &dog{}, &slowLight{}
		h := open(t, func(o *Options) { o.Notifier, o.Light = n, l })
		after(time.Second)
		if n.ready != 1 || h.status().State != mqtt.StateReady {
			t.Errorf("a second after the start: READY %d times, %+v", n.ready, h.status())
		}
		after(time.Minute)
		if l.shown.Load() == 0 || l.beats.Load() < 2 {
			t.Errorf("shown %d times, %d beats in a minute", l.shown.Load(), l.beats.Load())
		}
		h.stop()
	})
}

// TestReloadIsTold: RELOADING stands between two READYs, and a board that has no
// broker yet does not become ready by being told to reload.
func TestReloadIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &dog{}
		h := open(t, func(o *Options) { o.Notifier = n })
		h.Reload(func() {
			if n.ready != 1 || n.reloading != 1 {
				t.Errorf("while it reads: %d ready, %d reloading", n.ready, n.reloading)
			}
		})
		if n.ready != 2 {
			t.Errorf("READY was said %d times, want again after the reload", n.ready)
		}
		h.stop()
	})
	n := &dog{}
	d, err := New(Options{Topics: topics, Bus: &bus{}, Engine: &engine{}, Skills: skill.NewLibrary(t.TempDir()), Log: slog.New(slog.DiscardHandler), Notifier: n})
	if err != nil {
		t.Fatal(err)
	}
	d.Reload(func() {})
	if n.ready+n.reloading != 0 {
		t.Errorf("without a broker: %+v", n)
	}
}

// full is an audit log whose disk takes nothing.
type full struct {
	mu  sync.Mutex
	err error
}

func (f *full) Append(audit.Entry) error { return f.Err() }

func (f *full) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func (f *full) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

// TestAuditFull: a board that may answer without its record needs care, one that may not
// is at fault; both are well again when the disk is.
func TestAuditFull(t *testing.T) {
	for name, tt := range map[string]struct {
		required bool
		code     mqtt.Code
		shown    lamp.Condition
		state    string
	}{
		"needs care": {false, mqtt.OK, lamp.AuditFull, mqtt.StateReady},
		"required":   {true, mqtt.NotReady, lamp.NoAudit, mqtt.StateDegraded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				disk := &full{err: errors.New("no space left on device")}
				h := open(t, func(o *Options) {
					o.Audit = disk
					o.Config.Audit.Required = tt.required
				})
				canned := topics.AskSkill("plc", "alarm")
				h.send(canned, `{"id":"1","args":{"code":"E00"}}`)
				h.send(canned, `{"id":"2","args":{"code":"E00"}}`)
				after(time.Second)
				if a := h.one("plc", "2"); a.Code != tt.code {
					t.Errorf("%+v, want code %d", a, tt.code)
				}
				if e := h.bus.on(topics.Event()); len(e) != 1 || !strings.Contains(e[0], `"audit_full"`) {
					t.Errorf("events: %v", e)
				}
				after(10 * time.Second)
				if g, s := h.Signal(), h.status(); g.Condition != tt.shown || s.State != tt.state || !strings.Contains(s.Why, "no space left") {
					t.Errorf("%+v, status %+v", g, s)
				}
				disk.set(nil)
				after(30 * time.Second)
				h.send(canned, `{"id":"3","args":{"code":"E00"}}`)
				after(10 * time.Second)
				if a := h.one("plc", "3"); a.Code != mqtt.OK {
					t.Errorf("with room again: %+v", a)
				}
				if g, s := h.Signal(), h.status(); g.Category != lamp.Good || s.State != mqtt.StateReady || s.Why != "" {
					t.Errorf("with room again: %+v, status %+v", g, s)
				}
				h.stop()
			})
		})
	}
}

func TestLicence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, func(o *Options) {
			o.Permit = func(c licence.Class, _ string) error {
				if c == licence.General {
					return errors.New("site.class: not accepted for general")
				}
				return nil
			}
		})
		h.send(topics.AskText("plc"), prompt("1"))
		h.send(topics.AskSkill("plc", "alarm"), `{"id":"2","args":{"code":"E42"}}`)
		after(time.Second)
		if a := h.one("plc", "1"); a.Code != mqtt.Denied || !strings.Contains(a.Text, "site.class") {
			t.Errorf("%+v", a)
		}
		if a := h.one("plc", "2"); a.Code != mqtt.OK {
			t.Errorf("%+v", a)
		}
		h.stop()
	})
}

// TestLicenceDue tells of a skill that the licence refuses, until the owner has accepted it.
func TestLicenceDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var accepted atomic.Bool
		h := open(t, func(o *Options) {
			o.Permit = func(c licence.Class, _ string) error {
				if c == licence.Lookup && !accepted.Load() {
					return &licence.Refusal{Licence: licence.Llama32, Why: "not accepted for lookup"}
				}
				return nil
			}
		})
		after(10 * time.Second)
		if g, s := h.Signal(), h.status(); g.Condition != lamp.LicenceDue || s.State != mqtt.StateReady || !strings.Contains(s.Why, "skill alarm: refused by licence") {
			t.Errorf("%+v, status %+v", g, s)
		}
		accepted.Store(true)
		after(10 * time.Second)
		if g, s := h.Signal(), h.status(); g.Category != lamp.Good || s.Why != "" {
			t.Errorf("after the acceptance: %+v, status %+v", g, s)
		}
		h.stop()
	})
}

// TestEngineReasons gives what the engine refuses its code.
func TestEngineReasons(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code mqtt.Code
	}{
		{&inference.TooLongError{Prompt: 5000, Answer: 256, Context: 4096}, mqtt.TooLarge},
		{inference.ErrUnsupported, mqtt.BadRequest},
		{inference.ErrSchema, mqtt.SchemaFailed},
		{errors.New("ggml: something"), mqtt.Internal},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := open(t, nil)
			h.engine.fail = []error{tt.err}
			h.send(topics.AskText("plc"), prompt("1"))
			after(time.Second)
			a := h.one("plc", "1")
			if a.Code != tt.code || strings.Contains(a.Text, "ggml") {
				t.Errorf("%v: %+v", tt.err, a)
			}
			h.stop()
		})
	}
}

func TestSkillsReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, nil)
		after(time.Second)
		if c := h.bus.on(topics.Skill("alarm")); len(c) == 0 || !strings.Contains(c[0], `"version":3`) {
			t.Errorf("card: %v", c)
		}
		if i := h.bus.on(topics.Info()); !strings.Contains(i[len(i)-1], `{"name":"alarm","version":3}`) {
			t.Errorf("info: %v", i)
		}
		if h.engine.pinned != 1 {
			t.Errorf("%d prefixes were pinned, want the skill's", h.engine.pinned)
		}
		h.stop()
	})
}
