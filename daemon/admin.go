package daemon

import (
	"slices"

	"lineside/daemon/lamp"
	"lineside/mqtt"
)

// admin does an operator's verb and answers it. Who is no operator is denied.
func (d *Daemon) admin(payload []byte, to mqtt.Address) {
	req, refusal := mqtt.ParseAdmin(payload)
	ans := mqtt.AdminAnswer{V: mqtt.Version, ID: req.ID, Board: d.Topics.Board, Verb: to.Verb, Text: "done"}
	switch {
	case !slices.Contains(d.Config.MQTT.Operators, to.Client):
		ans.Code, ans.Text = mqtt.Denied, "this operator may not: mqtt.operators of the board lists who may"
		d.event(mqtt.EventDenied, "admin verb "+to.Verb, to.Client, nil)
	case refusal != nil:
		ans.ID, ans.Code, ans.Text = refusal.ID, refusal.Code, refusal.Text
	default:
		ans.Code, ans.Text = d.verb(to.Verb, req.Model)
	}
	ans.Status, ans.Stamps = ans.Code.String(), d.stamps()
	d.Log.Info("admin", "operator", to.Client, "verb", to.Verb, "code", int(ans.Code))
	d.send(delivery{to: d.Topics.AdminReply(to.Client), payload: encode(ans)})
}

// verb does what an operator wants.
func (d *Daemon) verb(verb, model string) (mqtt.Code, string) {
	switch verb {
	case "drain", "resume":
		d.Drain(verb == "drain")
		return mqtt.OK, "done"
	case "reload":
		nudge(d.skills)
		return mqtt.OK, "the skills are being read again"
	case "update":
		if d.Update == nil {
			return mqtt.BadRequest, "this board is not updated over MQTT: it does not run from a Lineside card"
		}
		if err := d.Update(); err != nil {
			return mqtt.Fault, "the update could not be asked for: " + err.Error()
		}
		return mqtt.OK, "the board looks for an update on its USB stick: events tell how it goes"
	case "use-model":
		switch {
		case d.UseModel == nil:
			return mqtt.BadRequest, "this board's model cannot be changed: engine.model names one file"
		case model == "":
			return mqtt.BadRequest, "the field \"model\" is missing: name a model that is on the board"
		}
		if err := d.UseModel(model); err != nil {
			return mqtt.Denied, err.Error()
		}
		return mqtt.OK, "the model is being changed: the info topic tells when it has"
	}
	return mqtt.BadRequest, "unknown verb: drain, resume, reload, use-model and update are known"
}

// Signal is what the lights say now.
func (d *Daemon) Signal() lamp.Signal {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lamp.Signal()
}

// Draining reports whether asks are refused by an operator's wish.
func (d *Daemon) Draining() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lamp.Active(lamp.Draining)
}

// Drain stops the taking in of asks, or takes them in again. What was taken in is
// still answered.
func (d *Daemon) Drain(on bool) {
	d.mu.Lock()
	d.board.Draining = on
	d.mu.Unlock()
	d.condition(lamp.Draining, on, "an operator drains the board")
	why := "asks are taken in again"
	if on {
		why = "asks are refused until an operator resumes"
	}
	d.event(mqtt.EventDrain, why, "", nil)
}

// Reload reads the skills again, as SIGHUP asks for, then has more read what is not
// the daemon's own. The service manager hears when it begins and when it is done,
// but not before it has heard that the board is ready at all.
func (d *Daemon) Reload(more func()) {
	told := d.Notifier != nil && d.told.Load()
	if told {
		d.tell(d.Notifier.Reloading())
	}
	if err := d.scanSkills(); err != nil {
		d.Log.Warn("skills stay as they are", "err", err)
	}
	more()
	if told {
		d.tell(d.Notifier.Ready())
	}
}

// LampTest says that somebody tests the lamps, until it is told that the test is over.
func (d *Daemon) LampTest(on bool) { d.condition(lamp.LampTest, on, "") }
