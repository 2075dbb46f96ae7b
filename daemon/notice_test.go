package daemon

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lineside/mqtt"
)

// TestNotices shows what the board's system reports on status, health and events, each once.
func TestNotices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var now []Notice
		set := func(n ...Notice) { mu.Lock(); defer mu.Unlock(); now = n }
		set(Notice{"config", "config_missing", "STATUS.txt says what to mend"})
		h := open(t, func(o *Options) {
			o.Notices = func() []Notice { mu.Lock(); defer mu.Unlock(); return now }
		})
		after(10 * time.Second)
		if s := h.status(); s.State != mqtt.StateDegraded || s.Why != "STATUS.txt says what to mend" {
			t.Errorf("status %+v", s)
		}
		set(Notice{"update", "updating", "slot B is being tried"}, Notice{"strange", "too_hot", "from outside"})
		after(10 * time.Second)
		if s := h.status(); s.State != mqtt.StateReady {
			t.Errorf("a condition that may not come from outside shows, or an old one stays: %+v", s)
		}
		set(Notice{"update", "", "slot B is kept"})
		after(10 * time.Second)
		events := h.bus.on(topics.Event())
		for want, n := range map[string]int{`"event":"config"`: 1, `slot B is being tried`: 1, `slot B is kept`: 1, `"event":"update"`: 3} {
			if got := strings.Count(strings.Join(events, "\n"), want); got != n {
				t.Errorf("%d events with %s, want %d: %v", got, want, n, events)
			}
		}
		h.stop()
	})
}
