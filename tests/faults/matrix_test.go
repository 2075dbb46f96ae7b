package faults

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lineside/mqtt"
	"lineside/mqtt/mqtttest"
	"lineside/mqtt/wire"
)

// outage is how long the network is cut. -outage 30s is the plant's case (make
// faults); the default is what a test's patience bears.
var outage = flag.Duration("outage", 3*time.Second, "how long the network is cut")

// fault is what breaks. strike leaves everything running again, or returns how to
// mend what is broken once the asks are answered.
type fault struct {
	name   string
	disk   bool // store and audit are on a small disk
	strike func(w *world) (mend func())
}

var faults = []fault{
	{name: "kill daemon", strike: func(w *world) func() { w.kill(); w.daemon(); return nil }},
	{name: "kill engine", strike: func(w *world) func() { w.killEngine(); return nil }},
	{name: "kill broker", strike: func(w *world) func() { w.broker.Kill(); w.broker.Start(); return nil }},
	{name: "cut network", strike: func(w *world) func() { w.proxy.Cut(); time.Sleep(*outage); w.proxy.Mend(); return nil }},
	{name: "disk full", disk: true, strike: func(w *world) func() {
		filler := filepath.Join(w.disk, "filler")
		if err := fill(filler); err != nil {
			w.t.Fatal(err)
		}
		return func() {
			if err := os.Remove(filler); err != nil {
				w.t.Fatal(err)
			}
		}
	}},
}

// Stages of an ask at which a part breaks.
const (
	before     = "before admission"
	queued     = "queued"
	generating = "generating"
	published  = "published, not acknowledged"
)

// stages bring asks to a stage and hold them there; several may be reached at once.
// What they hold with the proxy is released after the fault.
var stages = []func(w *world) map[string][]string{
	func(w *world) map[string][]string { // at the broker, which the board does not hear
		w.proxy.Hold()
		return map[string][]string{before: w.asks("before", 6, 2)}
	},
	func(w *world) map[string][]string { // both slots at work, the others behind them
		run := w.streams("generating", 2, 50)
		wait := w.asks("queued", 6, 5)
		w.accepted(wait)
		w.generating(run)
		return map[string][]string{generating: run, queued: wait}
	},
	func(w *world) map[string][]string { // the device has the answers, the board does not know
		ids := w.asks("published", 4, 20)
		w.accepted(ids)
		w.proxy.Hold()
		w.answered(ids)
		return map[string][]string{published: ids}
	},
}

// counts are the cells of the matrix.
type counts struct {
	mu    sync.Mutex
	lines []string
}

func (c *counts) add(version, fault, stage string, y mqtttest.Tally, again int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, fmt.Sprintf("%-6s %-12s %-28s %5d %9d %8d %11d %8d %6d  %v",
		version, fault, stage, y.Asked, y.Answered, len(y.Missing), len(y.Conflicts), y.Duplicates, again, y.Codes))
}

func (c *counts) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.Sort(c.lines)
	return fmt.Sprintf("network cut for %s\n%-6s %-12s %-28s %5s %9s %8s %11s %8s %6s  %s\n%s", *outage,
		"mqtt", "fault", "stage", "asked", "answered", "missing", "conflicting", "repeated", "again", "codes", strings.Join(c.lines, "\n"))
}

// TestFaultMatrix breaks each part at each stage, on both protocols, and prints what
// came of every ask. "again" counts asks that their device had to repeat, which only
// a broker may cause that is killed before it has written what it had confirmed.
func TestFaultMatrix(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute: run without -short")
	}
	var table counts
	t.Cleanup(func() { t.Log(table.String()) })
	for _, version := range []string{wire.Version5, wire.Version311} {
		for _, f := range faults {
			t.Run(version+"/"+f.name, func(t *testing.T) {
				t.Parallel()
				w := prepare(t, version, "good.gguf", "")
				if f.disk {
					w.disk = w.smallDisk()
				}
				w.daemon()
				for _, reach := range stages {
					w.state(mqtt.StateReady)
					cells := reach(w)
					mend := f.strike(w)
					w.proxy.Release()
					for stage, ids := range cells {
						y, again := w.settle(ids)
						table.add(version, f.name, stage, y, again)
						w.judge(f.name, stage, ids, y, again)
					}
					if mend != nil {
						mend()
					}
				}
				w.state(mqtt.StateReady)
				if said, err := os.ReadFile(w.log.Name()); f.disk && !strings.Contains(string(said), "the store does not take asks") {
					t.Errorf("the disk was full and the store did not say so (%v)", err)
				}
			})
		}
	}
}

// judge holds one cell to the promise.
func (w *world) judge(fault, stage string, ids []string, y mqtttest.Tally, again int) {
	w.t.Helper()
	if len(y.Missing) > 0 || len(y.Conflicts) > 0 {
		w.t.Errorf("%s: missing %v, more than one answer to %v", stage, y.Missing, y.Conflicts)
	}
	if again > 0 && fault != "kill broker" {
		w.t.Errorf("%s: %d answers came only when asked for again", stage, again)
	}
	for _, id := range ids {
		a := w.client.Answers(id)
		switch {
		case len(a) == 0:
		case a[0].Code == mqtt.OK && !strings.HasPrefix(a[0].Text, id):
			w.t.Errorf("%s: %s got another's answer: %q", stage, id, a[0].Text)
		case a[0].Code == mqtt.NotReady && stage == before && a[0].RetryMS > 0 && (fault == "kill engine" || fault == "kill daemon"):
			// It came while there was no engine: refused, with a time to come back.
		case a[0].Code != mqtt.OK:
			w.t.Errorf("%s: %s ended with %d %s", stage, id, a[0].Code, a[0].Text)
		}
	}
}

// streams sends n prompts whose answers come in chunks.
func (w *world) streams(name string, n, words int) []string {
	return w.ask(name, n, words, `,"stream":true`)
}

// generating waits until the engine is at work on every ask.
func (w *world) generating(ids []string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, id := range ids {
		_, err := w.client.Message(ctx, "llm/v1/reply/plc/b03/chunk", func(m wire.Message) bool {
			return strings.Contains(string(m.Payload), fmt.Sprintf("%q", id))
		})
		if err != nil {
			w.t.Fatalf("%s is not generating: %v", id, err)
		}
	}
}

// answered waits until the device has every answer.
func (w *world) answered(ids []string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, id := range ids {
		if _, err := w.client.Answer(ctx, id); err != nil {
			w.t.Fatal(err)
		}
	}
}
