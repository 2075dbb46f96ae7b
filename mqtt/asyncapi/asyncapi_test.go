package asyncapi_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"lineside/mqtt"
	"lineside/mqtt/asyncapi"
)

var update = flag.Bool("update", false, "write docs/mqtt anew")

const docs = "../../docs/mqtt"

// TestDocs: the files in docs/ are what the code says. go test ./mqtt/asyncapi -update writes them.
func TestDocs(t *testing.T) {
	files := map[string][]byte{"asyncapi.json": asyncapi.Document()}
	for _, p := range asyncapi.Payloads() {
		files[filepath.Join("schema", p.Name+".json")] = p.Schema()
	}
	for name, want := range files {
		file := filepath.Join(docs, name)
		if *update {
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the code says (%v): go test ./mqtt/asyncapi -update", file, err)
		}
	}
}

func compile(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(filepath.Join(docs, "schema", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func valid(t *testing.T, s *jsonschema.Schema, payload []byte) error {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(payload))
	if err != nil {
		t.Fatalf("%s: %v", payload, err)
	}
	return s.Validate(v)
}

// TestAskSchema: the schema and the parser agree on what an ask is, as far as a
// schema can say it.
func TestAskSchema(t *testing.T) {
	s := compile(t, "ask")
	for _, c := range []struct {
		payload string
		ok      bool
	}{
		{`{"id":"42","prompt":"hi"}`, true},
		{`{"id":"42","args":{"code":"E42","value":71.3},"lang":"de","deadline_ms":60000,"max_chars":200,"stream":false,"ack":true,"seed":1}`, true},
		{`{"id":"1","prompt":"x","deadline_ms":60000.0,"schema":{"type":"object"}}`, true},
		{`{"id":"1"}`, false},
		{`{"id":"1","prompt":"x","args":{}}`, false},
		{`{"id":1,"prompt":"x"}`, false},
		{`{"id":"","prompt":"x"}`, false},
		{`{"prompt":"x"}`, false},
		{`{"id":"1","prompt":"x","more":1}`, false},
		{`{"id":"1","prompt":"x","deadline_ms":0}`, false},
		{`{"id":"1","prompt":"x","max_chars":1.5}`, false},
		{`{"id":"1","prompt":"x","seed":-1}`, false},
		{`{"id":"1","prompt":"x","stream":1}`, false},
		{`{"id":"1","args":[]}`, false},
		{`{"id":"1","prompt":""}`, false},
		{`{"id":"` + strings.Repeat("x", 129) + `","prompt":"x"}`, false},
		{`[]`, false},
	} {
		_, refusal := mqtt.ParseAsk([]byte(c.payload), mqtt.Limits{})
		bySchema := valid(t, s, []byte(c.payload))
		if (refusal == nil) != c.ok || (bySchema == nil) != c.ok {
			t.Errorf("%s: parser says %v, schema says %v, want ok: %v", c.payload, refusal, bySchema, c.ok)
		}
	}
}

// TestPayloadsFitTheirSchemas: what the types encode to is what the schemas say.
func TestPayloadsFitTheirSchemas(t *testing.T) {
	stamps := mqtt.Stamps{Boot: "7f3a", Seq: 17, TS: "2026-01-02T03:04:05.000Z", Clock: mqtt.ClockSynced}
	answer, _ := mqtt.Answer{ID: "42", Board: "b03", Text: "Bearing 3", Data: json.RawMessage(`{"cause":"bearing"}`), Finish: mqtt.FinishStop, Stamps: stamps}.Encode(0)
	refusal, _ := mqtt.Answer{Board: "b03", Code: mqtt.TooHot, Text: "82 °C", RetryMS: 9000, Stamps: stamps}.Encode(0)
	for _, c := range []struct {
		name    string
		payload any
	}{
		{"answer", json.RawMessage(answer)},
		{"answer", json.RawMessage(refusal)},
		{"ack", mqtt.Ack{ID: "42", State: mqtt.AckQueued, Pos: 2, ETAMS: 4000}},
		{"chunk", mqtt.Chunk{ID: "42", Text: "Bea"}},
		{"cancel", mqtt.Cancel{ID: "42"}},
		{"status", mqtt.Status{State: mqtt.StateReady, Boot: "7f3a", TS: stamps.TS, Clock: mqtt.ClockUnsynced}},
		{"health", mqtt.Health{V: 1, Board: "b03", Readings: map[string]mqtt.Reading{"cpu": {Value: 61.5, Unit: "°C", Quality: mqtt.QualityGood, AgeMS: 800}}, Stamps: stamps}},
		{"event", mqtt.Event{V: 1, Board: "b03", Event: mqtt.EventDenied, Client: "plc9", Stamps: stamps}},
		{"skill", mqtt.SkillCard{V: 1, Name: "alarm", Version: 3, Languages: []string{"de"}, Args: json.RawMessage(`{"type":"object"}`), Advisory: true}},
		{"info", mqtt.Info{V: 1, Board: "b03", API: "llm/v1", Protocol: "5", Skills: []mqtt.SkillRef{{Name: "alarm", Version: 3}}, Pools: []string{},
			Limits: mqtt.InfoLimits{Queue: 1, MaxAskBytes: 1, MaxAnswerBytes: 1, MaxAnswerTokens: 1, DeadlineDefaultMS: 1, DeadlineMaxMS: 1}, Stamps: stamps}},
		{"admin", mqtt.AdminAsk{ID: "1", Model: "llama"}},
		{"admin-answer", mqtt.AdminAnswer{V: 1, ID: "1", Board: "b03", Verb: "drain", Status: "ok", Stamps: stamps}},
	} {
		payload, err := mqtt.Encode(c.payload)
		if err != nil {
			t.Fatal(err)
		}
		if err := valid(t, compile(t, c.name), payload); err != nil {
			t.Errorf("%s: %s: %v", c.name, payload, err)
		}
		if bad := bytes.Replace(payload, []byte(`"board":"b03"`), []byte(`"board":"b/3"`), 1); !bytes.Equal(bad, payload) {
			if valid(t, compile(t, c.name), bad) == nil {
				t.Errorf("%s: the schema takes a bad board id", c.name)
			}
		}
	}
}

// TestDocumentNamesEveryKind: no topic of the API is missing.
func TestDocumentNamesEveryKind(t *testing.T) {
	var d struct {
		Channels map[string]struct{ Address string }
	}
	if err := json.Unmarshal(asyncapi.Document(), &d); err != nil {
		t.Fatal(err)
	}
	kinds := map[mqtt.Kind]bool{}
	for name, c := range d.Channels {
		topic := strings.NewReplacer("{prefix}", "acme", "{", "", "}", "").Replace(c.Address)
		a, err := mqtt.Topics{Prefix: "acme"}.Parse(topic)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		kinds[a.Kind] = true
	}
	if len(kinds) != 13 {
		t.Errorf("%d kinds of topic: %v", len(kinds), kinds)
	}
}
