package engine_test

import (
	"encoding/json"
	"testing"

	"lineside/inference"
	"lineside/inference/engine"
	"lineside/inference/engine/enginetest"
)

const plantSchema = `{"type":"object","additionalProperties":false,
 "required":["severity","action","component","within_minutes","needs_technician"],
 "properties":{"severity":{"enum":["info","warning","critical"]},
  "action":{"enum":["continue_production","reduce_speed","stop_line","call_maintenance"]},
  "component":{"enum":["coolant_pump","main_spindle","conveyor_drive","hydraulic_unit"]},
  "within_minutes":{"enum":[0,5,15,60,480]},
  "needs_technician":{"type":"boolean"}}}`

func schema(r *inference.Request, s string) *inference.Request {
	r.Format = inference.Format{Kind: inference.FormatJSONSchema, Schema: json.RawMessage(s)}
	return r
}

// TestPlantPasses holds the plant's answers to little more than a pass for each of
// the five decisions; some values begin with the same token, which makes two.
func TestPlantPasses(t *testing.T) {
	h := open(t, enginetest.Config{}, engine.Options{})
	for i := range 8 {
		r := schema(text("You answer for line 4.", "alarm "+string(rune('a'+i))), plantSchema)
		r.MaxTokens = 96
		before := h.Stats().Passes
		res := h.ask(t, r)
		if !json.Valid([]byte(res.Text)) {
			t.Errorf("answer %q", res.Text)
		}
		if n := h.Stats().Passes - before; n > 7 {
			t.Errorf("%d passes for %q, want at most 7", n, res.Text)
		}
	}
}
