package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lineside/inference"
)

// Figure is one measured value beside what it should reach.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Goal  string  `json:"goal"` // as docs/performance.md has it; empty where there is none
	OK    bool    `json:"ok"`   // reached, or there is no goal
}

// Report is a whole measurement.
type Report struct {
	Board   string   `json:"board"` // what it was taken on; for the caller to fill in
	Taken   string   `json:"taken"` // when, RFC 3339
	Model   string   `json:"model"`
	Figures []Figure `json:"figures"`

	ideal int64 // bytes of the model file and the KV cache
}

func (r *Report) add(name string, v float64, unit, goal string, ok bool) {
	r.Figures = append(r.Figures, Figure{name, v, unit, goal, ok})
}

// Measure takes all figures of program with model, one after another. kvBytes is the size of the
// KV cache with 4096 cells. say tells what is being measured.
func Measure(ctx context.Context, program, model string, kvBytes int64, ablations bool, say func(string)) (*Report, error) {
	r := &Report{Model: filepath.Base(model), Taken: time.Now().UTC().Format(time.RFC3339)}
	fi, err := os.Stat(model)
	if err != nil {
		return r, err
	}
	r.ideal = fi.Size() + kvBytes
	steps := []func(context.Context, string, string, func(string)) error{r.decode, r.plant, r.restart}
	if ablations {
		steps = append(steps, r.ablations)
	}
	for _, step := range steps {
		if err := step(ctx, program, model, say); err != nil {
			return r, err
		}
	}
	return r, nil
}

// with runs fn against an engine in a folder of its own.
func with(ctx context.Context, program, model string, fn func(*Engine) error, flags ...string) error {
	dir, err := os.MkdirTemp("", "lineside-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	e, err := Start(ctx, program, model, dir, append([]string{"--slots", "8", "--ctx", "4096"}, flags...)...)
	if err != nil {
		return err
	}
	return errors.Join(fn(e), e.Stop())
}

// decodeTokens is how many tokens a stream decodes for a figure: so many that the
// first passes, when not all streams decode yet, count for little.
const decodeTokens = 96

func (r *Report) decode(ctx context.Context, program, model string, say func(string)) error {
	for _, s := range []struct {
		streams int
		goal    float64
	}{{1, 0.97}, {8, 0.95}} {
		say(fmt.Sprintf("plain decode, %d streams", s.streams))
		// Before and after: the machine's speed may drift meanwhile.
		before, err := RawLoop(ctx, program, model, s.streams)
		if err != nil {
			return err
		}
		var own float64
		if err := with(ctx, program, model, func(e *Engine) (err error) {
			own, err = e.Decode(ctx, s.streams, decodeTokens)
			return err
		}, "--no-lookup"); err != nil {
			return err
		}
		after, err := RawLoop(ctx, program, model, s.streams)
		if err != nil {
			return err
		}
		raw := (before + after) / 2
		r.add(fmt.Sprintf("raw loop, %d streams", s.streams), raw, "tokens/s", "", true)
		r.add(fmt.Sprintf("plain decode, %d streams", s.streams), own, "tokens/s", "", true)
		r.add(fmt.Sprintf("decode / raw loop, %d streams", s.streams), own/raw, "", fmt.Sprintf("≥ %.2f", s.goal), own >= s.goal*raw)
	}
	return nil
}

func (r *Report) plant(ctx context.Context, program, model string, say func(string)) error {
	const raw = "plant, 8 devices, prefix not known"
	say(raw)
	if err := with(ctx, program, model, func(e *Engine) error {
		res, err := Plant{Devices: 8, Asks: 3, Lines: 40, MaxTokens: 96}.Run(ctx, e.Client)
		r.add(raw, res.AsksPerS, "asks/s", "", true)
		return err
	}); err != nil {
		return err
	}
	return with(ctx, program, model, func(e *Engine) error {
		for _, p := range []struct {
			name           string
			plant          Plant
			rate, p95, p50 float64
		}{
			{"plant, 8 devices, cold but for one ask", Plant{Devices: 8, Asks: 3, Warm: 1}, 1.2, 10, 0},
			{"plant, 8 devices, warmed", Plant{Devices: 8, Asks: 3, Round: 1}, 1.3, 0, 0},
			{"plant, 1 device, warmed", Plant{Devices: 1, Asks: 4, Round: 2}, 0, 0, 2.5},
		} {
			say(p.name)
			p.plant.Lines, p.plant.MaxTokens = 40, 96
			res, err := p.plant.Run(ctx, e.Client)
			if err != nil {
				return err
			}
			if res.Bad > 0 {
				return fmt.Errorf("%s: %d of %d answers are bad: %s", p.name, res.Bad, res.Asks, res.FirstBad)
			}
			if p.rate > 0 {
				r.add(p.name, res.AsksPerS, "asks/s", fmt.Sprintf("≥ %.1f", p.rate), res.AsksPerS >= p.rate)
			}
			if p.p95 > 0 {
				r.add(p.name+", p95", res.P95S, "s", fmt.Sprintf("≤ %.0f", p.p95), res.P95S <= p.p95)
			}
			if p.p50 > 0 {
				r.add(p.name+", an ask", res.P50S, "s", fmt.Sprintf("≤ %.1f", p.p50), res.P50S <= p.p50)
			}
			r.add(p.name+", prompt tokens shared", 100*res.Cached, "%", "", true)
		}
		peak, err := e.Peak()
		ratio := float64(peak) / float64(r.ideal)
		r.add("peak memory, 8 slots, 4096 cells", float64(peak)/1e6, "MB", "", true)
		r.add("peak memory / (file + KV)", ratio, "", "≤ 1.25", ratio <= 1.25)
		return err
	})
}

// restart holds the first answer after a restart with saved state against one without.
func (r *Report) restart(ctx context.Context, program, model string, say func(string)) error {
	say("restart with a known prefix")
	dir, err := os.MkdirTemp("", "lineside-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ask := Plant{Lines: 40, MaxTokens: 96}.request(manual(40), 1, 1)
	first := func(state string, pin bool) (time.Duration, error) {
		e, err := Start(ctx, program, model, dir, "--slots", "8", "--ctx", "4096", "--state-dir", state)
		if err != nil {
			return 0, err
		}
		begun := time.Now()
		_, err = e.Generate(ctx, ask, nil)
		took := time.Since(begun)
		if err == nil && pin {
			err = e.Pin(ctx, []inference.Message{ask.Messages[0]})
		}
		return took, errors.Join(err, e.Stop())
	}
	state := filepath.Join(dir, "state")
	without, err := first(state, true)
	if err != nil {
		return err
	}
	with, err := first(state, false)
	if err != nil {
		return err
	}
	ratio := with.Seconds() / without.Seconds()
	r.add("first answer after a restart", with.Seconds(), "s", "", true)
	r.add("the same without saved state", without.Seconds(), "s", "", true)
	r.add("restart with / without state", ratio, "", "≤ 0.3", ratio <= 0.3)
	return nil
}

// ablations runs the workload on a new engine, with everything on and with one
// technique or two switched off.
func (r *Report) ablations(ctx context.Context, program, model string, say func(string)) error {
	const noPrefix, noJump, noLookup = "--no-prefix-sharing", "--no-jump-forward", "--no-lookup"
	json := Plant{Devices: 8, Asks: 2, Lines: 40, MaxTokens: 96}
	free := Plant{Devices: 1, Asks: 2, Lines: 40, MaxTokens: 96, FreeText: true}
	for _, set := range []struct {
		name  string
		plant Plant
		off   [][]string
	}{
		{"JSON, 8 devices × 2", json, [][]string{nil, {noPrefix}, {noJump}, {noLookup}, {noPrefix, noLookup}, {noPrefix, noJump, noLookup}}},
		{"free text, 1 device × 2", free, [][]string{nil, {noLookup}}},
	} {
		all := 0.0
		for _, off := range set.off {
			name := set.name + ", " + cmp.Or(strings.Join(off, " "), "everything on")
			say(name)
			var res PlantResult
			if err := with(ctx, program, model, func(e *Engine) (err error) {
				res, err = set.plant.Run(ctx, e.Client)
				return err
			}, off...); err != nil {
				return err
			}
			if off == nil {
				all = res.AsksPerS
			}
			r.add(name, res.AsksPerS, "asks/s", "", true)
			r.add(name+", of everything on", res.AsksPerS/all, "", "", true)
		}
	}
	return nil
}
