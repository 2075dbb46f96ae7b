package homeassistant_test

import (
	"encoding/json"
	"testing"

	"lineside/mqtt"
	"lineside/mqtt/homeassistant"
)

func TestDiscovery(t *testing.T) {
	topics := mqtt.Topics{Prefix: "acme", Board: "b.03"}
	payload, err := homeassistant.Discovery(topics, mqtt.Info{Hardware: "Raspberry Pi 5", Lineside: "1.0"}, mqtt.Health{Readings: map[string]mqtt.Reading{
		"temperature/cpu": {Value: 61, Unit: "°C", Quality: mqtt.QualityGood}, "queue": {Unit: "1"}, "o'dd": {Unit: "bytes"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Device     struct{ Identifiers []string }
		Components map[string]map[string]string
	}
	if err := json.Unmarshal(payload, &d); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]map[string]string{
		"state":                   {"state_topic": "acme/llm/v1/b.03/status", "unique_id": "lineside_b_03_state"},
		"reading_temperature_cpu": {"unit_of_measurement": "°C", "device_class": "temperature", "state_topic": "acme/llm/v1/b.03/health"},
		"reading_queue":           {"unit_of_measurement": "", "platform": "sensor"},
		"reading_o_dd":            {"unit_of_measurement": "B", "value_template": `{% set r = value_json.readings.get('o\'dd') %}{{ r.value if r and r.quality == 192 }}`},
	} {
		for field, v := range want {
			if got := d.Components[key][field]; got != v {
				t.Errorf("%s %s: %q, want %q", key, field, got, v)
			}
		}
	}
	for key, c := range d.Components {
		if c["command_topic"] != "" {
			t.Errorf("%s lets Home Assistant write", key)
		}
	}
	if got := homeassistant.Topic("homeassistant", "b.03"); got != "homeassistant/device/lineside_b_03/config" {
		t.Error(got)
	}
}
