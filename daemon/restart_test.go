package daemon

import (
	"testing"
	"testing/synctest"
	"time"

	"lineside/daemon/store"
	"lineside/mqtt"
)

// TestStoreAcrossRestart kills nothing: it stops the first daemon while the bus
// is away, so that everything must come back from disk.
func TestStoreAcrossRestart(t *testing.T) {
	dir := t.TempDir()
	b := &bus{}
	lives := func(run func(h *house)) {
		synctest.Test(t, func(t *testing.T) {
			s, err := store.Open(dir, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			h := open(t, func(o *Options) { o.Store, o.Bus = s, b })
			h.bus = b
			run(h)
			h.stop()
		})
	}
	lives(func(h *house) {
		h.send(topics.AskText("plc"), prompt("done"))
		after(time.Second)
		h.one("plc", "done")
		h.send(topics.AskSkill("plc", "alarm"), `{"id":"canned","args":{"code":"E00"}}`)
		after(time.Second)
		h.one("plc", "canned")
		b.set(true)
		h.Up(false)
		h.send(topics.AskText("plc"), prompt("undelivered"))
		after(time.Second)
		if h.acked("undelivered") != 1 {
			t.Error("the broker did not hear that the ask is safe")
		}
	})
	b.set(false)
	lives(func(h *house) {
		after(time.Second)
		if a := h.one("plc", "undelivered"); a.Code != mqtt.OK {
			t.Errorf("%+v", a)
		}
		h.send(topics.AskText("plc"), prompt("done"))
		after(time.Second)
		if all := h.answers("plc")["done"]; len(all) != 2 || !all[1].Replay {
			t.Errorf("asked again after the restart: %+v", all)
		}
		h.send(topics.AskSkill("plc", "alarm"), `{"id":"canned","args":{"code":"E00"}}`)
		h.send(topics.AskSkill("plc", "alarm"), `{"id":"canned","args":{"code":"E42"}}`)
		after(time.Second)
		all := h.answers("plc")["canned"]
		if len(all) != 3 {
			t.Fatalf("a canned ask again after the restart: %+v", all)
		}
		for _, a := range all[1:] {
			if a.Code != mqtt.IDConflict && (!a.Replay || a.Text != all[0].Text) {
				t.Errorf("a canned ask again after the restart: %+v", a)
			}
		}
	})
}
