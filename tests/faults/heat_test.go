package faults

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lineside/hw/hwtest"
	"lineside/mqtt"
)

// onBoard starts a world on a Pi 5 made of files.
func onBoard(t *testing.T) (w *world, root string, b hwtest.Board) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes long: run without -short")
	}
	t.Parallel()
	root, b = t.TempDir(), hwtest.Pi5()
	if err := b.Write(root); err != nil {
		t.Fatal(err)
	}
	w = start(t, "5", "good.gguf", fmt.Sprintf("[hw]\nroot = %q\nsample_every = \"500ms\"\n[leds]\nkind = \"led\"\nlamps = { status = \"sysfs:ACT\" }\n", root))
	w.state(mqtt.StateReady)
	return w, root, b
}

// set changes the board as a script's step does.
func set(t *testing.T, root, path, content string) {
	t.Helper()
	s := hwtest.Script{Name: t.Name(), Steps: []hwtest.Step{{Set: map[string]string{path: content}}}}
	if err := s.Apply(root, -1, 0); err != nil {
		t.Fatal(err)
	}
}

// led waits until the LED's files say so.
func led(t *testing.T, root, trigger, pattern string) {
	t.Helper()
	read := func(file string) string {
		b, _ := os.ReadFile(filepath.Join(root, "sys/class/leds/ACT", file))
		return strings.TrimSpace(string(b))
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 600 {
		if read("trigger") == trigger && strings.HasPrefix(read("pattern"), pattern) {
			return
		}
		<-tick.C
	}
	t.Fatalf("the LED shows trigger %q, pattern %q; want %q, %q", read("trigger"), read("pattern"), trigger, pattern)
}

// flashes is the start of the kernel's pattern for n flashes and a pause.
func flashes(n int) string {
	return strings.Repeat("255 200 255 0 0 300 0 0 ", n-1) + "255 200 255 0 0 1500 0 0"
}

// answer asks once and returns what came.
func (w *world) answer(name string) mqtt.Answer {
	w.t.Helper()
	ids := w.asks(name, 1, 1)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	a, err := w.client.Answer(ctx, ids[0])
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// rungs are the throttle events so far, in order.
func (w *world) rungs() (all []string) {
	for _, m := range w.client.Messages() {
		if m.Topic != "llm/v1/b03/event" {
			continue
		}
		var e mqtt.Event
		if mqtt.Decode(m.Payload, &e) == nil && e.Event == mqtt.EventThrottle {
			all = append(all, fmt.Sprint(e.Data["rung"]))
		}
	}
	return all
}

// TestHeat warms the board up: slower first, then refusing with a time to come
// back, with the lamp and the status saying why, and back again.
func TestHeat(t *testing.T) {
	w, root, b := onBoard(t)
	led(t, root, "oneshot", "") // the good beat
	if a := w.answer("cool"); a.Code != mqtt.OK {
		t.Fatalf("cool: %+v", a)
	}
	set(t, root, b.Temp, "78600\n")
	led(t, root, "pattern", flashes(3)) // out of specification
	w.throttled("threads")
	w.throttled("pace")
	if a := w.answer("warm"); a.Code != mqtt.OK {
		t.Errorf("warm, below the limit: %+v", a)
	}
	set(t, root, b.Temp, "81000\n")
	w.throttled("abort")
	w.state(mqtt.StateDegraded)
	if a := w.answer("hot"); a.Code != mqtt.TooHot || a.RetryMS < 1000 {
		t.Errorf("hot: %+v", a)
	}
	set(t, root, b.Temp, "50000\n")
	w.served("cooled")
	if got := w.rungs(); len(got) > 10 {
		t.Errorf("it flaps: %v", got)
	}
}

// throttled waits for the event of a rung.
func (w *world) throttled(rung string) {
	w.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 600 {
		if slices.Contains(w.rungs(), rung) {
			return
		}
		<-tick.C
	}
	w.t.Fatalf("rung %s was not reached: %v", rung, w.rungs())
}

// served asks until it is answered, for at most 20 s.
func (w *world) served(name string) {
	w.t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for i := range 100 {
		if a := w.answer(fmt.Sprint(name, i)); a.Code == mqtt.OK {
			return
		}
		<-tick.C
	}
	w.t.Errorf("%s: still refused after 20 s", name)
}

// TestSensorsLost: a board that cannot tell its heat takes no new work.
func TestSensorsLost(t *testing.T) {
	w, root, b := onBoard(t)
	if err := os.Remove(filepath.Join(root, b.Temp)); err != nil {
		t.Fatal(err)
	}
	led(t, root, "pattern", flashes(5)) // failure
	if s := w.state(mqtt.StateDegraded); !strings.Contains(s.Why, "no temperature can be read") {
		t.Errorf("status: %+v", s)
	}
	if a := w.answer("blind"); a.Code != mqtt.Fault {
		t.Errorf("blind: %+v", a)
	}
	set(t, root, b.Temp, "50000\n")
	w.served("sees")
}

// TestMemorySqueezed: the board refuses before the kernel kills.
func TestMemorySqueezed(t *testing.T) {
	w, root, b := onBoard(t)
	full := b.Files["proc/meminfo"]
	set(t, root, "proc/meminfo", "MemTotal: 8245812 kB\nMemAvailable: 150000 kB\n")
	w.state(mqtt.StateDegraded)
	if a := w.answer("squeezed"); a.Code != mqtt.LowMemory || a.RetryMS == 0 {
		t.Errorf("squeezed: %+v", a)
	}
	set(t, root, "proc/meminfo", full)
	w.state(mqtt.StateReady)
	if a := w.answer("free"); a.Code != mqtt.OK {
		t.Errorf("free again: %+v", a)
	}
}

// TestUndervoltageShows: lamp and status say that the supply is too weak, and work goes on slowly.
func TestUndervoltageShows(t *testing.T) {
	w, root, b := onBoard(t)
	set(t, root, b.Throttled, "50005\n")
	led(t, root, "pattern", flashes(3))
	w.why("supply")
	if a := w.answer("weak"); a.Code != mqtt.OK {
		t.Errorf("a weak supply slows down, it does not refuse: %+v", a)
	}
}

// why waits for a status with these words, which is ready all the same.
func (w *world) why(words string) {
	w.t.Helper()
	w.statusOf("b03", func(s mqtt.Status) bool { return s.State == mqtt.StateReady && strings.Contains(s.Why, words) })
}

// TestFanStops: a fan that is driven and stands still is for the technician, not for the clients.
func TestFanStops(t *testing.T) {
	w, root, b := onBoard(t)
	set(t, root, b.Fan, "0\n")
	led(t, root, "pattern", flashes(2)) // maintenance required
	w.why("fan pwmfan does not turn")
	if a := w.answer("without a fan"); a.Code != mqtt.OK {
		t.Errorf("%+v", a)
	}
	set(t, root, b.Fan, "2900\n")
	led(t, root, "oneshot", "")
	w.statusOf("b03", func(s mqtt.Status) bool { return s.State == mqtt.StateReady && s.Why == "" })
}
