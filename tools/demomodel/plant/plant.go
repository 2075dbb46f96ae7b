// Package plant is a made-up bottling plant: two lines of machines, what their
// alarms mean, what their set points are, and how an alarm is rated. It is all
// that the demo model knows, and it is the truth that its answers are held to.
//
// It knows nothing of phrasings, tokens or models, and no real plant is in it.
package plant

import (
	"fmt"
	"strings"
)

// Alarm is one line of the plant's alarm list.
type Alarm struct {
	Code      string // E and three digits; the first digit is the machine
	Title     string
	Unit      string // of the reading that raises the alarm
	Limit     string // in Unit, where the alarm is raised
	Component string
	Cause     string
	Check     string // what to do about it
	Action    string // one of Actions, the same in one word
	Class     int    // 0 a nuisance, 1 costs output, 2 a danger
}

// Machine is the kind of machine that raises the alarm.
func (a Alarm) Machine() string { return Machines[a.Code[1]-'0'] }

// Find returns the alarm of a code, and false where the plant has none.
func Find(code string) (Alarm, bool) {
	for _, a := range Alarms {
		if a.Code == code {
			return a, true
		}
	}
	return Alarm{}, false
}

// Explain is the right answer about a code; value is the reading as it was
// sent, or empty.
func Explain(code, value string) string {
	a, ok := Find(code)
	if !ok {
		return fmt.Sprintf("I don't know alarm %s. It is not in this plant's list: look in the machine's manual or call maintenance.", code)
	}
	reading := ""
	if value != "" {
		reading = fmt.Sprintf(" Reading %s %s, limit %s %s.", value, a.Unit, a.Limit, a.Unit)
	}
	return fmt.Sprintf("%s, %s: %s.%s Likely cause: %s. Check: %s.", code, a.Machine(), a.Title, reading, a.Cause, a.Check)
}

// NotMine is the answer to everything that is not about the plant.
const NotMine = "I don't know that. I am a small demonstration model and know only this plant's alarms, set points and shift log."

// WhoAmI is the answer to questions about the model itself.
const WhoAmI = "I am the demonstration model of Lineside. I know the alarms and set points of a made-up bottling plant; for real work install Llama 3.2."

// Severities, from harmless to dangerous, with the minutes within which
// somebody must act.
var Severities = [4]string{"low", "medium", "high", "critical"}

var minutes = [4]int{480, 120, 30, 0}

// Actions of a triage. The last one is for what is critical.
var Actions = []string{"clean", "refill", "adjust", "replace", "inspect", "reset", "stop_line"}

// Readings come with an alarm that is to be rated.
type Readings struct {
	Temperature int // °C, of the bearing or motor
	Vibration   int // tenths of mm/s
	Load        int // % of the drive's rating
}

// Bands rates each reading 0 good, 1 raised, 2 bad: the temperature at 60 and
// 80 °C, the vibration at 4 and 7 mm/s, the load at 90 and 110 %.
func (r Readings) Bands() [3]int {
	band := func(v, raised, bad int) int {
		switch {
		case v >= bad:
			return 2
		case v >= raised:
			return 1
		}
		return 0
	}
	return [3]int{band(r.Temperature, 60, 80), band(r.Vibration, 40, 70), band(r.Load, 90, 110)}
}

// Verdict is the rating of an alarm. Its JSON form is the triage skill's answer.
type Verdict struct {
	Severity  string `json:"severity"`
	Action    string `json:"action"`
	Component string `json:"component"`
	Minutes   int    `json:"minutes"` // within which somebody must act
}

// Triage rates an alarm: its class, raised by the worst of the readings. A code
// that the plant does not have is rated as class 1, to inspect.
func Triage(code string, r Readings) Verdict {
	a, ok := Find(code)
	if !ok {
		a = Alarm{Component: "unknown", Action: "inspect", Class: 1}
	}
	b := r.Bands()
	level := min(a.Class+max(b[0], b[1], b[2]), len(Severities)-1)
	v := Verdict{Severities[level], a.Action, a.Component, minutes[level]}
	if level == len(Severities)-1 {
		v.Action = "stop_line"
	}
	return v
}

// Components are the names that a verdict may carry, each once, in the order
// of the alarm list.
func Components() []string {
	var all []string
	seen := map[string]bool{}
	for _, a := range Alarms {
		if !seen[a.Component] {
			seen[a.Component] = true
			all = append(all, a.Component)
		}
	}
	return append(all, "unknown")
}

// Entry is a line of the shift log with its parts. Its JSON form is the extract
// skill's answer.
type Entry struct {
	Line    int    `json:"line"`
	Machine string `json:"machine"`
	Code    string `json:"code"`    // "none" where the log names none
	Minutes int    `json:"minutes"` // of standstill
	Reason  string `json:"reason"`  // in the writer's own words
}

// SetPoint is a value that a machine of one line is to be run at.
type SetPoint struct {
	Machine string // with its line: "filler 2"
	Name    string
	Value   string // with its unit
}

// Answer is the right answer about a set point.
func (s SetPoint) Answer() string {
	return fmt.Sprintf("The set point for %s of %s is %s.", s.Name, s.Machine, s.Value)
}

// settings are the set points by machine: name, line 1, line 2, unit.
var settings = strings.TrimSpace(`
depalletizer|lift speed|18|22|m/min
depalletizer|gripper pressure|5.0|5.4|bar
rinser|rinse pressure|2.6|2.9|bar
rinser|water temperature|62|65|°C
filler|speed|24000|36000|bottles/h
filler|bowl pressure|1.8|2.1|bar
filler|fill level|500|330|ml
capper|torque|1.8|1.6|Nm
capper|head height|214|187|mm
labeler|glue temperature|155|148|°C
labeler|web tension|28|32|N
inspector|lamp level|620|580|lux
inspector|reject delay|84|61|ms
packer|hot melt temperature|178|182|°C
packer|carton weight|13.2|9.4|kg
palletizer|film stretch|220|240|%
palletizer|turntable speed|12|14|rpm
conveyor|belt speed|32|45|m/min
conveyor|motor current|6.2|7.1|A
utilities|air pressure|6.4|6.8|bar
utilities|cooling water|16|14|°C
`)

// SetPoints are those of both lines.
func SetPoints() []SetPoint {
	var all []SetPoint
	for row := range strings.Lines(settings) {
		f := strings.Split(strings.TrimSpace(row), "|")
		for line := range 2 {
			all = append(all, SetPoint{fmt.Sprintf("%s %d", f[0], line+1), f[1], f[2+line] + " " + f[4]})
		}
	}
	return all
}
