package mqtt_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"lineside/mqtt"
)

func TestParseAsk(t *testing.T) {
	seed := uint64(1)
	full := `{"id":"42","args":{"code":"E42","value":71.3},"lang":"de","deadline_ms":60000,"max_chars":200,"stream":false,"ack":true,"seed":1}`
	for _, c := range []struct {
		name, payload string
		want          mqtt.Ask
	}{
		{"least prompt", `{"id":"42","prompt":"hi"}`, mqtt.Ask{ID: "42", Prompt: "hi"}},
		{"least args", `{"id":"42","args":{}}`, mqtt.Ask{ID: "42", Args: json.RawMessage(`{}`)}},
		{"everything", full, mqtt.Ask{ID: "42", Args: json.RawMessage(`{"code":"E42","value":71.3}`), Lang: "de", DeadlineMS: 60000, MaxChars: 200, Ack: true, Seed: &seed}},
		{"spaces", " \n{ \"id\" : \"a b\" , \"prompt\" : \"ü\\u00fc\" }\r\n", mqtt.Ask{ID: "a b", Prompt: "üü"}},
		{"REAL from a PLC", `{"id":"1","prompt":"x","deadline_ms":6.0e4,"max_chars":200.0}`, mqtt.Ask{ID: "1", Prompt: "x", DeadlineMS: 60000, MaxChars: 200}},
		{"schema", `{"id":"1","prompt":"x","schema":{"type":"object"}}`, mqtt.Ask{ID: "1", Prompt: "x", Schema: json.RawMessage(`{"type":"object"}`)}},
	} {
		got, refusal := mqtt.ParseAsk([]byte(c.payload), mqtt.Limits{})
		if refusal != nil {
			t.Errorf("%s: %v", c.name, refusal)
			continue
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

func TestParseAskRefuses(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40)
	for _, c := range []struct {
		name, payload string
		code          mqtt.Code
		id            string
		says          string
	}{
		{"empty", ``, 10, "", "ends too early"},
		{"no JSON", `hello`, 10, "", "not valid JSON"},
		{"binary", "\x00\x01\xff\xfe", 10, "", "UTF-8"},
		{"broken UTF-8", "{\"id\":\"1\",\"prompt\":\"\xff\"}", 10, "1", "UTF-8"},
		{"cut off", `{"id":"42","prompt":"h`, 10, "42", "ends too early"},
		{"array", `[{"id":"42"}]`, 10, "", "not a JSON object"},
		{"string", `"42"`, 10, "", "not a JSON object"},
		{"two objects", `{"id":"42","prompt":"x"}{}`, 10, "42", "after its end"},
		{"no id", `{"prompt":"x"}`, 10, "", `"id" is missing`},
		{"number as id", `{"id":42,"prompt":"x"}`, 10, "42", "must be a string, not a number"},
		{"null as id", `{"id":null,"prompt":"x"}`, 10, "", "must be a string, not null"},
		{"empty id", `{"id":"","prompt":"x"}`, 10, "", "printable"},
		{"line break in id", `{"id":"a\nb","prompt":"x"}`, 10, "", "printable"},
		{"long id", `{"id":"` + strings.Repeat("x", 129) + `","prompt":"x"}`, 10, "", "printable"},
		{"neither", `{"id":"42"}`, 10, "42", "neither"},
		{"both", `{"id":"42","prompt":"x","args":{}}`, 10, "42", "both"},
		{"unknown field", `{"id":"42","prompt":"x","promt":"y"}`, 10, "42", `unknown field "promt"`},
		{"other case", `{"ID":"42","prompt":"x"}`, 10, "", `unknown field "ID"`},
		{"id twice", `{"id":"42","id":"43","prompt":"x"}`, 10, "42", "twice"},
		{"arg twice", `{"id":"42","args":{"a":1,"a":2}}`, 10, "42", "twice"},
		{"arg twice in an array", `{"id":"42","args":{"l":[{"a":1,"a":2}]}}`, 10, "42", "twice"},
		{"array as args", `{"id":"42","args":[1]}`, 10, "42", "must be an object, not an array"},
		{"empty prompt", `{"id":"42","prompt":""}`, 10, "42", "is empty"},
		{"NUL in prompt", `{"id":"42","prompt":"a\u0000b"}`, 10, "42", "NUL"},
		{"no deadline", `{"id":"42","prompt":"x","deadline_ms":0}`, 10, "42", "from 1"},
		{"negative deadline", `{"id":"42","prompt":"x","deadline_ms":-5}`, 10, "42", "from 1"},
		{"endless deadline", `{"id":"42","prompt":"x","deadline_ms":1e300}`, 10, "42", "from 1"},
		{"half a character", `{"id":"42","prompt":"x","max_chars":1.5}`, 10, "42", "whole number"},
		{"text as number", `{"id":"42","prompt":"x","max_chars":"9"}`, 10, "42", "whole number, not a string"},
		{"number as bool", `{"id":"42","prompt":"x","stream":1}`, 10, "42", "true or false, not a number"},
		{"negative seed", `{"id":"42","prompt":"x","seed":-1}`, 10, "42", "from 0"},
		{"bad language", `{"id":"42","prompt":"x","lang":"deutsch, bitte"}`, 10, "42", "language tag"},
		{"deep", `{"id":"42","args":` + deep + `}`, 10, "42", "deeper"},
		{"large", `{"id":"42","prompt":"` + strings.Repeat("x", 5000) + `"}`, 13, "42", "takes 4096"},
		{"1 MB", strings.Repeat("x", 1<<20), 13, "", "takes 4096"},
	} {
		_, r := mqtt.ParseAsk([]byte(c.payload), mqtt.Limits{})
		if r == nil {
			t.Errorf("%s: taken in", c.name)
			continue
		}
		if r.Code != c.code || r.ID != c.id || !strings.Contains(r.Text, c.says) {
			t.Errorf("%s: code %d, id %q, %q; want code %d, id %q, a text with %q", c.name, r.Code, r.ID, r.Text, c.code, c.id, c.says)
		}
	}
}

func TestAskFits(t *testing.T) {
	text, skill := mqtt.Address{Kind: mqtt.KindAskText}, mqtt.Address{Kind: mqtt.KindAskSkill}
	prompt, args := mqtt.Ask{ID: "1", Prompt: "x"}, mqtt.Ask{ID: "1", Args: json.RawMessage(`{}`)}
	schema := mqtt.Ask{ID: "1", Args: json.RawMessage(`{}`), Schema: json.RawMessage(`{}`)}
	for _, c := range []struct {
		ask mqtt.Ask
		to  mqtt.Address
		ok  bool
	}{{prompt, text, true}, {args, text, false}, {prompt, skill, false}, {args, skill, true}, {schema, skill, false}} {
		if r := c.ask.Fits(c.to); (r == nil) != c.ok || r != nil && (r.Code != mqtt.BadRequest || r.ID != "1") {
			t.Errorf("%+v on %s: %v", c.ask, c.to.Kind, r)
		}
	}
}

func TestParseCancelAndAdmin(t *testing.T) {
	if c, r := mqtt.ParseCancel([]byte(`{"id":"42"}`)); r != nil || c.ID != "42" {
		t.Errorf("cancel: %+v %v", c, r)
	}
	for _, p := range []string{``, `{}`, `{"id":42}`, `{"id":"42","x":1}`, `{"id":"42","prompt":"x"}`, `["42"]`, strings.Repeat("x", 5000)} {
		if _, r := mqtt.ParseCancel([]byte(p)); r == nil {
			t.Errorf("cancel %q is taken", clip(p))
		}
	}
	if a, r := mqtt.ParseAdmin([]byte(`{"id":"1","model":"llama-1b"}`)); r != nil || a != (mqtt.AdminAsk{ID: "1", Model: "llama-1b"}) {
		t.Errorf("admin: %+v %v", a, r)
	}
	for _, p := range []string{``, `{}`, `{"id":"1","model":1}`, `{"id":"1","model":""}`, `{"id":"1","verb":"x"}`, strings.Repeat("x", 5000)} {
		if _, r := mqtt.ParseAdmin([]byte(p)); r == nil {
			t.Errorf("admin %q is taken", clip(p))
		}
	}
}

func clip(s string) string { return s[:min(len(s), 40)] }

func TestCodes(t *testing.T) {
	want := map[mqtt.Code]string{0: "ok", 10: "bad_request", 11: "unknown_skill", 12: "bad_args", 13: "too_large", 14: "denied", 15: "rate_limited", 16: "id_conflict",
		20: "queue_full", 21: "expired", 22: "deadline", 23: "cancelled", 24: "draining", 30: "too_hot", 31: "low_memory", 32: "not_ready", 33: "fault", 34: "schema_failed", 50: "internal"}
	if len(mqtt.Codes()) != len(want) {
		t.Errorf("%d codes, want %d", len(mqtt.Codes()), len(want))
	}
	retry := map[mqtt.Code]bool{15: true, 20: true, 24: true, 30: true, 31: true, 32: true}
	for code, name := range want {
		if code.String() != name || code.Retry() != retry[code] {
			t.Errorf("code %d is %q, retry %v", code, code, code.Retry())
		}
	}
	if s := mqtt.Code(99).String(); s != "unknown" {
		t.Errorf("code 99 is %q", s)
	}
}

func TestAnswerEncode(t *testing.T) {
	long := mqtt.Answer{ID: "42", Board: "b03", Text: strings.Repeat("ü\"", 4000)}
	payload, whole := long.Encode(0)
	var got mqtt.Answer
	if err := json.Unmarshal(payload, &got); err != nil {
		t.Fatal(err)
	}
	if whole || len(payload) > 4096 || len(payload) < 4090 || !strings.HasPrefix(long.Text, got.Text) || got.Finish != mqtt.FinishLength || got.Code != 0 {
		t.Errorf("cut to %d bytes, finish %q, code %d", len(payload), got.Finish, got.Code)
	}
	data := mqtt.Answer{ID: "42", Data: json.RawMessage(`"` + strings.Repeat("x", 5000) + `"`)}
	payload, whole = data.Encode(0)
	got = mqtt.Answer{}
	if err := json.Unmarshal(payload, &got); err != nil {
		t.Fatal(err)
	}
	if whole || got.Code != mqtt.TooLarge || got.Data != nil || got.ID != "42" {
		t.Errorf("data that does not fit: %s", payload)
	}
	payload, whole = mqtt.Answer{ID: "42", Data: json.RawMessage(`{`)}.Encode(0)
	if whole || !strings.Contains(string(payload), `"code":50`) {
		t.Errorf("data that is no JSON: %s", payload)
	}
	payload, whole = mqtt.Answer{ID: "<1>", Code: mqtt.QueueFull, RetryMS: 500}.Encode(0)
	for _, want := range []string{`{"v":1,"id":"<1>"`, `"code":20,"status":"queue_full"`, `"advisory":true`, `"retry_ms":500`} {
		if !whole || !strings.Contains(string(payload), want) {
			t.Errorf("%s lacks %s", payload, want)
		}
	}
}

// FuzzParseAsk: whatever the bytes, an ask or a refusal with a sentence, and
// what was taken in means the same when it is written and read again.
func FuzzParseAsk(f *testing.F) {
	for _, s := range []string{
		`{"id":"42","prompt":"hi"}`, `{"id":42}`, `{"id":"1","args":{"a":[1,{"b":null}]},"seed":1}`, `[`, `{"id":"1","id":"2"}`, "\xff",
		`{"id":"1","prompt":"\ud800","deadline_ms":6e4,"lang":"pt-BR","schema":{"a":1e5},"stream":true}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		a, r := mqtt.ParseAsk(payload, mqtt.Limits{})
		if r != nil {
			if r.Text == "" || !utf8.ValidString(r.Text) || r.Code != mqtt.BadRequest && r.Code != mqtt.TooLarge {
				t.Fatalf("refusal %+v", r)
			}
			return
		}
		again, err := mqtt.Encode(a)
		if err != nil {
			t.Fatal(err)
		}
		b, r := mqtt.ParseAsk(again, mqtt.Limits{MaxBytes: 1 << 20})
		if r != nil {
			t.Fatalf("%s became %s: %v", payload, again, r)
		}
		b.Args, b.Schema = a.Args, a.Schema // raw JSON may be written in another way
		if d := cmp.Diff(a, b); d != "" {
			t.Fatalf("%s: %s", payload, d)
		}
	})
}
