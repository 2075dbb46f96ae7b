package admission

import (
	"fmt"
	"testing"
	"time"

	"lineside/daemon/governor"
	"lineside/mqtt"
)

func TestRates(t *testing.T) {
	start := time.Unix(1000, 0)
	r := NewRates(60) // one a second, 15 at once
	for i := range 15 {
		if v := r.Take("a", start); !v.OK() {
			t.Fatalf("ask %d of the burst: %+v", i, v)
		}
	}
	v := r.Take("a", start)
	if v.Code != mqtt.RateLimited || v.Retry != time.Second {
		t.Errorf("after the burst: %+v, want 15 and a second", v)
	}
	if v := r.Take("b", start); !v.OK() {
		t.Errorf("another client pays for it: %+v", v)
	}
	if v := r.Take("a", start.Add(-time.Hour)); v.OK() {
		t.Error("a clock that went back gives asks away")
	}
	if v := r.Take("a", start.Add(v.Retry)); !v.OK() {
		t.Errorf("coming back when told: %+v", v)
	}
}

func TestRatesStayBounded(t *testing.T) {
	r := NewRates(60)
	for i := range 3 * maxClients {
		r.Take(fmt.Sprint(i), time.Unix(1000, int64(i)))
	}
	if len(r.buckets) > maxClients {
		t.Errorf("%d buckets, at most %d", len(r.buckets), maxClients)
	}
}

func TestLeft(t *testing.T) {
	const s = time.Second
	limits := Times{Default: 60 * s, Max: 600 * s}
	for _, tt := range []struct {
		name                         string
		skill, asked, expiry, waited time.Duration
		want                         time.Duration
	}{
		{"default", 0, 0, 0, 0, 60 * s},
		{"skill", 20 * s, 0, 0, 0, 20 * s},
		{"ask before skill", 20 * s, 5 * s, 0, 0, 5 * s},
		{"cut to the maximum", 0, 3600 * s, 0, 0, 600 * s},
		{"expiry counts too", 0, 0, 10 * s, 0, 10 * s},
		{"expiry is never longer", 0, 5 * s, 10 * s, 0, 5 * s},
		{"waited", 0, 0, 0, 20 * s, 40 * s},
		{"waited too long", 0, 5 * s, 0, 20 * s, -15 * s},
		{"the broker counts the expiry itself", 0, 0, 10 * s, 3600 * s, 10 * s},
	} {
		l := limits
		l.Skill, l.Asked, l.Expiry, l.Waited = tt.skill, tt.asked, tt.expiry, tt.waited
		if got := l.Left(); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestBoard(t *testing.T) {
	fit := Board{Ready: true, Climate: governor.Decision{Admit: true}}
	with := func(change func(*Board)) Board { b := fit; change(&b); return b }
	for _, tt := range []struct {
		name       string
		board      Board
		any, model mqtt.Code
	}{
		{"fit", fit, mqtt.OK, mqtt.OK},
		{"draining", with(func(b *Board) { b.Draining = true }), mqtt.Draining, mqtt.Draining},
		{"audit", with(func(b *Board) { b.Blocked = "audit" }), mqtt.NotReady, mqtt.NotReady},
		{"loading", with(func(b *Board) { b.Ready = false }), mqtt.OK, mqtt.NotReady},
		{"hot", with(func(b *Board) { b.Climate = governor.Decision{TooHot: true} }), mqtt.OK, mqtt.TooHot},
		{"memory", with(func(b *Board) { b.Climate = governor.Decision{LowMemory: true} }), mqtt.OK, mqtt.LowMemory},
		{"sensors lost", with(func(b *Board) { b.Climate = governor.Decision{Fault: true} }), mqtt.OK, mqtt.Fault},
		{"no sample yet", with(func(b *Board) { b.Climate = governor.Decision{} }), mqtt.OK, mqtt.TooHot},
	} {
		if got := tt.board.Any(); got.Code != tt.any {
			t.Errorf("%s, any ask: %v, want %v", tt.name, got.Code, tt.any)
		}
		got := tt.board.Model()
		if got.Code != tt.model {
			t.Errorf("%s, model ask: %v, want %v", tt.name, got.Code, tt.model)
		}
		if got.Code.Retry() && got.Retry < time.Second {
			t.Errorf("%s: no time to come back", tt.name)
		}
	}
}

// TestQueued takes in what can wait until the engine has started, and nothing else.
func TestQueued(t *testing.T) {
	start := Board{Starting: true, ReadyIn: 5 * time.Second, Climate: governor.Decision{Admit: true}}
	with := func(change func(*Board)) Board { b := start; change(&b); return b }
	for _, tt := range []struct {
		name  string
		board Board
		left  time.Duration
		want  mqtt.Code
	}{
		{"starting", start, time.Minute, mqtt.OK},
		{"starting, no time", start, 5 * time.Second, mqtt.NotReady},
		{"starting, nothing known", with(func(b *Board) { b.ReadyIn = 0 }), time.Second, mqtt.NotReady},
		{"starting, audit", with(func(b *Board) { b.Blocked = "audit" }), time.Minute, mqtt.NotReady},
		{"starting, hot", with(func(b *Board) { b.Climate = governor.Decision{TooHot: true} }), time.Minute, mqtt.TooHot},
		{"failed", with(func(b *Board) { b.Starting = false }), time.Minute, mqtt.NotReady},
		{"fit", with(func(b *Board) { b.Ready, b.Starting = true, false }), time.Millisecond, mqtt.OK},
	} {
		if got := tt.board.Queued(tt.left); got.Code != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got.Code, tt.want)
		}
	}
}

func TestBacklog(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	var b Backlog
	waited := func(ms int, want time.Duration) {
		t.Helper()
		if got := b.Waited(at(ms)); got != want {
			t.Errorf("at %d ms: waited %s, want %s", ms, got, want)
		}
	}
	waited(0, 0)
	b.Down(at(1000))
	b.Down(at(3000))            // a connect that failed does not count anew
	waited(9000, 8*time.Second) // the backlog comes before the bus says that it is up
	b.Up(at(9010))
	waited(9050, 8050*time.Millisecond)
	waited(9095, 8095*time.Millisecond)
	waited(9300, 0) // after a pause, what comes is new
	waited(9301, 0)
	b.Down(at(10000))
	b.Up(at(11000))
	for ms := 11000; ms <= 12000; ms += 40 {
		b.Waited(at(ms))
	}
	waited(12040, 0) // a busy plant never pauses
	b.Down(at(20000))
	b.Up(at(21000))
	b.Down(at(60000)) // nothing came in between
	b.Up(at(60500))
	waited(60510, 510*time.Millisecond)
}
