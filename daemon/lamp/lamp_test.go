package lamp

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"lineside/hw"
)

var card = flag.Bool("card", false, "draw docs/led-card.svg anew")

// TestCard holds the card in docs/ to the tables.
func TestCard(t *testing.T) {
	const file = "../../docs/led-card.svg"
	got := Card()
	if *card {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Error("docs/led-card.svg is not what the lamps show: go test ./daemon/lamp -run Card -card")
	}
	for d := xml.NewDecoder(strings.NewReader(got)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range regexp.MustCompile(`<text x="[0-9.]+" y="([0-9.]+)"`).FindAllStringSubmatch(got, -1) {
		if y, err := strconv.ParseFloat(m[1], 64); err != nil || y > cardHeight-8 {
			t.Errorf("a line at %s mm is no longer on the printer's page: %v", m[1], err)
		}
	}
	for c := range conditions {
		if info := conditionTable[c]; info.category >= Maintenance && !strings.Contains(got, strings.ReplaceAll(info.why, "'", "&#39;")) {
			t.Errorf("the card leaves out %s", info.id)
		}
	}
}

// TestTables: everything that can be shown is told apart and has words.
func TestTables(t *testing.T) {
	ids, codes, rhythms := map[string]bool{}, map[int]Condition{}, map[string]Category{}
	for c := None + 1; c < conditions; c++ {
		info := conditionTable[c]
		if info.id == "" || info.why == "" || ids[info.id] {
			t.Errorf("condition %d: %+v", c, info)
		}
		ids[info.id] = true
		if info.category < Maintenance {
			continue
		}
		code := Signal{Category: info.category, Condition: c}.BlinkCode()
		if other, taken := codes[code]; taken {
			t.Errorf("%s and %s both blink %d", info.id, other.ID(), code)
		}
		codes[code] = c
		if flashes := len(Pattern(info.category).Steps) / 2; digits(code)[0] != flashes {
			t.Errorf("%s blinks %d, and its lamp flashes %d times", info.id, code, flashes)
		}
	}
	for c := range categories {
		p := Pattern(c)
		if p.Name == "" || table[c].title == "" || table[c].meaning == "" || table[c].rhythm == "" || len(p.Steps) == 0 {
			t.Errorf("category %d has no words: %+v", c, table[c])
		}
		key := ""
		for _, s := range p.Steps {
			key += s.String() + " "
		}
		if other, taken := rhythms[key]; taken {
			t.Errorf("a lamp of one colour cannot tell %s from %s", c, other)
		}
		rhythms[key] = c
	}
}

func at(s float64) time.Time { return time.Unix(1000, 0).Add(time.Duration(s * float64(time.Second))) }

// TestNext walks through a bad day.
func TestNext(t *testing.T) {
	steps := []struct {
		at     float64
		c      Condition
		active bool
		want   Category
		mqtt   string
	}{
		{0, IsStarting, true, Starting, MQTTStarting},
		{2, IsStarting, false, Good, MQTTReady},
		{3, IsBusy, true, Busy, MQTTReady},
		{3.1, None, false, Busy, MQTTReady},   // time alone ends nothing
		{3.2, IsBusy, false, Busy, MQTTReady}, // held for a second
		{4.1, None, false, Good, MQTTReady},
		{5, ClockUnset, true, Maintenance, MQTTReady},
		{5.1, IsBusy, true, Maintenance, MQTTReady},
		{6, TooHot, true, OutOfSpec, MQTTDegraded},
		{7, EngineDown, true, Failure, MQTTDegraded}, // graver shows at once
		{8, EngineDown, false, Failure, MQTTDegraded},
		{11.9, None, false, Failure, MQTTDegraded}, // held for five seconds
		{12, None, false, OutOfSpec, MQTTDegraded},
		{13, Draining, true, FunctionCheck, MQTTDraining},
		{14, TooHot, false, FunctionCheck, MQTTDraining},
		{20, Draining, false, Maintenance, MQTTReady},
		{30, ClockUnset, false, Busy, MQTTReady},
		{40, Slower, true, OutOfSpec, MQTTReady}, // slower is not refusing
		{41, SensorLost, true, OutOfSpec, MQTTReady},
		{42, TooHot, true, OutOfSpec, MQTTDegraded}, // also behind an older one of its kind
		{43, Draining, true, FunctionCheck, MQTTDraining},
		{44, Draining, false, FunctionCheck, MQTTDegraded}, // the lamp holds, the status need not
		{50, TooHot, false, OutOfSpec, MQTTReady},
		{51, Fault, true, Failure, MQTTDegraded},
	}
	var s State
	for _, step := range steps {
		s = Next(s, Event{At: at(step.at), Condition: step.c, Active: step.active})
		state, why := s.MQTT()
		if got := s.Signal().Category; got != step.want || state != step.mqtt {
			t.Errorf("at %v s: %s, %s; want %s, %s", step.at, got, state, step.want, step.mqtt)
		}
		if state != MQTTReady && why == "" {
			t.Errorf("at %v s: %s without a reason", step.at, state)
		}
	}
	if got := strings.Join(s.Conditions(), " "); got != "fault sensor_lost slower" {
		t.Errorf("conditions: %s", got)
	}
}

// TestOldestOfItsKind: among equals the first one stays, so that two faults do not alternate.
func TestOldestOfItsKind(t *testing.T) {
	var s State
	s = Next(s, Event{At: at(0), Condition: ModelBad, Active: true, Why: "first"})
	s = Next(s, Event{At: at(1), Condition: BrokerLost, Active: true, Why: "second"})
	if g := s.Signal(); g.Condition != ModelBad || g.Why != "first" || g.Level() != slog.LevelError {
		t.Errorf("%+v", g)
	}
	s = Next(s, Event{At: at(2), Condition: ModelBad, Active: true, Why: "still first"})
	if g := s.Signal(); g.Why != "still first" || !g.Since.Equal(at(0)) {
		t.Errorf("new words for the same: %+v", g)
	}
}

// TestNoFlicker: a condition that comes and goes ten times a second changes the
// lamp at most once per hold.
func TestNoFlicker(t *testing.T) {
	var s State
	changes := 0
	for i := range 600 {
		before := s.Signal().Category
		s = Next(s, Event{At: at(float64(i) / 10), Condition: TooHot, Active: i%2 == 0})
		if s.Signal().Category != before {
			changes++
		}
	}
	if changes > 2*60/5+1 {
		t.Errorf("%d changes in a minute", changes)
	}
}

func TestBlinkOut(t *testing.T) {
	p := BlinkOut(30)
	if len(p.Steps) != 8 || p.Steps[6] != time.Second || p.Color != hw.White {
		t.Errorf("30 is spelled %v", p.Steps)
	}
}
