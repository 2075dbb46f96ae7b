package main

import (
	"strings"
	"testing"
	"time"

	"lineside/mqtt"
)

func TestTopView(t *testing.T) {
	v := topView{topics: mqtt.Topics{Prefix: "acme", Board: "b03"}}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, m := range [][2]string{
		{"acme/llm/v1/b03/status", `{"state":"ready","why":"cpu-thermal is at 78 °C"}`},
		{"acme/llm/v1/b03/info", `{"board":"b03","hardware":"Raspberry Pi 5","model":{"name":"demo"}}`},
		{"acme/llm/v1/b03/health", `{"board":"b03","readings":{"temperature/cpu-thermal":{"value":40,"unit":"°C","quality":192}}}`},
		{"acme/llm/v1/b03/health", `{"board":"b03","lamp":"out-of-specification","conditions":["slower","fan_stopped"],
			"readings":{"temperature/cpu-thermal":{"value":78,"unit":"°C","quality":192},"temperature/gpu":{"value":0,"quality":0},"temperature/PMIC-Die":{"value":100,"quality":192},
			"running":{"value":2,"unit":"1","quality":192},
			"throttle/undervoltage":{"value":1,"quality":192},"throttle/throttled":{"value":0,"quality":192},
			"memory/available":{"value":1500000000,"unit":"B","quality":500},"memory/total":{"value":8000000000,"unit":"B","quality":192},
			"queue":{"value":3,"unit":"1","quality":192},"tokens-per-second":{"value":4.81,"unit":"tokens/s","quality":192}}}`},
		{"acme/llm/v1/b03/health", `not json`},
		{"acme/llm/v1/b03/event", `{"event":"throttle","why":"working more slowly"}`},
		{"acme/llm/v1/reply/press/b03/answer", `{"id":"1","code":30,"status":"too_hot","ms":{"total":2},"text":"secret"}`},
	} {
		v.take(m[0], []byte(m[1]), now)
	}
	got := v.render()
	for _, want := range []string{
		"b03          Raspberry Pi 5, demo",
		"state        ready: cpu-thermal is at 78 °C",
		"temperature  78.0 °C cpu-thermal  ▃▆",
		"throttled    undervoltage\n",
		"memory       1.5 GB (old) free of 8.0 GB",
		"power        –",
		"speed        4.8 tokens/s",
		"queue        3 waiting, 2 being answered",
		"the matter   slower, fan_stopped",
		"events       03:04:05 throttle: working more slowly",
		"answers      03:04:05 press 30 too_hot, first 0 ms, total 2 ms, 0 tokens",
		"lamp         yellow, three flashes, pause",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "secret") {
		t.Error("top shows what was answered")
	}
}
