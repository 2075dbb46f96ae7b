// Package homeassistant writes the discovery message with which Home Assistant
// shows a board and its readings.
//
// It is a bridge for those who want one: a tool publishes the message once,
// under its own account. A board itself never publishes outside its own topics,
// and nothing here lets Home Assistant ask or switch anything.
package homeassistant

import (
	"fmt"
	"strings"

	"lineside/mqtt"
)

// Topic is where Home Assistant looks for the board, retained.
func Topic(discoveryPrefix, board string) string {
	return discoveryPrefix + "/device/" + id(board) + "/config"
}

// id fits Home Assistant's rules, which have no dots.
func id(board string) string { return "lineside_" + strings.ReplaceAll(board, ".", "_") }

type component struct {
	Platform      string `json:"platform"`
	UniqueID      string `json:"unique_id"`
	Name          string `json:"name"`
	StateTopic    string `json:"state_topic"`
	ValueTemplate string `json:"value_template"`
	Attributes    string `json:"json_attributes_topic,omitempty"`
	Unit          string `json:"unit_of_measurement,omitempty"`
	DeviceClass   string `json:"device_class,omitempty"`
	StateClass    string `json:"state_class,omitempty"`
	Category      string `json:"entity_category,omitempty"`
	Icon          string `json:"icon,omitempty"`
}

// classes are Home Assistant's device classes by unit.
var classes = map[string]string{"°C": "temperature", "W": "power", "V": "voltage", "A": "current", "bytes": "data_size", "s": "duration", "Hz": "frequency"}

// units are Home Assistant's words where they differ from ours.
var units = map[string]string{"bytes": "B", "1": ""}

// Discovery is the message for a board as it describes itself.
func Discovery(t mqtt.Topics, info mqtt.Info, health mqtt.Health) ([]byte, error) {
	unique := func(what string) string { return id(t.Board) + "_" + what }
	components := map[string]component{
		"state": {Platform: "sensor", UniqueID: unique("state"), Name: "State", StateTopic: t.Status(), ValueTemplate: "{{ value_json.state }}", Attributes: t.Status(), Icon: "mdi:robot-industrial"},
		"event": {Platform: "sensor", UniqueID: unique("event"), Name: "Last event", StateTopic: t.Event(), ValueTemplate: "{{ value_json.event }}", Attributes: t.Event(), Icon: "mdi:alert-circle-outline"},
	}
	for name, r := range health.Readings {
		unit, known := units[r.Unit]
		if !known {
			unit = r.Unit
		}
		key := "reading_" + strings.Map(word, name)
		components[key] = component{
			Platform: "sensor", UniqueID: unique(key), Name: name, StateTopic: t.Health(),
			ValueTemplate: fmt.Sprintf("{%% set r = value_json.readings.get(%s) %%}{{ r.value if r and r.quality == %d }}", quote(name), mqtt.QualityGood),
			Unit:          unit, DeviceClass: classes[r.Unit], StateClass: "measurement", Category: "diagnostic",
		}
	}
	return mqtt.Encode(map[string]any{
		"device": map[string]any{
			"identifiers": []string{id(t.Board)}, "name": "Lineside " + t.Board, "manufacturer": "Lineside",
			"model": info.Hardware, "sw_version": info.Lineside,
		},
		"origin": map[string]any{"name": "Lineside", "sw_version": info.Lineside},
		"availability": []any{map[string]any{
			"topic": t.Status(), "value_template": "{{ 'offline' if value_json.state == 'offline' else 'online' }}",
		}},
		"components": components,
		"qos":        1,
	})
}

// word keeps what Home Assistant takes in an id.
func word(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' {
		return r
	}
	return '_'
}

// quote writes a reading's name as a Jinja string. Names come from a board's
// files; a quote in one must not end the string.
func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
