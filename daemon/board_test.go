package daemon

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"lineside/hw"
)

// TestHealthWithoutLimits: a control group without a limit reads as infinite,
// which JSON cannot say; it must not cost the whole health message.
func TestHealthWithoutLimits(t *testing.T) {
	s := hw.Sample{Readings: []hw.Reading{
		{Kind: hw.Memory, Name: "group-max", Value: math.Inf(1), Quality: hw.Good},
		{Kind: hw.Memory, Name: "available", Value: 5, Quality: hw.Good},
		{Kind: hw.Temperature, Name: "cpu", Value: math.NaN()},
	}}
	b, err := json.Marshal(healthReadings(&s, time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	var back map[string]map[string]any
	if err := json.Unmarshal(b, &back); err != nil || back["memory/available"] == nil || back["memory/group-max"] != nil {
		t.Errorf("%s: %v", b, err)
	}
}
