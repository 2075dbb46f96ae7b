package main

import (
	"encoding/json"
	"strings"
	"testing"

	"lineside/daemon/skill"
	"lineside/inference/model/demo"
	"lineside/tools/demomodel/corpus"
)

// TestSkillsSpeakAsTrained: the shipped skills make, byte for byte, the prompts
// that the demo model was trained on, and take its right answers.
func TestSkillsSpeakAsTrained(t *testing.T) {
	skills := map[string]*skill.Skill{}
	for name, text := range demo.Skills() {
		s, err := skill.Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		skills[s.Name] = s
	}
	w := corpus.NewWriter(9, true)
	for range 2000 {
		a := w.Next()
		if !a.Skill {
			continue
		}
		name := string(a.Kind)
		if a.Kind == corpus.Unknown {
			name = "alarm"
		}
		s := skills[name]
		got, err := s.Apply(argsOf(t, name, a.User), "")
		if err != nil {
			t.Fatalf("%s: %v", a.User, err)
		}
		if got.System != a.System || got.Prompt != a.User {
			t.Fatalf("the skill asks %q, %q; training had %q, %q", got.System, got.Prompt, a.System, a.User)
		}
		if s.Schema != nil {
			if err := s.Check(json.RawMessage(a.Answer)); err != nil {
				t.Errorf("%s: %v", a.Answer, err)
			}
		}
	}
}

// argsOf finds the arguments in a question again.
func argsOf(t *testing.T, skill, user string) json.RawMessage {
	t.Helper()
	if skill == "extract" {
		b, err := json.Marshal(map[string]string{"entry": user})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	head, _, _ := strings.Cut(user, ". What")
	fields := strings.Split(strings.TrimSuffix(head, "."), ", ")
	args := map[string]any{"code": strings.TrimPrefix(fields[0], "Alarm ")}
	for _, f := range fields[1:] {
		words := strings.Fields(f)
		args[words[0]] = json.Number(words[1])
	}
	b, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
