// Package bench measures an engine as a plant would use it: the plant workload
// over HTTP, decode speed against the raw loop, memory and restart.
//
// It judges nothing: it prints figures, and writes down on what they were taken.
package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"lineside/inference"
)

// Plant is the workload: devices that each send asks one after another. All
// asks share a long system prompt, each has a short question of its own, and
// the answer is JSON under a schema.
type Plant struct {
	Devices   int
	Asks      int // by each device
	Lines     int // of the shared manual; 40 lines are about 600 tokens
	MaxTokens int
	FreeText  bool // ask for text instead of JSON
	Warm      int  // asks before the clock starts
	Round     int  // makes questions differ from those of other rounds
}

// PlantResult is what a run of the workload took.
type PlantResult struct {
	Asks       int     `json:"asks"`
	Bad        int     `json:"bad"`         // failed, or not valid under the schema
	WallS      float64 `json:"wall_s"`      // seconds for all
	AsksPerS   float64 `json:"asks_per_s"`  // answers a second
	TokensPerS float64 `json:"tok_per_s"`   // answer tokens a second
	P50S       float64 `json:"p50_s"`       // seconds an ask, median
	P95S       float64 `json:"p95_s"`       // seconds an ask, 95th percentile
	FirstP50S  float64 `json:"first_p50_s"` // seconds to the first text, median
	Cached     float64 `json:"cached"`      // share of prompt tokens that were shared
	FirstBad   string  `json:"first_bad,omitempty"`
}

const plantSchema = `{"type":"object","additionalProperties":false,` +
	`"required":["severity","action","component","within_minutes","needs_technician"],"properties":{` +
	`"severity":{"enum":["info","warning","critical"]},` +
	`"action":{"enum":["continue_production","reduce_speed","stop_line","call_maintenance"]},` +
	`"component":{"enum":["coolant_pump","main_spindle","conveyor_drive","hydraulic_unit"]},` +
	`"within_minutes":{"enum":[0,5,15,60,480]},"needs_technician":{"type":"boolean"}}}`

var words = strings.Fields("pump valve conveyor spindle coolant pressure drive axis sensor gripper hopper " +
	"bearing filter motor relay encoder torque vibration temperature alarm limit")

// manual is the prompt that every ask of the plant shares.
func manual(lines int) string {
	r := rand.New(rand.NewPCG(7, 7))
	var b strings.Builder
	b.WriteString("You answer for plant line 4. Alarm manual:")
	for i := range lines {
		fmt.Fprintf(&b, "\nE%d:", 100+i)
		for range 9 {
			b.WriteByte(' ')
			b.WriteString(words[r.IntN(len(words))])
		}
		b.WriteByte('.')
	}
	return b.String()
}

func (p Plant) request(system string, device, i int) *inference.Request {
	r := &inference.Request{
		ID: fmt.Sprintf("d%d-%d", device, i), Client: fmt.Sprintf("device%d", device), MaxTokens: p.MaxTokens,
		Messages: []inference.Message{
			{Role: inference.RoleSystem, Content: system},
			{Role: inference.RoleUser, Content: fmt.Sprintf("Device %d ask %d: alarm E%d value %d.%d on axis %d. What now?",
				device, i, 100+(device*13+i*7)%p.Lines, device*17+i*3, i, device)},
		},
	}
	if !p.FreeText {
		r.Format = inference.Format{Kind: inference.FormatJSONSchema, Schema: json.RawMessage(plantSchema)}
	}
	return r
}

// Run plays the workload against c and measures it.
func (p Plant) Run(ctx context.Context, c *inference.Client) (PlantResult, error) {
	system := manual(p.Lines)
	for i := range p.Warm {
		if _, err := c.Generate(ctx, p.request(system, 99, i), nil); err != nil {
			return PlantResult{}, fmt.Errorf("warm-up ask: %w", err)
		}
	}
	var (
		mu           sync.Mutex
		total, first []float64
		res          PlantResult
		tokens       int
		prompt, hit  int
		wg           sync.WaitGroup
	)
	start := time.Now()
	for d := range p.Devices {
		wg.Go(func() {
			for i := range p.Asks {
				t0 := time.Now()
				out, err := c.Generate(ctx, p.request(system, d, i+p.Round*p.Asks), nil)
				if err == nil && !p.FreeText {
					err = fits(out.Text)
				}
				mu.Lock()
				res.Asks++
				if err != nil {
					if res.Bad++; res.FirstBad == "" {
						res.FirstBad = err.Error()
					}
				} else {
					total = append(total, time.Since(t0).Seconds())
					first = append(first, out.Timings.First.Seconds())
					tokens += out.Usage.Completion
					prompt += out.Usage.Prompt
					hit += out.Usage.Cached
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return res, err
	}
	res.WallS = time.Since(start).Seconds()
	res.AsksPerS = float64(res.Asks-res.Bad) / res.WallS
	res.TokensPerS = float64(tokens) / res.WallS
	res.P50S, res.P95S, res.FirstP50S = quantile(total, 0.5), quantile(total, 0.95), quantile(first, 0.5)
	if prompt > 0 {
		res.Cached = float64(hit) / float64(prompt)
	}
	return res, nil
}

// fits checks an answer to plantSchema, enough to notice a broken engine.
func fits(text string) error {
	var v struct {
		Severity        *string `json:"severity"`
		Action          *string `json:"action"`
		Component       *string `json:"component"`
		WithinMinutes   *int    `json:"within_minutes"`
		NeedsTechnician *bool   `json:"needs_technician"`
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		return fmt.Errorf("answer %.200q: %w", text, err)
	}
	if v.Severity == nil || v.Action == nil || v.Component == nil || v.WithinMinutes == nil || v.NeedsTechnician == nil {
		return fmt.Errorf("answer %.200q lacks a property", text)
	}
	return nil
}

func quantile(v []float64, p float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return v[min(len(v)-1, int(p*float64(len(v))))]
}
