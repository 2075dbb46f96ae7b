package mqtt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// Limits bounds what ParseAsk takes in. Zero values mean the defaults.
type Limits struct {
	MaxBytes int // of the whole payload; default 4096
}

// Defaults and fixed bounds of payloads.
const (
	DefaultMaxBytes = 4096 // of an ask and of an answer
	maxAskID        = 128  // bytes
	maxDepth        = 32   // nested arrays and objects
	maxLang         = 35   // longest registered language tag (RFC 5646, 4.4.1)
	maxSafeInt      = 1 << 53
	maxDeadlineMS   = 7 * 24 * 3600 * 1000 // beyond a week nobody waits; guards against overflow
)

// Ask is what a client sends: a prompt to the text topic or args to a skill's.
type Ask struct {
	ID         string          `json:"id" doc:"chosen by the client; the answer carries it; the same id again is the same ask" schema:"minLength=1,maxLength=128"`
	Prompt     string          `json:"prompt,omitempty" doc:"a free prompt; on the text topic only" schema:"optional,minLength=1"`
	Args       json.RawMessage `json:"args,omitempty" doc:"arguments of the skill; on a skill's topic only" schema:"optional,type=object"`
	Lang       string          `json:"lang,omitempty" doc:"language of the answer, BCP 47 (de, en, pt-BR)" schema:"optional,maxLength=35"`
	DeadlineMS int64           `json:"deadline_ms,omitempty" doc:"answer within so many ms of arrival; relative, so no clock is needed" schema:"optional,minimum=1,unit=ms"`
	MaxChars   int             `json:"max_chars,omitempty" doc:"cut the answer's text at so many characters" schema:"optional,minimum=1"`
	Stream     bool            `json:"stream,omitempty" doc:"also send the text in chunks as it grows" schema:"optional"`
	Ack        bool            `json:"ack,omitempty" doc:"also send an acknowledgement when the ask is taken in" schema:"optional"`
	Seed       *uint64         `json:"seed,omitempty" doc:"seed of the sampling" schema:"optional,minimum=0,maximum=9007199254740992"`
	Schema     json.RawMessage `json:"schema,omitempty" doc:"JSON Schema that the answer's data must fit" schema:"optional,type=object"`
}

// Refusal is why a payload is not taken. It is an error with a code, and with
// the id where that could be read, so that even a refused client gets its
// terminal answer.
type Refusal struct {
	Code Code
	ID   string
	Text string // one sentence for the client
}

func (r *Refusal) Error() string { return fmt.Sprintf("%d %s: %s", r.Code, r.Code, r.Text) }

func refuse(code Code, id, format string, args ...any) *Refusal {
	return &Refusal{Code: code, ID: id, Text: fmt.Sprintf(format, args...)}
}

// ParseAsk reads an ask strictly: one JSON object in UTF-8, known fields of
// the right type once each, an id, and a prompt or args. What is wrong comes
// back as code 10, what is too large as 13. It never panics, whatever the bytes.
func ParseAsk(payload []byte, l Limits) (Ask, *Refusal) {
	if l.MaxBytes == 0 {
		l.MaxBytes = DefaultMaxBytes
	}
	if len(payload) > l.MaxBytes {
		return Ask{}, refuse(TooLarge, findID(payload, l.MaxBytes), "the ask has %d bytes, this board takes %d: shorten it", len(payload), l.MaxBytes)
	}
	var a Ask
	err := object(payload, func(key string, value json.RawMessage) error { return a.set(key, value) })
	if err == nil {
		err = a.complete()
	}
	if err != nil {
		id := a.ID
		if id == "" {
			id = findID(payload, l.MaxBytes)
		}
		return Ask{}, refuse(BadRequest, id, "%v", err)
	}
	return a, nil
}

// Fits tells whether an ask belongs on its topic: a prompt on the text topic,
// args on a skill's.
func (a Ask) Fits(to Address) *Refusal {
	switch {
	case to.Kind == KindAskText && a.Args != nil:
		return refuse(BadRequest, a.ID, "args belong on a skill's topic, ask/{client}/skill/{skill}; this one takes a prompt")
	case to.Kind == KindAskSkill && a.Prompt != "":
		return refuse(BadRequest, a.ID, "a prompt belongs on the topic ask/{client}/text; this one takes args")
	case to.Kind == KindAskSkill && a.Schema != nil:
		return refuse(BadRequest, a.ID, "a skill brings its own schema: leave schema out")
	}
	return nil
}

func (a *Ask) set(key string, v json.RawMessage) (err error) {
	switch key {
	case "id":
		a.ID, err = text(v)
		if err == nil && !validAskID(a.ID) {
			a.ID, err = "", fmt.Errorf("must be 1 to %d bytes of printable text", maxAskID)
		}
	case "prompt":
		if a.Prompt, err = text(v); err == nil && a.Prompt == "" {
			err = errors.New("is empty")
		}
	case "args":
		a.Args, err = nested(v)
	case "lang":
		if a.Lang, err = text(v); err == nil && !validLang(a.Lang) {
			err = errors.New("must be a language tag such as de, en or pt-BR")
		}
	case "deadline_ms":
		a.DeadlineMS, err = integer(v, 1, maxDeadlineMS)
	case "max_chars":
		var n int64
		n, err = integer(v, 1, math.MaxInt32)
		a.MaxChars = int(n)
	case "stream":
		a.Stream, err = boolean(v)
	case "ack":
		a.Ack, err = boolean(v)
	case "seed":
		var n int64
		if n, err = integer(v, 0, maxSafeInt); err == nil {
			seed := uint64(n)
			a.Seed = &seed
		}
	case "schema":
		a.Schema, err = nested(v)
	default:
		return fmt.Errorf("unknown field %q", clip(key))
	}
	if err != nil {
		return fmt.Errorf("field %q %w", key, err)
	}
	return nil
}

func (a *Ask) complete() error {
	switch {
	case a.ID == "":
		return errors.New("the field \"id\" is missing")
	case a.Prompt == "" && a.Args == nil:
		return errors.New("neither \"prompt\" nor \"args\" is given")
	case a.Prompt != "" && a.Args != nil:
		return errors.New("both \"prompt\" and \"args\" are given: send one")
	}
	return nil
}

// Cancel asks a board to end the client's own ask.
type Cancel struct {
	ID string `json:"id" doc:"the ask to end; only the client's own" schema:"minLength=1,maxLength=128"`
}

// ParseCancel reads a cancel as strictly as an ask.
func ParseCancel(payload []byte) (Cancel, *Refusal) {
	if len(payload) > DefaultMaxBytes {
		return Cancel{}, refuse(TooLarge, "", "the cancel has %d bytes, more than %d", len(payload), DefaultMaxBytes)
	}
	var c Ask
	err := object(payload, func(key string, v json.RawMessage) error {
		if key != "id" {
			return fmt.Errorf("unknown field %q", clip(key))
		}
		return c.set(key, v)
	})
	if err == nil && c.ID == "" {
		err = errors.New("the field \"id\" is missing")
	}
	if err != nil {
		return Cancel{}, refuse(BadRequest, c.ID, "%v", err)
	}
	return Cancel{ID: c.ID}, nil
}

// AdminAsk is an operator's verb with its argument.
type AdminAsk struct {
	ID    string `json:"id" doc:"chosen by the operator; the reply carries it" schema:"minLength=1,maxLength=128"`
	Model string `json:"model,omitempty" doc:"use-model only: name or hash of a model that is on the board" schema:"optional,minLength=1,maxLength=128"`
}

// Verbs are the admin verbs of the API.
func Verbs() []string { return []string{"drain", "resume", "reload", "use-model", "update"} }

// ParseAdmin reads an admin payload as strictly as an ask.
func ParseAdmin(payload []byte) (AdminAsk, *Refusal) {
	if len(payload) > DefaultMaxBytes {
		return AdminAsk{}, refuse(TooLarge, "", "the payload has %d bytes, more than %d", len(payload), DefaultMaxBytes)
	}
	var a Ask
	var model string
	err := object(payload, func(key string, v json.RawMessage) (err error) {
		switch key {
		case "id":
			return a.set(key, v)
		case "model":
			if model, err = text(v); err == nil && !validAskID(model) {
				err = errors.New("must be the name or hash of a model")
			}
			if err != nil {
				return fmt.Errorf("field %q %w", key, err)
			}
			return nil
		}
		return fmt.Errorf("unknown field %q", clip(key))
	})
	if err == nil && a.ID == "" {
		err = errors.New("the field \"id\" is missing")
	}
	if err != nil {
		if a.ID == "" {
			a.ID = findID(payload, DefaultMaxBytes)
		}
		return AdminAsk{}, refuse(BadRequest, a.ID, "%v", err)
	}
	return AdminAsk{ID: a.ID, Model: model}, nil
}

// object walks one JSON object and nothing after it: no duplicate keys at any
// depth, no broken UTF-8, bounded depth.
func object(payload []byte, field func(key string, value json.RawMessage) error) error {
	if !utf8.Valid(payload) {
		return errors.New("the payload is not valid UTF-8")
	}
	if err := wellFormed(payload); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(payload))
	if t, _ := dec.Token(); t != json.Delim('{') {
		return errors.New("the payload is not a JSON object")
	}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return fmt.Errorf("the payload is not valid JSON: %w", err)
		}
		key, _ := t.(string)
		var v json.RawMessage
		if err := dec.Decode(&v); err != nil {
			return fmt.Errorf("the payload is not valid JSON: %w", err)
		}
		if err := field(key, v); err != nil {
			return err
		}
	}
	return nil
}

// wellFormed checks syntax, depth and that no object names a key twice: two
// readers of such an ask would read different asks.
func wellFormed(payload []byte) error {
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.UseNumber()
	type frame struct {
		keys   map[string]bool // nil in an array
		wanted bool            // the next string is a key
	}
	var stack []frame
	for {
		t, err := dec.Token()
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return errors.New("the payload is not valid JSON: it ends too early")
			}
			return fmt.Errorf("the payload is not valid JSON: %w", err)
		}
		if n := len(stack); n > 0 && stack[n-1].keys != nil && stack[n-1].wanted {
			if key, ok := t.(string); ok {
				if stack[n-1].keys[key] {
					return fmt.Errorf("the field %q is given twice", clip(key))
				}
				stack[n-1].keys[key] = true
				stack[n-1].wanted = false
				continue
			}
		}
		switch t {
		case json.Delim('{'):
			stack = append(stack, frame{keys: map[string]bool{}, wanted: true})
		case json.Delim('['):
			stack = append(stack, frame{})
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:len(stack)-1]
		}
		if len(stack) > maxDepth {
			return fmt.Errorf("the payload is nested deeper than %d levels", maxDepth)
		}
		if n := len(stack); n > 0 && t != json.Delim('{') && t != json.Delim('[') {
			stack[n-1].wanted = stack[n-1].keys != nil
		}
		if len(stack) == 0 {
			if _, err := dec.Token(); !errors.Is(err, io.EOF) {
				return errors.New("the payload has something after its end")
			}
			return nil
		}
	}
}

// findID reads the id of a payload that is refused for another reason, so that
// the refusal finds its ask. It looks at the first limit bytes only. A number
// is taken as it is written: a PLC that sends "id":42 should hear what is wrong.
func findID(payload []byte, limit int) string {
	dec := json.NewDecoder(bytes.NewReader(payload[:min(len(payload), limit)]))
	dec.UseNumber()
	if t, _ := dec.Token(); t != json.Delim('{') {
		return ""
	}
	for {
		t, err := dec.Token()
		if err != nil {
			return ""
		}
		key, ok := t.(string)
		if !ok {
			return ""
		}
		var v any
		if err := dec.Decode(&v); err != nil {
			return ""
		}
		if key != "id" {
			continue
		}
		var id string
		switch v := v.(type) {
		case string:
			id = v
		case json.Number:
			id = v.String()
		}
		if !validAskID(id) {
			return ""
		}
		return id
	}
}

// validAskID: not empty, short, nothing that a log or a display would trip over.
func validAskID(id string) bool {
	if id == "" || len(id) > maxAskID || !utf8.ValidString(id) {
		return false
	}
	for _, r := range id {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return false
		}
	}
	return true
}

// validLang is the shape of a BCP 47 tag: letters and digits in parts of 1 to 8.
func validLang(s string) bool {
	part := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '-' && part > 0:
			part = 0
		case (c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' && i > 1) && part < 8:
			part++
		default:
			return false
		}
	}
	return part > 0 && len(s) >= 2 && len(s) <= maxLang
}

func text(v json.RawMessage) (string, error) {
	if v[0] != '"' {
		return "", fmt.Errorf("must be a string, not %s", shape(v))
	}
	var s string
	if err := json.Unmarshal(v, &s); err != nil {
		return "", errors.New("is no valid string")
	}
	for i := range len(s) {
		if s[i] == 0 {
			return "", errors.New("has a NUL character in it")
		}
	}
	return s, nil
}

func boolean(v json.RawMessage) (bool, error) {
	switch string(v) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("must be true or false, not %s", shape(v))
}

// integer also takes 60000.0 and 6e4: PLCs write their REALs so.
func integer(v json.RawMessage, least, most int64) (int64, error) {
	if v[0] != '-' && (v[0] < '0' || v[0] > '9') {
		return 0, fmt.Errorf("must be a whole number, not %s", shape(v))
	}
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil || f != math.Trunc(f) || f < float64(least) || f > float64(most) {
		return 0, fmt.Errorf("must be a whole number from %d to %d", least, most)
	}
	return int64(f), nil
}

func nested(v json.RawMessage) (json.RawMessage, error) {
	if v[0] != '{' {
		return nil, fmt.Errorf("must be an object, not %s", shape(v))
	}
	return bytes.Clone(v), nil
}

// shape names the type of a JSON value for an error.
func shape(v json.RawMessage) string {
	switch v[0] {
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 't', 'f':
		return "true or false"
	case 'n':
		return "null"
	}
	return "a number"
}
