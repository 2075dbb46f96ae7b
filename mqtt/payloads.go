package mqtt

import (
	"encoding/json"
	"fmt"
	"sort"
	"time"
	"unicode/utf8"
)

// Version is the v of every answer.
const Version = 1

// States of a board in its status.
const (
	StateStarting = "starting"
	StateReady    = "ready"
	StateDegraded = "degraded"
	StateDraining = "draining"
	StateOffline  = "offline"
)

// What a board's clock is worth.
const (
	ClockSynced   = "synced"
	ClockHoldover = "holdover"
	ClockUnsynced = "unsynced"
)

// Why an answer ended, in Answer.Finish.
const (
	FinishStop      = "stop"
	FinishLength    = "length"
	FinishDeadline  = "deadline"
	FinishCancelled = "cancelled"
)

// Names of events.
const (
	EventThrottle      = "throttle"
	EventDrain         = "drain"
	EventAuditFull     = "audit_full"
	EventDenied        = "denied"
	EventEngineRestart = "engine_restart"
	EventModelChanged  = "model_changed"
	EventModelRefused  = "model_refused"
	EventUpdate        = "update" // the board's system: being installed, tried, kept or given up
	EventConfig        = "config" // the configuration on the card is wrong or missing
)

// Qualities of a reading, as Sparkplug counts them.
const (
	QualityBad   = 0
	QualityGood  = 192
	QualityStale = 500
)

// Stamp writes a time as every payload has it: RFC 3339, UTC, milliseconds.
func Stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// Stamps orders messages of one board, also where no clock is right: a new
// boot id for every start, and a counter that grows within it.
type Stamps struct {
	Boot  string `json:"boot" doc:"new at every start of the board" schema:"minLength=1"`
	Seq   uint64 `json:"seq" doc:"grows with every message of one boot" schema:"minimum=0"`
	TS    string `json:"ts" doc:"board's time, RFC 3339 in UTC" schema:"format=date-time"`
	Clock string `json:"clock" doc:"what ts is worth" schema:"enum=synced|holdover|unsynced"`
}

// Timings of one ask, in ms from its arrival.
type Timings struct {
	Queue int64 `json:"queue" doc:"waited in the queue" schema:"minimum=0,unit=ms"`
	First int64 `json:"first" doc:"until the first token" schema:"minimum=0,unit=ms"`
	Total int64 `json:"total" doc:"until the answer was done" schema:"minimum=0,unit=ms"`
}

// Tokens counts the model's work for one ask.
type Tokens struct {
	In     int `json:"in" doc:"tokens of the prompt" schema:"minimum=0"`
	Cached int `json:"cached" doc:"of these, known from earlier asks" schema:"minimum=0"`
	Out    int `json:"out" doc:"tokens of the answer" schema:"minimum=0"`
}

// Answer is the one terminal message of an ask, good or bad. Switch on Code.
type Answer struct {
	V        int             `json:"v" doc:"version of this shape" schema:"const=1"`
	ID       string          `json:"id" doc:"the ask's id; empty where it could not be read" schema:"maxLength=128"`
	Board    string          `json:"board" doc:"the board that answers" schema:"id"`
	Code     Code            `json:"code" doc:"0 is an answer, all else is why there is none" schema:"codes"`
	Status   string          `json:"status" doc:"the code's name" schema:"codenames"`
	Text     string          `json:"text" doc:"the answer in words, or one sentence on what went wrong"`
	Data     json.RawMessage `json:"data,omitempty" doc:"the answer under its JSON Schema" schema:"optional,type=any"`
	Finish   string          `json:"finish,omitempty" doc:"why the text ended" schema:"optional,enum=stop|length|deadline|cancelled"`
	Advisory bool            `json:"advisory" doc:"always true: a model's words decide nothing by themselves" schema:"const=true"`
	Skill    string          `json:"skill,omitempty" doc:"skill and version, alarm@3" schema:"optional"`
	Model    string          `json:"model,omitempty" doc:"start of the model's SHA-256; empty for canned answers" schema:"optional"`
	Seed     uint64          `json:"seed" doc:"seed that the sampling used" schema:"minimum=0"`
	MS       Timings         `json:"ms" doc:"where the time went"`
	Tok      Tokens          `json:"tok" doc:"the model's work"`
	Replay   bool            `json:"replay" doc:"the stored answer to an ask that came again"`
	RetryMS  int64           `json:"retry_ms" doc:"with codes 15, 20, 24 and 30 to 32: come back after so many ms" schema:"minimum=0,unit=ms"`
	Stamps
}

// Encode writes the answer within max bytes (0: DefaultMaxBytes). Text that
// does not fit is cut at a character and Finish becomes "length"; data cannot
// be cut, so an answer whose data does not fit becomes code 13, and one whose
// data is no JSON becomes code 50. whole is false where any of this happened.
func (a Answer) Encode(max int) (payload []byte, whole bool) {
	if max == 0 {
		max = DefaultMaxBytes
	}
	a.V, a.Advisory, a.Status = Version, true, a.Code.String()
	payload, err := Encode(a)
	switch {
	case err != nil:
		return a.instead(Internal, "the answer's data is no JSON: this is a fault of the board"), false
	case len(payload) <= max:
		return payload, true
	case a.Data != nil:
		return a.instead(TooLarge, fmt.Sprintf("the answer has %d bytes, this board sends %d: ask for less or raise its limit", len(payload), max)), false
	}
	a.Finish = FinishLength
	text := a.Text
	n := sort.Search(len(text), func(n int) bool { // how much fits depends on its escapes
		a.Text = cut(text, n+1)
		payload, _ = Encode(a) // no raw field is left to fail
		return len(payload) > max
	})
	a.Text = cut(text, n)
	payload, _ = Encode(a)
	return payload, false
}

// instead is the same answer with a refusal in place of its content.
func (a Answer) instead(code Code, text string) []byte {
	a.Data, a.Finish, a.Code, a.Status, a.Text = nil, "", code, code.String(), text
	payload, _ := Encode(a)
	return payload
}

// cut keeps at most n bytes of s and ends at a whole character.
func cut(s string, n int) string {
	for n > 0 && n < len(s) && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:min(n, len(s))]
}

// Ack says that an ask was taken in.
type Ack struct {
	ID    string `json:"id" doc:"the ask's id" schema:"minLength=1,maxLength=128"`
	State string `json:"state" doc:"where the ask is" schema:"enum=queued|running"`
	Pos   int    `json:"pos" doc:"asks before it" schema:"minimum=0"`
	ETAMS int64  `json:"eta_ms" doc:"the answer is likely done after so many ms; 0 where unknown" schema:"minimum=0,unit=ms"`
}

// States of an Ack.
const (
	AckQueued  = "queued"
	AckRunning = "running"
)

// Chunk is a piece of an answer as it grows. Chunks may get lost; the answer
// has the whole text.
type Chunk struct {
	ID   string `json:"id" doc:"the ask's id" schema:"minLength=1,maxLength=128"`
	I    int    `json:"i" doc:"0 for the first chunk, then one more each" schema:"minimum=0"`
	Text string `json:"text" doc:"what came since the chunk before"`
	Last bool   `json:"last" doc:"no chunk follows"`
}

// Status is what state a board is in. Retained, and the will's payload too.
type Status struct {
	State string `json:"state" doc:"starting, ready, degraded (asks are refused with a code), draining or offline" schema:"enum=starting|ready|degraded|draining|offline"`
	Why   string `json:"why" doc:"one sentence where state is not ready; may be empty"`
	Boot  string `json:"boot" doc:"new at every start of the board" schema:"minLength=1"`
	TS    string `json:"ts" doc:"board's time, RFC 3339 in UTC" schema:"format=date-time"`
	Clock string `json:"clock" doc:"what ts is worth" schema:"enum=synced|holdover|unsynced"`
}

// SkillRef names a skill in Info.
type SkillRef struct {
	Name    string `json:"name" schema:"id"`
	Version int    `json:"version" schema:"minimum=1"`
}

// ModelInfo is the model that answers.
type ModelInfo struct {
	Name    string `json:"name" doc:"the model's name, from its file"`
	SHA256  string `json:"sha256" doc:"hash of the file" schema:"pattern=^([0-9a-f]{64})?$"`
	Quant   string `json:"quant,omitempty" doc:"how its weights are stored (Q4_0)" schema:"optional"`
	Licence string `json:"licence" doc:"the line its licence wants shown (Built with Llama)"`
}

// InfoLimits are the limits that clients can meet.
type InfoLimits struct {
	Queue              int   `json:"queue" doc:"asks that may wait" schema:"minimum=1"`
	MaxAskBytes        int   `json:"max_ask_bytes" schema:"minimum=1,unit=bytes"`
	MaxAnswerBytes     int   `json:"max_answer_bytes" schema:"minimum=1,unit=bytes"`
	MaxAnswerTokens    int   `json:"max_answer_tokens" schema:"minimum=1,unit=tokens"`
	DeadlineDefaultMS  int64 `json:"deadline_default_ms" schema:"minimum=1,unit=ms"`
	DeadlineMaxMS      int64 `json:"deadline_max_ms" schema:"minimum=1,unit=ms"`
	PerClientPerMinute int   `json:"per_client_per_minute" schema:"minimum=0"`
}

// Info is what a board is and can do. Retained.
type Info struct {
	V        int        `json:"v" doc:"version of this shape" schema:"const=1"`
	Board    string     `json:"board" doc:"the board's id" schema:"id"`
	API      string     `json:"api" doc:"version of the topic tree" schema:"const=llm/v1"`
	Lineside string     `json:"lineside" doc:"version of the appliance's software"`
	Hardware string     `json:"hardware" doc:"the board's make, as it names itself"`
	Protocol string     `json:"protocol" doc:"what the board speaks to the broker" schema:"enum=3.1.1|5"`
	Model    ModelInfo  `json:"model" doc:"the model that answers; empty name where none is loaded"`
	Limits   InfoLimits `json:"limits" doc:"what a client may send and expect"`
	Skills   []SkillRef `json:"skills" doc:"the skills a client may ask"`
	Pools    []string   `json:"pools" doc:"the pools the board takes asks from"`
	Stamps
}

// Reading is one measured value and what it is worth.
type Reading struct {
	Value   float64 `json:"value"`
	Unit    string  `json:"unit" doc:"°C, bytes, W, V, tokens/s, 1 (a count or a bit mask)"`
	Quality int     `json:"quality" doc:"192 good, 500 stale, 0 bad" schema:"enumint=0|192|500"`
	AgeMS   int64   `json:"age_ms" doc:"measured so long ago" schema:"minimum=0,unit=ms"`
}

// Health is the board's readings by name. Retained, QoS 0.
type Health struct {
	V          int                `json:"v" doc:"version of this shape" schema:"const=1"`
	Board      string             `json:"board" doc:"the board's id" schema:"id"`
	Readings   map[string]Reading `json:"readings" doc:"by name: temperatures, throttle bits, memory, power, storage, tokens/s, queue"`
	Lamp       string             `json:"lamp,omitempty" doc:"what the board's lamp says, after NAMUR NE 107" schema:"optional,enum=good|busy|starting|maintenance|out-of-specification|function-check|failure"`
	Conditions []string           `json:"conditions,omitempty" doc:"all that is the matter, gravest first: too_hot, fan_stopped, disk_filling and so on" schema:"optional"`
	Stamps
}

// Event tells that something happened on the board.
type Event struct {
	V      int            `json:"v" doc:"version of this shape" schema:"const=1"`
	Board  string         `json:"board" doc:"the board's id" schema:"id"`
	Event  string         `json:"event" doc:"what happened" schema:"enum=throttle|drain|audit_full|denied|engine_restart|model_changed|model_refused|update|config"`
	Why    string         `json:"why" doc:"one sentence"`
	Client string         `json:"client,omitempty" doc:"denied: who" schema:"optional,id"`
	Data   map[string]any `json:"data,omitempty" doc:"numbers that belong to it" schema:"optional"`
	Stamps
}

// SkillCard describes one skill to clients. Retained.
type SkillCard struct {
	V          int             `json:"v" doc:"version of this shape" schema:"const=1"`
	Name       string          `json:"name" schema:"id"`
	Version    int             `json:"version" schema:"minimum=1"`
	About      string          `json:"about" doc:"one line on what it answers"`
	Languages  []string        `json:"languages" doc:"BCP 47 tags that lang may name"`
	Args       json.RawMessage `json:"args" doc:"JSON Schema of args" schema:"type=object"`
	Answer     json.RawMessage `json:"answer,omitempty" doc:"JSON Schema of data; absent where the answer is text" schema:"optional,type=object"`
	P50MS      int64           `json:"p50_ms" doc:"half of the answers came within; 0 before the first" schema:"minimum=0,unit=ms"`
	P95MS      int64           `json:"p95_ms" doc:"of 20 answers, 19 came within; 0 before the first" schema:"minimum=0,unit=ms"`
	Advisory   bool            `json:"advisory" doc:"always true" schema:"const=true"`
	Characters int             `json:"max_chars" doc:"longest text it answers; 0 where unbounded" schema:"minimum=0"`
}

// AdminAnswer is the outcome of an operator's verb.
type AdminAnswer struct {
	V      int    `json:"v" doc:"version of this shape" schema:"const=1"`
	ID     string `json:"id" doc:"the operator's id" schema:"maxLength=128"`
	Board  string `json:"board" schema:"id"`
	Verb   string `json:"verb" schema:"id"`
	Code   Code   `json:"code" doc:"0: done" schema:"codes"`
	Status string `json:"status" doc:"the code's name" schema:"codenames"`
	Text   string `json:"text" doc:"what was done, or why not"`
	Stamps
}
