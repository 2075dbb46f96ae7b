package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"lineside/daemon/lamp"
	"lineside/daemon/swap"
	"lineside/inference"
	"lineside/inference/model/licence"
	"lineside/mqtt"
)

const (
	controlEvery = 250 * time.Millisecond // to look at deadlines and the board's state
	healthEvery  = 10 * time.Second       // between two health messages
	infoEvery    = time.Minute            // between two infos and skill cards, whose figures change slowly
	overrun      = 30 * time.Second       // past its deadline, an ask means that a worker hangs
)

// control is the daemon's heart: deadlines in the queue, the state that is
// shown and published, the retained topics after a reconnect, the watchdog.
func (d *Daemon) control(ctx context.Context) error {
	t := time.NewTicker(controlEvery)
	defer t.Stop()
	var health, info, dog, beat time.Time
	var clock wallClock
	for {
		fresh := false
		select {
		case <-ctx.Done():
			return nil
		case <-d.up:
			fresh = true
		case <-d.tick:
		case <-t.C:
		}
		now := time.Now()
		if by := clock.set(now); by != 0 {
			d.Log.Warn("the clock was set: stamps move, deadlines do not", "by", by)
		}
		d.overdue(now)
		d.auditAgain()
		alive := d.alive(now)
		if !d.connected() {
			d.refresh(ctx, now, false)
		} else {
			if d.Notifier != nil && d.told.CompareAndSwap(false, true) {
				d.tell(d.Notifier.Ready())
			}
			if d.refresh(ctx, now, fresh) && d.Notifier != nil {
				d.tell(d.Notifier.Status(d.line()))
			}
			if fresh || now.Sub(info) >= infoEvery {
				info = now
				d.publishInfo(ctx)
				d.publishCards(ctx)
			}
			if fresh || now.Sub(health) >= healthEvery {
				health = now
				d.publishHealth(ctx, now)
			}
		}
		if now.Sub(beat) >= lamp.BeatEvery && alive {
			beat = now
			nudge(d.beat)
		}
		if d.Notifier != nil && d.Notifier.WatchdogEvery() > 0 && now.Sub(dog) >= d.Notifier.WatchdogEvery()/2 && alive {
			dog = now
			d.tell(d.Notifier.Watchdog())
		}
	}
}

// overdue answers asks whose deadline comes while they wait.
func (d *Daemon) overdue(now time.Time) {
	d.mu.Lock()
	late := d.queue.Overdue(now)
	d.mu.Unlock()
	for _, it := range late {
		d.end(it.Value, outcome{code: mqtt.Deadline, text: "the deadline came while the ask waited for its turn", finish: mqtt.FinishDeadline,
			ms: mqtt.Timings{Queue: now.Sub(it.Value.arrived).Milliseconds()}})
	}
}

// alive reports, and shows, whether the workers make progress: every running ask ends
// by its deadline, so one that is far past it means a hang that only a restart mends.
func (d *Daemon) alive(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	hangs := false
	for _, a := range d.asks {
		hangs = hangs || a.cancel != nil && now.Sub(a.deadline) > overrun
	}
	d.show(lamp.Fault, hangs, "an ask is far past its deadline: the program hangs and is being started again")
	return !hangs
}

// Up says that the connection to the broker is up, or gone.
func (d *Daemon) Up(up bool) {
	d.mu.Lock()
	was := closed(d.isUp)
	if up {
		d.backlog.Up(time.Now())
	} else {
		d.backlog.Down(time.Now())
	}
	switch {
	case up && !was:
		close(d.isUp)
	case !up && was:
		d.isUp = make(chan struct{})
	}
	d.mu.Unlock()
	d.condition(lamp.BrokerLost, !up, "")
	if up {
		nudge(d.up)
	}
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (d *Daemon) connected() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return closed(d.isUp)
}

// condition says that something is or is no longer the matter.
func (d *Daemon) condition(c lamp.Condition, active bool, why string) {
	d.mu.Lock()
	d.show(c, active, why)
	d.mu.Unlock()
	nudge(d.tick)
}

// show is condition with d.mu held, or before anything runs.
func (d *Daemon) show(c lamp.Condition, active bool, why string) {
	e := lamp.Event{At: time.Now(), Condition: c, Active: active, Why: why}
	if was := d.lamp.Active(c); active || was {
		if active != was && c.Category() >= lamp.Maintenance {
			d.journal(c, active, why)
		}
		d.lamp = lamp.Next(d.lamp, e)
	}
	if c != lamp.BrokerLost && (active || d.voice.Active(c)) { // who reads the status has a connection
		d.voice = lamp.Next(d.voice, e)
	}
}

// journal notes that something is or is no longer the matter, and what to do about it.
func (d *Daemon) journal(c lamp.Condition, active bool, why string) {
	if !active {
		d.Log.Info("no longer the matter", "condition", c.ID())
		return
	}
	if why == "" {
		why = c.Why()
	}
	d.Log.Log(context.Background(), lamp.Signal{Category: c.Category()}.Level(), "the matter", "condition", c.ID(), "why", why, "do", c.Do())
}

// telling is what the last status was published for.
type telling struct {
	condition lamp.Condition
	at        time.Time
}

// wordsEvery is the least time between two statuses that differ in their words only: a
// temperature in them changes with every sample.
const wordsEvery = 30 * time.Second

// news reports whether a status is worth publishing. d.mu is held.
func (d *Daemon) news(state, why string, c lamp.Condition, now time.Time) bool {
	was := d.status
	switch {
	case state != was.State, (why == "") != (was.Why == ""), why != "" && c != d.voiced.condition:
		return true
	}
	return why != was.Why && now.Sub(d.voiced.at) >= wordsEvery
}

// refresh shows and publishes the state where it changed, or always with force. It
// reports whether it did.
func (d *Daemon) refresh(ctx context.Context, now time.Time, force bool) bool {
	d.mu.Lock()
	d.lamp = lamp.Next(d.lamp, lamp.Event{At: now})
	d.voice = lamp.Next(d.voice, lamp.Event{At: now})
	state, why := d.voice.MQTT()
	about := d.voice.Signal().Condition
	took := d.takes()
	changed := force || d.news(state, why, about, now)
	d.mu.Unlock()
	nudge(d.shine)
	if !d.connected() {
		return false
	}
	if err := d.Bus.JoinPools(ctx, took); err != nil { // does nothing where nothing changes
		d.Log.Warn("the pools do not hear of the board's state", "err", err)
	}
	if !changed || !d.publishStatus(ctx, state, why) {
		return false
	}
	d.mu.Lock()
	d.voiced = telling{about, now}
	d.mu.Unlock()
	return true
}

// takes reports whether the board takes its share of its pools: not while it is hot,
// drained or not ready, and not from a half full queue on until that is a quarter
// full, so that it does not come and go with every ask. d.mu is held.
func (d *Daemon) takes() bool {
	room := d.Config.Limits.Queue / 2
	if !d.pooled {
		room /= 2
	}
	d.pooled = d.board.Model().OK() && d.queue.Len() < max(room, 1)
	return d.pooled
}

// line is what the service manager shows.
func (d *Daemon) line() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.status.Why == "" {
		return d.status.State
	}
	return d.status.State + ": " + d.status.Why
}

// modelID is the start of the model's hash, or its name where no hash is known.
func (d *Daemon) modelID() string {
	if d.About.Model != nil {
		if id := short(d.About.Model().SHA256); id != "" {
			return id
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.engine.Model
}

// short is as much of a hash as answers carry.
func short(sha256 string) string { return sha256[:min(len(sha256), 12)] }

// ModelChange takes in a step of a change of model: the light shows it, and an event tells
// how it ended.
func (d *Daemon) ModelChange(c swap.Change) {
	data := map[string]any{"from": c.From, "to": c.To, "smaller": c.Smaller, "gap_ms": c.Gap.Milliseconds()}
	d.mu.Lock()
	if d.changedTo = c.To; c.Phase == swap.Refused {
		d.changedTo = c.From
	}
	d.mu.Unlock()
	switch c.Phase {
	case swap.Done:
		d.event(mqtt.EventModelChanged, c.To+" answers from now on", "", data)
		nudge(d.look)
	case swap.Withdrawn:
		d.event(mqtt.EventModelChanged, c.Why, "", map[string]any{"from": c.From})
		nudge(d.look)
	case swap.Refused:
		d.event(mqtt.EventModelRefused, "the model stays as it was: "+c.Why, "", data)
	}
	d.condition(lamp.ModelChanging, c.Phase == swap.Began, "changing the model to "+c.To)
}

// Times of watching the engine.
const (
	engineEvery = time.Second
	engineFast  = 100 * time.Millisecond // while it is down or loading
	engineStall = time.Minute            // running asks without one step mean a hang
	engineStart = time.Minute            // asks wait for an engine that starts; afterwards they are told when to come back, and it counts as down
)

// watchEngine keeps the board's view of the engine up to date.
func (d *Daemon) watchEngine(ctx context.Context) error {
	w := engineWatch{}
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		case <-d.look:
		}
		d.mu.Lock()
		w.falls = d.falls
		d.mu.Unlock()
		hctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		h, err := d.Engine.Health(hctx)
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		if d.engineIs(ctx, h, err, &w) {
			t.Reset(engineEvery)
		} else {
			t.Reset(engineFast)
		}
	}
}

// engineWatch remembers what is needed to see a change.
type engineWatch struct {
	ready bool
	once  bool // it was ready before
	model string
	falls uint64 // the daemon's, when this look began
	steps uint64
	moved time.Time
	down  time.Time // since when it cannot answer; zero while it can
}

// engineIs takes in one report; true means that the engine can answer.
func (d *Daemon) engineIs(ctx context.Context, h *inference.Health, err error, w *engineWatch) bool {
	why, retry := engineWhy(h, err)
	fell := w.once || !w.down.IsZero() && time.Since(w.down) >= engineStart
	if err != nil && d.Child != nil {
		if down, restart := d.Child.Down(); down != "" {
			why, retry, fell = down, restart, true
		} else if !w.once {
			why = "the engine is starting"
		}
	}
	ready := why == ""
	loading := err == nil && h.State == "loading"
	starting := loading || err != nil && !fell
	comes := loading || starting && d.Child != nil // else nobody knows whether there is an engine at all
	switch {
	case ready:
		w.down = time.Time{}
	case w.down.IsZero():
		w.down = time.Now()
	}
	d.mu.Lock()
	if ready && w.falls != d.falls { // it answered, and ended since
		d.mu.Unlock()
		return false
	}
	if err == nil {
		d.engine = *h
	}
	back := ready && !d.board.Ready
	if back || err == nil && h.Steps < w.steps {
		d.unlimited.Store(true) // it was started anew
	}
	told := err == nil && h.Model == d.changedTo
	d.board.Ready, d.board.Why, d.board.ReadyIn = ready, why, retry
	// A change of model has a grace of its own.
	d.board.Starting = comes && !d.lamp.Active(lamp.ModelChanging) && time.Since(w.down) < engineStart
	d.show(lamp.IsStarting, starting, why)
	d.show(lamp.ModelBad, err == nil && h.State == "failed", why)
	d.show(lamp.EngineDown, err != nil && fell, why)
	d.mu.Unlock()
	if back {
		nudge(d.wake)
	}
	switch {
	case ready && (!w.ready || w.model != h.Model):
		d.Log.Info("the engine is ready", "model", h.Model, "slots", h.Slots, "ctx", h.Context)
		if w.once && w.model == h.Model {
			d.event(mqtt.EventEngineRestart, "the engine was started again", "", nil)
		} else if w.once && !told {
			d.event(mqtt.EventModelChanged, "the engine answers with another model: "+h.Model, "", nil)
		}
		w.once, w.model = true, h.Model
		go d.pin(ctx)
		nudge(d.up) // info and skill cards name the model
	case !ready && w.ready:
		d.Log.Warn("the engine cannot answer", "why", why)
	}
	w.ready = ready
	d.stalled(h, err, w)
	nudge(d.tick)
	return ready
}

// engineWhy is why the engine cannot answer; empty where it can.
func engineWhy(h *inference.Health, err error) (string, time.Duration) {
	switch {
	case errors.As(err, new(*net.OpError)):
		return "no engine answers on its socket: is lineside-engine running?", 5 * time.Second
	case err != nil:
		return "the engine does not answer: " + err.Error(), 5 * time.Second
	case h.State == "loading":
		return "the model is being loaded", 5 * time.Second
	case h.State == "failed":
		return h.Why, time.Minute
	}
	return "", 0
}

// stalled restarts an engine that has asks but computes nothing.
func (d *Daemon) stalled(h *inference.Health, err error, w *engineWatch) {
	now := time.Now()
	if err != nil || h.Running == 0 || h.Steps != w.steps || w.moved.IsZero() {
		w.moved = now
		if err == nil {
			w.steps = h.Steps
		}
		return
	}
	if now.Sub(w.moved) > engineStall && d.Child != nil {
		w.moved = now
		d.Child.Restart("it computes nothing although asks wait")
	}
}

// pin has the engine compute the skills' constant prefixes before they are asked.
func (d *Daemon) pin(ctx context.Context) {
	for _, s := range d.Skills.All() {
		if !s.Pin || s.System == "" || s.Adapter != "" { // prefixes are kept for the model alone
			continue
		}
		err := d.Engine.Pin(ctx, []inference.Message{{Role: inference.RoleSystem, Content: s.System}})
		if err != nil && ctx.Err() == nil {
			d.Log.Info("a skill's prefix is not kept ready", "skill", s.Name, "err", err)
		}
	}
}

// skillsEvery is how often the skills' folder is looked at.
const skillsEvery = 2 * time.Second

// watchSkills takes up changed skill files.
func (d *Daemon) watchSkills(ctx context.Context) error {
	t := time.NewTicker(skillsEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		case <-d.skills:
		}
		if err := d.scanSkills(); err != nil {
			d.Log.Warn("skills stay as they are", "err", err)
		}
		d.licences()
	}
}

// licences shows where a skill of the board is refused by the licence of the running model or
// of the skill's adapter: the owner has to accept it for that use, or to drop the skill.
func (d *Daemon) licences() {
	why := ""
	for _, s := range d.Skills.All() {
		if err := d.Permit(s.UseClass, s.Adapter); errors.Is(err, licence.ErrRefused) {
			why = fmt.Sprintf("skill %s: %v", s.Name, err)
			break
		}
	}
	d.condition(lamp.LicenceDue, why != "", why)
}

func (d *Daemon) scanSkills() error {
	d.scan.Lock()
	defer d.scan.Unlock()
	c, err := d.Skills.Scan()
	if err != nil {
		return err
	}
	for _, bad := range c.Bad {
		d.Log.Error("a skill file is refused; its last good version stays", "err", bad)
	}
	if len(c.Changed)+len(c.Removed) > 0 {
		d.Log.Info("skills changed", "changed", c.Changed, "removed", c.Removed)
		for _, name := range c.Removed {
			d.forgetCard(name)
		}
		nudge(d.up)
	}
	return nil
}
