package daemon

import (
	"context"
	"time"

	"lineside/daemon/lamp"
	"lineside/mqtt"
)

// Notice is something that the board's own system reports from outside the daemon: an
// update, or what became of the card's configuration.
type Notice struct {
	Name      string // one of a kind at a time
	Condition string // lamp.Condition's ID; empty: only an event
	Why       string
}

// noticeConditions may come from outside, with the event that tells of each.
var noticeConditions = map[lamp.Condition]string{
	lamp.Updating:      mqtt.EventUpdate,
	lamp.UpdateFailed:  mqtt.EventUpdate,
	lamp.ConfigWrong:   mqtt.EventConfig,
	lamp.ConfigMissing: mqtt.EventConfig,
}

const noticesEvery = 2 * time.Second

// watchNotices shows what the board's system reports, and tells each once.
func (d *Daemon) watchNotices(ctx context.Context) error {
	t := time.NewTicker(noticesEvery)
	defer t.Stop()
	var was map[string]Notice
	for {
		was = d.notices(was, d.Notices())
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// notices brings lamp and events from what was known to what is reported now.
func (d *Daemon) notices(was map[string]Notice, now []Notice) map[string]Notice {
	is := map[string]Notice{}
	active := map[lamp.Condition]string{}
	for _, n := range now {
		is[n.Name] = n
		event := mqtt.EventUpdate
		for c, e := range noticeConditions {
			if c.ID() == n.Condition {
				active[c], event = n.Why, e
			}
		}
		if was[n.Name] != n {
			d.event(event, n.Why, "", nil)
		}
	}
	for c := range noticeConditions {
		why, on := active[c]
		d.condition(c, on, why)
	}
	return is
}
