// Package corpus writes the asks that the demo model learns from and is judged
// by: questions about the made-up plant in very many phrasings, each with its
// one right answer. The same seed gives the same asks on every machine.
//
// What is held out never enters training: a sixth of the sentences, machines
// of one line for some alarms, bands of readings, reasons and unknown codes.
package corpus

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"strings"

	"lineside/tools/demomodel/plant"
)

// Kind is what an ask wants.
type Kind string

// The kinds of asks. Unknown is an alarm or a triage of a code that the plant
// does not have.
const (
	Alarm    Kind = "alarm"
	Unknown  Kind = "unknown"
	Triage   Kind = "triage"
	Extract  Kind = "extract"
	SetPoint Kind = "setpoint"
	Chat     Kind = "chat"
)

// Ask is one question with its right answer.
type Ask struct {
	Kind   Kind
	Skill  bool   // asked as its skill asks it
	System string // may be empty
	User   string
	Answer string
}

// The words of the three skills. They are the same in skills/*.toml; a test
// holds the two together.
const (
	AlarmSystem   = "You explain the plant's alarms."
	TriageSystem  = "You rate the plant's alarms in JSON."
	ExtractSystem = "You turn a line of the shift log into JSON."
)

// AlarmUser is the alarm skill's question; value may be empty.
func AlarmUser(code, value string) string {
	if value == "" {
		return fmt.Sprintf("Alarm %s. What does it mean and what should I check?", code)
	}
	return fmt.Sprintf("Alarm %s, value %s. What does it mean and what should I check?", code, value)
}

// TriageUser is the triage skill's question.
func TriageUser(code, temperature, vibration, load string) string {
	return fmt.Sprintf("Alarm %s, temperature %s °C, vibration %s mm/s, load %s %%.", code, temperature, vibration, load)
}

// Writer draws asks from a seed.
type Writer struct {
	r    *rand.Rand
	held bool
	n    int // asks that Next has drawn
	sp   []plant.SetPoint

	ending int
}

// NewWriter returns a Writer of training asks, or of held-out ones.
func NewWriter(seed uint64, held bool) *Writer {
	stream := uint64(1)
	if held {
		stream = 2
	}
	return &Writer{r: rand.New(rand.NewPCG(seed, stream)), held: held, sp: plant.SetPoints()}
}

// factsFirst is how many asks have mostly facts of the plant in them. The rest
// has more of what takes a model longer: telling unknown codes, rating, copying.
const factsFirst = 60_000

// End chooses the mix of the last part: 0 has 34 percent of unknown codes, 1 has 42.
func (w *Writer) End(ending int) { w.ending = ending }

// Next draws an ask of any kind in the proportions of training.
func (w *Writer) Next() Ask {
	bounds := [5]int{38, 51, 71, 92, 97}
	if w.n++; w.n > factsFirst {
		bounds = [5]int{22, 42, 64, 94, 97}
	}
	if w.varied() {
		bounds = [5]int{14, 42, 60, 94, 97}
	}
	if w.close() {
		bounds = endings[w.ending]
	}
	switch p := w.r.IntN(100); {
	case p < bounds[0]:
		return w.Alarm(w.r.IntN(5) < 2)
	case p < bounds[1]:
		return w.Unknown(w.r.IntN(3) == 0)
	case p < bounds[2]:
		return w.Triage()
	case p < bounds[3]:
		return w.Extract()
	case p < bounds[4]:
		return w.SetPoint()
	default:
		return w.Chat()
	}
}

// Alarm draws a question about a code of the plant, as the skill asks it or
// in free words.
func (w *Writer) Alarm(skill bool) Ask {
	for {
		a := plant.Alarms[w.r.IntN(len(plant.Alarms))]
		line := 1 + w.r.IntN(2)
		// Some alarms are seen on one line's machine in held-out asks alone.
		kept := isHeld("line", a.Code) && line == 1+int(a.Code[3]-'0')%2
		if !skill && (kept && !w.held || !kept && w.held && w.r.IntN(2) == 0) {
			continue
		}
		value := ""
		if skill || w.r.IntN(3) > 0 {
			value = w.near(a.Limit)
		}
		if skill && w.r.IntN(6) == 0 {
			value = ""
		}
		ask := Ask{Kind: Alarm, Skill: skill, Answer: plant.Explain(a.Code, value)}
		if skill {
			ask.System, ask.User = AlarmSystem, AlarmUser(a.Code, value)
		} else {
			ask.System, ask.User = w.system(AlarmSystem), w.alarmWords(a.Code, a.Machine(), line, value, a.Unit)
		}
		return ask
	}
}

// Unknown draws a question about a code that the plant does not have.
func (w *Writer) Unknown(skill bool) Ask {
	code := w.unknownCode()
	value := ""
	if w.r.IntN(2) == 0 {
		value = w.near([]string{"5", "24", "80", "1.8", "380", "0.4"}[w.r.IntN(6)])
	}
	ask := Ask{Kind: Unknown, Skill: skill, Answer: plant.Explain(code, value)}
	if skill {
		ask.System, ask.User = AlarmSystem, AlarmUser(code, value)
		return ask
	}
	unit := []string{"bar", "°C", "mm", "A", "s", "%"}[w.r.IntN(6)]
	ask.System = w.system(AlarmSystem)
	ask.User = w.alarmWords(code, plant.Machines[w.r.IntN(10)], 1+w.r.IntN(2), value, unit)
	return ask
}

// Triage draws an alarm with readings to be rated.
func (w *Writer) Triage() Ask {
	for {
		code := plant.Alarms[w.r.IntN(len(plant.Alarms))].Code
		if w.r.IntN(12) == 0 || w.oneIn(5) {
			code = w.unknownCode()
		}
		r := plant.Readings{Temperature: w.drawn(5, 130, 60, 80), Vibration: w.drawn(1, 150, 40, 70), Load: w.drawn(0, 160, 90, 110)}
		some := w.oneIn(3)
		if !some && isHeld(code, r.Bands()) != w.held {
			continue
		}
		t, l := strconv.Itoa(r.Temperature), strconv.Itoa(r.Load)
		if w.r.IntN(4) == 0 {
			t += "." + strconv.Itoa(w.r.IntN(10))
		}
		if w.r.IntN(8) == 0 {
			l += "." + strconv.Itoa(w.r.IntN(10))
		}
		v := strconv.FormatFloat(float64(r.Vibration)/10, 'f', -1, 64)
		user := TriageUser(code, t, v, l)
		if some {
			user, r = w.someReadings(code, t, v, l, r)
		}
		answer, err := json.Marshal(plant.Triage(code, r))
		if err != nil {
			panic(err) // plain strings and numbers always marshal
		}
		return Ask{Kind: Triage, Skill: !some, System: TriageSystem, User: user, Answer: string(answer)}
	}
}

// Extract draws a line of the shift log.
func (w *Writer) Extract() Ask {
	e := plant.Entry{Line: 1 + w.r.IntN(2), Machine: plant.Machines[1+w.r.IntN(9)], Minutes: 1 + w.r.IntN(60), Reason: w.reason()}
	if w.r.IntN(6) == 0 {
		e.Minutes = 60 + w.r.IntN(200)
	}
	core := w.pick(logCores, true)
	e.Code = plant.Alarms[w.r.IntN(len(plant.Alarms))].Code
	switch w.r.IntN(6) {
	case 0:
		e.Code, core = "none", w.pick(bareCores, true)
	case 1, 2:
		e.Code = w.unknownCode()
	}
	place := fill(w.pickOr(logPlaces, morePlaces), "{m}", e.Machine, "{n}", strconv.Itoa(e.Line))
	time := fill(w.pickOr(logTimes, moreTimes), "{n}", strconv.Itoa(e.Minutes))
	text := fill(core, "{L}", place, "{c}", e.Code, "{t}", time, "{r}", e.Reason)
	if w.varied() && w.r.IntN(3) > 0 {
		text = w.looseLog(place, strings.TrimSuffix(e.Code, "none"), time, e.Reason)
	}
	head, tail := w.small(w.pickOr(logHeads, moreHeads)), w.small(w.pickOr(logTails, moreTails))
	text = head + text + tail
	if !strings.HasSuffix(text, ".") && w.r.IntN(3) > 0 {
		text += "."
	}
	answer, err := json.Marshal(e)
	if err != nil {
		panic(err) // plain strings and numbers always marshal
	}
	return Ask{Kind: Extract, Skill: true, System: ExtractSystem, User: text, Answer: string(answer)}
}

// SetPoint draws a question about a set point.
func (w *Writer) SetPoint() Ask {
	s := w.sp[w.r.IntN(len(w.sp))]
	m := s.Machine
	if kind, line, _ := strings.Cut(m, " "); w.r.IntN(3) == 0 {
		m = kind + " on line " + line
	}
	text := fill(w.pick(setPointAsks, true), "{s}", s.Name, "{m}", m)
	return Ask{Kind: SetPoint, System: w.system(AlarmSystem), User: w.dress(text), Answer: s.Answer()}
}

// Chat draws something that is not about the plant, or about the model itself.
func (w *Writer) Chat() Ask {
	ask := Ask{Kind: Chat, System: w.system(AlarmSystem), Answer: plant.NotMine}
	if w.r.IntN(4) == 0 {
		ask.User, ask.Answer = w.pick(selves, true), plant.WhoAmI
	} else {
		ask.User = fill(w.pick(chats, true), "{x}", w.pick(topics, false))
		if w.oneIn(2) {
			ask.User = fill(w.from(moreChats), "{x}", w.from(moreTopics), "{y}", w.pick(topics, false))
		}
	}
	ask.User = w.dress(ask.User)
	return ask
}

func (w *Writer) alarmWords(code, machine string, line int, value, unit string) string {
	m := fmt.Sprintf("%s %d", machine, line)
	switch w.r.IntN(6) {
	case 0:
		m = fmt.Sprintf("%s on line %d", machine, line)
	case 1:
		m = "the " + machine
	case 2:
		m = fmt.Sprintf("line %d %s", line, machine)
	}
	v := ""
	if value != "" {
		v = fill(w.pick(alarmValues, false), "{n}", value, "{u}", unit)
	}
	lower := strings.ToLower(code[:1]) + code[1:]
	if w.r.IntN(2) == 0 {
		lower = code[:1] + "-" + code[1:]
	}
	a := fill(w.pick(alarmMentions, false), "{c}", code, "{l}", lower)
	text := fill(w.pick(alarmCores, true), "{a}", a, "{m}", m, "{v}", v)
	if w.varied() && w.r.IntN(3) > 0 {
		text = w.looseAlarm(a, m, v)
	}
	text += w.pick(alarmAsks, false)
	return w.dress(w.pick(openers, false) + text)
}

// dress gives a sentence the looks of different hands.
func (w *Writer) dress(s string) string {
	switch w.r.IntN(8) {
	case 0:
		s = strings.TrimRight(s, ".?! ")
	case 1, 2, 3, 4:
		s = strings.ToUpper(s[:1]) + s[1:]
	}
	return strings.TrimSpace(s)
}

// system is the skill's own system text, none, or somebody else's.
func (w *Writer) system(skill string) string {
	switch w.r.IntN(10) {
	case 0, 1:
		return skill
	case 2, 3:
		return w.pickOr(systems, moreSystems)
	}
	return ""
}

// pick draws from a list: in training never a held entry, in held-out asks only
// those where strict, else any.
func (w *Writer) pick(p phrases, strict bool) string {
	seen := len(p.all) - p.held
	switch {
	case !w.held:
		return p.all[w.r.IntN(seen)]
	case strict:
		return p.all[seen+w.r.IntN(p.held)]
	}
	return p.all[w.r.IntN(len(p.all))]
}

// pickOr draws as pick does, or half of the time from more among varied asks.
func (w *Writer) pickOr(p phrases, more []string) string {
	if w.oneIn(2) {
		return w.from(more)
	}
	return w.pick(p, false)
}

func (w *Writer) unknownCode() string {
	for {
		code := fmt.Sprintf("E%03d", w.r.IntN(1000))
		switch w.r.IntN(8) {
		case 0:
			code = fmt.Sprintf("%c%d", 'A'+rune(w.r.IntN(26)), w.r.IntN(1000))
		case 1:
			code = fmt.Sprintf("E%d", w.r.IntN(100))
		}
		if w.varied() {
			code = w.anyCode()
		}
		if w.close() && w.r.IntN(2) == 0 {
			code = w.closeCode()
		}
		if _, known := plant.Find(code); !known && isHeld("code", code) == w.held {
			return code
		}
	}
}

func (w *Writer) reason() string {
	for {
		s := nouns[w.r.IntN(len(nouns))]
		if w.r.IntN(3) == 0 {
			s += " " + states[w.r.IntN(len(states))]
		} else {
			s = adjectives[w.r.IntN(len(adjectives))] + " " + s
		}
		if w.oneIn(2) {
			s = w.anyReason()
		}
		if isHeld("reason", s) == w.held {
			return s
		}
	}
}

// near is a reading around a limit, with about as many decimals.
func (w *Writer) near(limit string) string {
	l, err := strconv.ParseFloat(limit, 64)
	if err != nil {
		panic(err) // the plant's own table
	}
	decimals := w.r.IntN(2)
	if _, frac, ok := strings.Cut(limit, "."); ok {
		decimals = len(frac)
	}
	if l == 0 {
		l = 4
	}
	return strconv.FormatFloat(l*(0.4+1.4*w.r.Float64()), 'f', decimals, 64)
}

// drawn is a number from lo to hi, often near one of the two marks.
func (w *Writer) drawn(lo, hi, a, b int) int {
	n := lo + w.r.IntN(hi-lo+1)
	switch w.r.IntN(8) {
	case 0, 1, 2, 3:
		n = lo + w.r.IntN(a-lo)
	case 4:
		n = a - 5 + w.r.IntN(10)
	case 5:
		n = b - 5 + w.r.IntN(10)
	}
	return min(max(n, lo), hi)
}

// small fills the small places of a log line: hour, quarter, a count, a name.
func (w *Writer) small(s string) string {
	return fill(s, "{h}", fmt.Sprintf("%02d", w.r.IntN(24)), "{q}", fmt.Sprintf("%02d", w.r.IntN(60)),
		"{k}", strconv.Itoa(1+w.r.IntN(9)), "{w}", names[w.r.IntN(len(names))])
}

func fill(s string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(s) }

// isHeld keeps a seventh of all combinations from training, always the same.
func isHeld(what string, with any) bool {
	h := fnv.New32a()
	fmt.Fprint(h, what, "/", with)
	return h.Sum32()%7 == 0
}
