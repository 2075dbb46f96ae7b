package corpus_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"lineside/tools/demomodel/corpus"
	"lineside/tools/demomodel/plant"
)

func draw(seed uint64, held bool, n int) []corpus.Ask {
	w := corpus.NewWriter(seed, held)
	asks := make([]corpus.Ask, n)
	for i := range asks {
		asks[i] = w.Next()
	}
	return asks
}

func TestSameSeedSameAsks(t *testing.T) {
	if !slices.Equal(draw(3, false, 500), draw(3, false, 500)) {
		t.Error("one seed gave two corpora")
	}
	if slices.Equal(draw(3, false, 500), draw(4, false, 500)) {
		t.Error("two seeds gave one corpus")
	}
}

// TestHeldOutIsHeldOut: no held-out question is ever a training question, but
// for the skill's own words about an alarm with a value, which are few.
func TestHeldOutIsHeldOut(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range draw(1, false, 60_000) {
		seen[a.User] = true
	}
	for _, a := range draw(1, true, 5000) {
		if seen[a.User] && !(a.Kind == corpus.Alarm && a.Skill) {
			t.Errorf("%s: %q is in training too", a.Kind, a.User)
		}
	}
}

func TestMorePhrasingsThanFit(t *testing.T) {
	seen := map[string]bool{}
	asks := draw(1, false, 20_000)
	for _, a := range asks {
		seen[a.User] = true
	}
	if share := float64(len(seen)) / float64(len(asks)); share < 0.9 {
		t.Errorf("only %.0f %% of the asks differ", 100*share)
	}
}

func TestAnswers(t *testing.T) {
	for _, a := range draw(2, false, 3000) {
		switch a.Kind {
		case corpus.Triage, corpus.Extract:
			if !json.Valid([]byte(a.Answer)) || strings.ContainsAny(a.Answer, "\n\t") {
				t.Errorf("%s: not compact JSON: %s", a.Kind, a.Answer)
			}
		case corpus.Unknown:
			if !strings.HasPrefix(a.Answer, "I don't know alarm ") {
				t.Errorf("%q is answered with %q", a.User, a.Answer)
			}
		}
		if strings.ContainsAny(a.User+a.Answer, "{}") && a.Kind != corpus.Triage && a.Kind != corpus.Extract {
			t.Errorf("a place was left open: %q %q", a.User, a.Answer)
		}
	}
}

func TestTriageRule(t *testing.T) {
	for _, c := range []struct {
		code string
		r    plant.Readings
		want plant.Verdict
	}{
		{"E301", plant.Readings{Temperature: 20, Vibration: 10, Load: 50}, plant.Verdict{Severity: "medium", Action: "clean", Component: "plate cooler", Minutes: 120}},
		{"E301", plant.Readings{Temperature: 60, Vibration: 39, Load: 89}, plant.Verdict{Severity: "high", Action: "clean", Component: "plate cooler", Minutes: 30}},
		{"E301", plant.Readings{Temperature: 20, Vibration: 70, Load: 50}, plant.Verdict{Severity: "critical", Action: "stop_line", Component: "plate cooler"}},
		{"E422", plant.Readings{Temperature: 59, Vibration: 39, Load: 89}, plant.Verdict{Severity: "low", Action: "refill", Component: "cap hopper", Minutes: 480}},
		{"E999", plant.Readings{Temperature: 20, Vibration: 10, Load: 110}, plant.Verdict{Severity: "critical", Action: "stop_line", Component: "unknown"}},
	} {
		if got := plant.Triage(c.code, c.r); got != c.want {
			t.Errorf("%s %+v: %+v, want %+v", c.code, c.r, got, c.want)
		}
	}
}
