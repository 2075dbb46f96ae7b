package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"lineside/daemon/skill"
	"lineside/inference/model/demo"
	"lineside/tools/demomodel/corpus"
	"lineside/tools/demomodel/plant"
)

// goldenAsks come with the plant's own right answers, which the model must give.
func goldenAsks() []demo.Ask {
	reading := func(code string, t, v, l int) string {
		b, err := json.Marshal(plant.Triage(code, plant.Readings{Temperature: t, Vibration: v, Load: l}))
		if err != nil {
			panic(err) // plain strings and numbers always marshal
		}
		return string(b)
	}
	return []demo.Ask{
		{Skill: "alarm", Args: json.RawMessage(`{"code":"E301","value":11.4}`), Answer: plant.Explain("E301", "11.4")},
		{Skill: "alarm", Args: json.RawMessage(`{"code":"E542"}`), Answer: plant.Explain("E542", "")},
		{Skill: "alarm", Args: json.RawMessage(`{"code":"E42","value":71.3}`), Answer: plant.Explain("E42", "71.3")},
		{Skill: "triage", Args: json.RawMessage(`{"code":"E301","temperature":64,"vibration":2.1,"load":71}`), Answer: reading("E301", 64, 21, 71)},
		{Skill: "triage", Args: json.RawMessage(`{"code":"E358","temperature":58,"vibration":9.3,"load":84}`), Answer: reading("E358", 58, 93, 84)},
		{Skill: "extract", Args: json.RawMessage(`{"entry":"Night shift: filler 2 stopped 14 min, E331, broken spring, fitter Novak came."}`),
			Answer: `{"line":2,"machine":"filler","code":"E331","minutes":14,"reason":"broken spring"}`},
		{Skill: "extract", Args: json.RawMessage(`{"entry":"06:40 lost 25 minutes on labeler line 1, torn label roll, no alarm."}`),
			Answer: `{"line":1,"machine":"labeler","code":"none","minutes":25,"reason":"torn label roll"}`},
		{Skill: "extract", Args: json.RawMessage(`{"entry":"Late shift: palletizer 1 down 35 min with E807, worn chain, told Meyer."}`),
			Answer: `{"line":1,"machine":"palletizer","code":"E807","minutes":35,"reason":"worn chain"}`},
		{Prompt: "Labeler 1 shows E502. What should I do?", Answer: plant.Explain("E502", "")},
		{Prompt: "What is the set point for bowl pressure of filler 2?", Answer: "The set point for bowl pressure of filler 2 is 2.1 bar."},
		{Prompt: "Write a poem about the sea.", Answer: plant.NotMine},
	}
}

// freeSystem is what the daemon prefaces free prompts with.
const freeSystem = "You are the assistant of a factory. Answer briefly and plainly. Say so where you do not know."

// asAsked fills a skill's prompt in, as the daemon does.
func asAsked(g demo.Ask) (corpus.Ask, error) {
	if g.Skill == "" {
		return corpus.Ask{System: freeSystem, User: g.Prompt}, nil
	}
	s, err := skill.Parse(demo.Skills()[g.Skill+".toml"])
	if err != nil {
		return corpus.Ask{}, fmt.Errorf("skill %s: %w", g.Skill, err)
	}
	filled, err := s.Apply(g.Args, "")
	return corpus.Ask{System: filled.System, User: filled.Prompt}, err
}

// golden writes the fixed asks with the model's answers to a file, and fails
// where the model does not give the right one.
func golden(answer answerer, file string) error {
	asks := goldenAsks()
	for _, g := range asks {
		a, err := asAsked(g)
		if err != nil {
			return err
		}
		got, err := answer(context.Background(), a)
		if err != nil {
			return err
		}
		if got != g.Answer {
			return fmt.Errorf("%q: the model says %q, right is %q: choose another ask or train longer", a.User, got, g.Answer)
		}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(asks); err != nil {
		return err
	}
	return os.WriteFile(file, b.Bytes(), 0o644)
}
