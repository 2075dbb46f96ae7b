package daemon

import (
	"time"

	"lineside/daemon/audit"
	"lineside/daemon/lamp"
	"lineside/mqtt"
)

// audit records an ask with its answer. Asks that came too often are counted
// only, so that a flood cannot push the record of others out.
func (d *Daemon) audit(a *ask, o outcome, ans mqtt.Answer, now time.Time) {
	if d.Audit == nil || o.code == mqtt.RateLimited {
		return
	}
	ans.V, ans.Advisory, ans.Status = mqtt.Version, true, ans.Code.String()
	d.auditIs(d.Audit.Append(audit.Entry{At: now, Client: a.to.Client, Topic: a.topic, Ask: a.payload, Answer: ans}))
}

// unrecorded is what the board says while the audit cannot be written: it needs care, or
// refuses where the configuration wants every ask recorded.
func (d *Daemon) unrecorded() lamp.Condition {
	if d.Config.Audit.Required {
		return lamp.NoAudit
	}
	return lamp.AuditFull
}

// auditIs shows whether the audit can be written, and lets nothing in without
// it where the configuration says so.
func (d *Daemon) auditIs(err error) {
	why, blocked, shown := "", "", d.unrecorded()
	if err != nil {
		why = "the audit log cannot be written"
		if shown == lamp.NoAudit {
			why += ", and this board does not answer without it"
			blocked = why
		}
		why += ": " + err.Error()
	}
	d.mu.Lock()
	was := d.lamp.Active(shown)
	d.board.Blocked = blocked
	d.show(shown, err != nil, why)
	d.mu.Unlock()
	if err != nil && !was {
		d.event(mqtt.EventAuditFull, why, "", nil)
	}
}

// auditAgain looks whether the disk takes lines again.
func (d *Daemon) auditAgain() {
	d.mu.Lock()
	bad := d.lamp.Active(d.unrecorded())
	d.mu.Unlock()
	if bad {
		d.auditIs(d.Audit.Err())
	}
}
