// Package lamp is the one state machine behind the LEDs, the MQTT status and
// the journal: conditions come and go, the worst one is what the board says, in
// the categories of NAMUR NE 107. It is pure: time arrives in the events.
//
// It never touches a device, never publishes and never logs; it says what to
// show, publish and log.
package lamp

import (
	"log/slog"
	"time"
)

// Category is what the board says at a glance, mildest first.
type Category uint8

// Categories: NE 107's five, with two more for a board that is well.
const (
	Good          Category = iota // ready and idle; its beat is driven by real progress
	Busy                          // answering
	Starting                      // not ready yet
	Maintenance                   // NE 107 maintenance required: still well, needs care soon
	OutOfSpec                     // NE 107 out of specification: works below its limits
	FunctionCheck                 // NE 107 function check: someone is working on it
	Failure                       // NE 107 failure: no answers
	categories
)

func (c Category) String() string { return table[c].name }

// Condition is one thing that can be the matter.
type Condition uint8

// Conditions. conditionTable has their categories and words.
const (
	None          Condition = iota // nothing: an event with it lets time pass
	IsBusy                         // answering an ask
	IsStarting                     // the engine is loading the model
	ClockUnset                     // no time source has set the clock
	DiskReadOnly                   // a file system with Lineside's data takes no writes
	DiskFilling                    // little space left
	AuditFull                      // the audit log cannot be written, and asks are answered all the same
	StorageWorn                    // the flash device reports wear
	SupplyWasLow                   // undervoltage since boot
	FanStopped                     // a fan is driven but does not turn
	LicenceDue                     // a licence does not cover what a skill is for
	ConfigWrong                    // lineside.toml on the card is wrong; the one before is in use
	UpdateFailed                   // an update did not hold; the version before runs
	TooHot                         // refusing for heat
	LowMemory                      // refusing for memory
	SupplyLow                      // undervoltage now
	Slowed                         // the firmware slows the board down
	SensorLost                     // some sensors do not answer
	Slower                         // working more slowly, to stay below the limits
	Draining                       // an operator drains it
	LampTest                       // an operator tests the lamps
	Updating                       // an update is being installed
	ModelChanging                  // another model is being tried
	BrokerLost                     // no connection to the MQTT broker
	EngineDown                     // the engine does not run
	ModelBad                       // the model file cannot be used
	NoSensors                      // no temperature can be read
	NoAudit                        // the audit log cannot be written, and nothing may be answered without it
	Fault                          // anything else that stops answers
	ConfigMissing                  // the card has no good lineside.toml and never had
	conditions
)

// MQTT states, as the status topic says them.
const (
	MQTTStarting = "starting"
	MQTTReady    = "ready"
	MQTTDegraded = "degraded" // asks are refused with a code
	MQTTDraining = "draining"
)

type conditionInfo struct {
	id       string
	category Category
	why      string // what the status says where the event has no words of its own
	do       string // what a technician does about it, on the card
}

var conditionTable = [conditions]conditionInfo{
	IsBusy:        {"busy", Busy, "answering", ""},
	IsStarting:    {"starting", Starting, "loading the model", "Wait. Loading takes up to a minute."},
	ClockUnset:    {"clock_unset", Maintenance, "the clock is not set", "Check the time server in the configuration."},
	DiskReadOnly:  {"disk_read_only", Maintenance, "the disk is read-only", "Restart. If it comes back, plan a new card or module."},
	DiskFilling:   {"disk_filling", Maintenance, "the disk is nearly full", "Remove old models or audit files."},
	AuditFull:     {"audit_full", Maintenance, "the audit log cannot be written", "Free space for the audit log."},
	StorageWorn:   {"storage_worn", Maintenance, "the storage is worn", "Plan a new card or module."},
	SupplyWasLow:  {"supply_was_low", Maintenance, "the supply was too weak since start", "Check the power supply and its cable."},
	FanStopped:    {"fan_stopped", Maintenance, "the fan does not turn", "Clean or replace the fan."},
	LicenceDue:    {"licence_due", Maintenance, "a licence does not cover a skill", "Accept it (lineside model accept), or drop the skill."},
	ConfigWrong:   {"config_wrong", Maintenance, "the card's lineside.toml is wrong", "Read STATUS.txt on the card."},
	UpdateFailed:  {"update_failed", Maintenance, "an update did not hold", "Run lineside image slots on the board."},
	TooHot:        {"too_hot", OutOfSpec, "too hot", "Check the cabinet's cooling. It recovers by itself."},
	LowMemory:     {"low_memory", OutOfSpec, "too little memory", "Stop other programs. It recovers by itself."},
	SupplyLow:     {"supply_low", OutOfSpec, "the supply is too weak", "Check the power supply and its cable."},
	Slowed:        {"slowed", OutOfSpec, "the board slows itself down", "Check cooling and power supply."},
	SensorLost:    {"sensor_lost", OutOfSpec, "a sensor does not answer", "Run lineside hw."},
	Slower:        {"slower", OutOfSpec, "working more slowly to stay cool", "Check the cabinet's cooling. It recovers by itself."},
	Draining:      {"draining", FunctionCheck, "draining", "Nothing: someone is at work. Asks are refused."},
	LampTest:      {"lamp_test", FunctionCheck, "lamp test", "Nothing."},
	Updating:      {"updating", FunctionCheck, "installing an update", "Do not switch off."},
	ModelChanging: {"model_changing", FunctionCheck, "changing the model", "Wait. The old model comes back if the new one fails."},
	BrokerLost:    {"broker_lost", Failure, "no connection to the MQTT broker", "Check the network cable and the broker."},
	EngineDown:    {"engine_down", Failure, "the engine does not run", "Run lineside doctor."},
	ModelBad:      {"model_bad", Failure, "the model cannot be used", "Run lineside doctor."},
	NoSensors:     {"no_sensors", Failure, "no temperature can be read", "Run lineside hw. Work stops to be safe."},
	NoAudit:       {"no_audit", Failure, "no answers: the audit log cannot be written", "Free space for the audit log."},
	Fault:         {"fault", Failure, "fault", "Run lineside doctor; read the journal."},
	ConfigMissing: {"config_missing", Failure, "there is no configuration", "Read STATUS.txt on the card."},
}

// ID names the condition in events and in the journal: "too_hot".
func (c Condition) ID() string { return conditionTable[c].id }

// Why is the condition in words.
func (c Condition) Why() string { return conditionTable[c].why }

// Do is what a technician does about the condition.
func (c Condition) Do() string { return conditionTable[c].do }

// Category of the condition.
func (c Condition) Category() Category { return conditionTable[c].category }

// Event says that a condition holds or no longer holds. One with None is a tick: it
// only lets time pass.
type Event struct {
	At        time.Time
	Condition Condition
	Active    bool
	Why       string // in words; empty takes the condition's own
}

// holds: how long a category stays on show at least, so that nothing flickers.
const (
	holdMild  = time.Second
	holdGrave = 5 * time.Second
)

type entry struct {
	active bool
	why    string
	since  time.Time
}

// State is the machine between events. The zero State is Good.
type State struct {
	entries [conditions]entry
	shown   Signal
}

// Signal is what the board says.
type Signal struct {
	Category  Category
	Condition Condition // the gravest and oldest one; meaningless where Category is Good
	Why       string    // empty where Good
	Since     time.Time // when this signal began
}

// Next takes one event and returns the new state; State.Signal is what to show.
// A graver signal shows at once, a milder one after the hold of the one before.
func Next(s State, e Event) State {
	if e.Condition != None && e.Condition < conditions {
		en := &s.entries[e.Condition]
		switch {
		case e.Active && !en.active:
			*en = entry{active: true, why: e.Why, since: e.At}
		case e.Active:
			en.why = e.Why
		default:
			*en = entry{}
		}
	}
	want := s.worst(e.At)
	same := want.Category == s.shown.Category && want.Condition == s.shown.Condition
	switch {
	case same:
		s.shown.Why = want.Why
	case want.Category >= s.shown.Category, e.At.Sub(s.shown.Since) >= hold(s.shown.Category):
		s.shown = want
	}
	if s.shown.Since.IsZero() {
		s.shown.Since = e.At
	}
	return s
}

func hold(c Category) time.Duration {
	if c >= Maintenance {
		return holdGrave
	}
	return holdMild
}

// worst finds the gravest condition, the oldest among equals.
func (s *State) worst(at time.Time) Signal {
	w := Signal{Category: Good, Since: at}
	var since time.Time
	for c := range conditions {
		e := &s.entries[c]
		if !e.active {
			continue
		}
		cat := c.Category()
		if cat > w.Category || cat == w.Category && e.since.Before(since) {
			since = e.since
			w.Category, w.Condition, w.Why = cat, c, e.why
			if w.Why == "" {
				w.Why = conditionTable[c].why
			}
		}
	}
	return w
}

// Signal is what the board says now.
func (s *State) Signal() Signal { return s.shown }

// Active reports whether a condition holds.
func (s *State) Active(c Condition) bool { return s.entries[c].active }

// MQTT is the state and the reason for the status topic. A board that is only
// slower, or needs care, is ready and says why.
func (s *State) MQTT() (state, why string) {
	g := s.shown
	switch {
	case g.Category == FunctionCheck && s.entries[Draining].active:
		return MQTTDraining, s.word(Draining)
	case g.Condition.refuses():
		return MQTTDegraded, g.Why
	case s.entries[Draining].active:
		return MQTTDraining, s.word(Draining)
	}
	if c := s.refusing(); c != None {
		return MQTTDegraded, s.word(c)
	}
	switch {
	case s.entries[IsStarting].active:
		return MQTTStarting, s.word(IsStarting)
	case g.Category <= Starting:
		return MQTTReady, ""
	}
	return MQTTReady, g.Why
}

// refusing is the gravest condition under which asks are refused; None where none is.
func (s *State) refusing() Condition {
	worst := None
	for c := range conditions {
		if s.entries[c].active && c.refuses() && (worst == None || c.Category() > worst.Category()) {
			worst = c
		}
	}
	return worst
}

// refuses reports whether asks for the model are refused while the condition holds.
func (c Condition) refuses() bool {
	return c == TooHot || c == LowMemory || c.Category() == Failure
}

// Conditions are the IDs of all that is the matter from maintenance required upwards,
// gravest first.
func (s *State) Conditions() []string {
	var ids []string
	for cat := Failure; cat >= Maintenance; cat-- {
		for c := range conditions {
			if s.entries[c].active && c.Category() == cat {
				ids = append(ids, c.ID())
			}
		}
	}
	return ids
}

func (s *State) word(c Condition) string {
	if w := s.entries[c].why; w != "" {
		return w
	}
	return conditionTable[c].why
}

// Level is how loud the journal should say the signal.
func (g Signal) Level() slog.Level {
	switch g.Category {
	case Failure:
		return slog.LevelError
	case OutOfSpec, Maintenance:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}
