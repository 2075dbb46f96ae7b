package licence_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"lineside/inference/model/licence"
	"lineside/inference/model/modeltest"
)

var folders = map[licence.ID]string{licence.Llama2: "llama2", licence.Llama3: "llama3", licence.Llama31: "llama3_1",
	licence.Llama32: "llama3_2", licence.Llama33: "llama3_3", licence.Llama4: "llama4"}

func published(t *testing.T, id licence.ID, file string) string {
	t.Helper()
	b, err := os.ReadFile(modeltest.Shared(t, "data", "llama-licences", folders[id], file))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestPublishedTexts identifies every published text, also as copies have it.
func TestPublishedTexts(t *testing.T) {
	for id := range folders {
		for file, role := range map[string]licence.Role{"LICENSE": licence.Agreement, "USE_POLICY.md": licence.Policy} {
			text := published(t, id, file)
			straight := strings.NewReplacer("“", `"`, "”", `"`, "’", "'", "–", "-").Replace(text)
			for name, copied := range map[string]string{
				"as published":    text,
				"CRLF":            strings.ReplaceAll(text, "\n", "\r\n"),
				"one line":        strings.Join(strings.Fields(text), " "),
				"straight quotes": straight,
				"without bold":    strings.ReplaceAll(text, "*", ""),
				"with BOM":        "\ufeff" + text,
			} {
				got, ok := licence.Identify([]byte(copied))
				if !ok || got != (licence.Text{Licence: id, Role: role}) {
					t.Errorf("%s/%s %s: %+v, %v", id, file, name, got, ok)
				}
			}
			if got, ok := licence.Identify([]byte(strings.Replace(text, "not", "", 1))); ok {
				t.Errorf("%s/%s without its first \"not\" is still %+v", id, file, got)
			}
			if _, ok := licence.Identify([]byte(text[:len(text)-40])); ok {
				t.Errorf("%s/%s without its end is still itself", id, file)
			}
		}
	}
}

func TestApacheIsOurOwnLicence(t *testing.T) {
	b, err := os.ReadFile("../../../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(b), strings.Split(string(b), "APPENDIX")[0], strings.Replace(string(b), "[yyyy]", "2026", 1)} {
		if got, ok := licence.Identify([]byte(text)); !ok || got.Licence != licence.Apache20 {
			t.Errorf("%+v, %v", got, ok)
		}
	}
}

func TestNormalise(t *testing.T) {
	for text, want := range map[string]string{
		"a  b\n\tc\u00a0d":                        "a b c d",
		"**Llama** _3.2_ `x`":                     "Llama 3.2 'x'",
		"“one” ‘two’ – three":                     `"one" 'two' three`,
		"see [https://a.b/c](https://a.b/c).":     "see https://a.b/c.",
		"see [here](https://a.b/c)":               "see here https://a.b/c",
		"see <https://a.b/c>":                     "see https://a.b/c",
		"* one\n- two\n• three":                   "one two three",
		"## Title\n\n> quoted":                    "Title quoted",
		"1. one\n2. two":                          "1. one 2. two",
		"you will not, or allow others to, do so": "you will not, or allow others to, do so",
	} {
		if got := licence.Normalise(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// TestNoticeIsInTheLicence finds the exact notice strings in the texts that ask for them.
func TestNoticeIsInTheLicence(t *testing.T) {
	for id := range folders {
		d, _ := licence.Of(id)
		text := licence.Normalise(published(t, id, "LICENSE"))
		for what, s := range map[string]string{"notice": d.Notice, "display": d.Display} {
			if !strings.Contains(text, licence.Normalise(s)) {
				t.Errorf("%s: its text does not contain the %s %q", id, what, s)
			}
		}
	}
}

func TestDuties(t *testing.T) {
	for id, want := range map[licence.ID]struct {
		display, prefix, noTraining string
		eu, refused                 bool
	}{
		licence.Llama1:   {"", "", "", false, true},
		licence.Llama2:   {"", "", "1.b.v", false, false},
		licence.Llama3:   {"Built with Meta Llama 3", "Llama 3", "1.b.v", false, false},
		licence.Llama31:  {"Built with Llama", "Llama", "", false, false},
		licence.Llama32:  {"Built with Llama", "Llama", "", true, false},
		licence.Llama33:  {"Built with Llama", "Llama", "", true, false},
		licence.Llama4:   {"Built with Llama", "Llama", "", true, false},
		licence.Apache20: {"", "", "", false, false},
		licence.Mistral:  {"", "", "", false, true},
	} {
		d, ok := licence.Of(id)
		if !ok || d.Display != want.display || d.NamePrefix != want.prefix || d.NoTraining != want.noTraining ||
			d.EUExclusion != want.eu || (d.Refused != "") != want.refused {
			t.Errorf("%s: %+v", id, d)
		}
	}
}

func TestNames(t *testing.T) {
	tests := []struct {
		id     licence.ID
		name   string
		also   string
		clause string // empty: fine
	}{
		{licence.Llama32, "Llama-3.2-1B-Instruct-Q4_0", "", ""},
		{licence.Llama32, "llama_plant_helper", "", ""},
		{licence.Llama31, "Meta-Llama-3.1-8B-Instruct", "", ""},
		{licence.Llama32, "PlantGPT-1B", "", "1.b.i(B)"},
		{licence.Llama32, "My-Llama", "", "1.b.i(B)"},
		{licence.Llama3, "Llama-plant", "", "1.b.i(B)"},
		{licence.Llama3, "Llama-3-plant", "", ""},
		{licence.Llama2, "plant-chat", "", ""},
		{licence.Apache20, "Mistral-7B-abliterated", "", ""},
		{licence.Llama32, "Llama-3.2-3B-abliterated", "", "law.circumvent"},
		{licence.Llama33, "Llama-3.3-70B", "Un-Censored tune", "law.circumvent"},
		{licence.Llama31, "Llama-3.1-8B-uncensored", "", ""}, // its policy has no such clause
	}
	for _, tt := range tests {
		err := licence.CheckName(tt.id, tt.name, tt.also)
		var r *licence.Refusal
		switch {
		case tt.clause == "" && err != nil:
			t.Errorf("%s %s: %v", tt.id, tt.name, err)
		case tt.clause != "" && (!errors.As(err, &r) || r.Clause != tt.clause):
			t.Errorf("%s %s: %v, want clause %s", tt.id, tt.name, err, tt.clause)
		}
	}
}

const hash = "0123456789012345678901234567890123456789012345678901234567890123"

// accepted is a site that accepted a licence properly, changed by the case.
func accepted(id licence.ID, change func(*licence.Acceptance)) licence.Site {
	a := licence.Acceptance{Licence: id, Entity: "Werk GmbH", Country: "DE", EUSeat: true, By: "A. Muster",
		Classes: []licence.Class{licence.Lookup, licence.Summary}, Date: "2026-11-24", TextHash: hash}
	if change != nil {
		change(&a)
	}
	return licence.Site{Acceptances: map[licence.ID]licence.Acceptance{id: a}}
}

func TestGate(t *testing.T) {
	model := licence.Model{Name: "Llama-3.2-1B", Licence: licence.Llama32, TextHash: hash}
	other := func(id licence.ID) licence.Model { m := model; m.Licence = id; return m }
	image := func(id licence.ID) licence.Model { m := other(id); m.Multimodal = true; return m }
	tests := []struct {
		name   string
		site   licence.Site
		model  licence.Model
		clause string // "-": fine
	}{
		{"accepted", accepted(licence.Llama32, nil), model, "-"},
		{"not accepted", licence.Site{}, model, "1.a"},
		{"another licence accepted", accepted(licence.Llama31, nil), model, "1.a"},
		{"another text accepted", accepted(licence.Llama32, func(a *licence.Acceptance) { a.TextHash = strings.Repeat("f", 64) }), model, "1.a"},
		{"700 million users", accepted(licence.Llama32, func(a *licence.Acceptance) { a.Users = 700_000_000 }), model, "-"},
		{"one more", accepted(licence.Llama32, func(a *licence.Acceptance) { a.Users = 700_000_001 }), model, "2"},
		{"military", accepted(licence.Llama32, func(a *licence.Acceptance) { a.Military = true }), model, "harm.military"},
		{"weapons", accepted(licence.Llama32, func(a *licence.Acceptance) { a.Weapons = true }), model, "harm.weapons"},
		{"drugs", accepted(licence.Llama32, func(a *licence.Acceptance) { a.Drugs = true }), model, "harm.drugs"},
		{"infrastructure", accepted(licence.Llama32, func(a *licence.Acceptance) { a.Infrastructure = true }), model, "harm.machinery"},
		{"infrastructure with counsel", accepted(licence.Llama32, func(a *licence.Acceptance) { a.Infrastructure, a.Reason = true, "office only" }), model, "-"},
		{"images in the EU", accepted(licence.Llama4, nil), image(licence.Llama4), "policy"},
		{"images outside", accepted(licence.Llama4, func(a *licence.Acceptance) { a.Country, a.EUSeat = "US", false }), image(licence.Llama4), "-"},
		{"text of the same family in the EU", accepted(licence.Llama32, nil), model, "-"},
		{"Llama 1", accepted(licence.Llama1, nil), other(licence.Llama1), ""},
		{"Mistral research", licence.Site{}, other(licence.Mistral), ""},
		{"unknown", licence.Site{}, other(licence.Unknown), ""},
		{"Apache needs none", licence.Site{}, other(licence.Apache20), "-"},
	}
	for _, tt := range tests {
		err := tt.site.Activate(tt.model)
		var r *licence.Refusal
		switch {
		case tt.clause == "-" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.clause != "-" && (!errors.As(err, &r) || r.Clause != tt.clause || !errors.Is(err, licence.ErrRefused)):
			t.Errorf("%s: %v, want clause %q", tt.name, err, tt.clause)
		}
	}
}

func TestIncompleteAcceptance(t *testing.T) {
	for says, change := range map[string]func(*licence.Acceptance){
		"lacks entity":        func(a *licence.Acceptance) { a.Entity = "" },
		"lacks country":       func(a *licence.Acceptance) { a.Country = "Germany" },
		"lacks class":         func(a *licence.Acceptance) { a.Classes = nil },
		"lacks by":            func(a *licence.Acceptance) { a.By = "" },
		"lacks text_sha256":   func(a *licence.Acceptance) { a.TextHash = "x" },
		"date":                func(a *licence.Acceptance) { a.Date = "24.11.2026" },
		"no seat in the EU":   func(a *licence.Acceptance) { a.EUSeat = false },
		"needs no acceptance": func(a *licence.Acceptance) { a.Licence = licence.Apache20 },
	} {
		s := accepted(licence.Llama32, change)
		if err := s.Acceptances[licence.Llama32].Check(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}

func TestUse(t *testing.T) {
	llama := accepted(licence.Llama32, nil)
	excepting := func(c licence.Class, id licence.ID) licence.Site {
		s := accepted(licence.Llama32, nil)
		s.Exceptions = []licence.Exception{{Class: c, Licence: id, Reason: "counsel's letter", By: "A", Date: "2026-11-24"}}
		return s
	}
	tests := []struct {
		name   string
		site   licence.Site
		id     licence.ID
		class  licence.Class
		clause string // empty: fine
	}{
		{"accepted class", llama, licence.Llama32, licence.Lookup, ""},
		{"class not accepted", llama, licence.Llama32, licence.General, "site.class"},
		{"nothing accepted", licence.Site{}, licence.Llama32, licence.Lookup, "site.class"},
		{"machines under Llama", llama, licence.Llama32, licence.Operation, "harm.machinery"},
		{"machines under Llama, excepted", excepting(licence.Operation, licence.Llama32), licence.Llama32, licence.Operation, "harm.machinery"},
		{"machines under Apache", llama, licence.Apache20, licence.Operation, "site.machine-operation"},
		{"machines under Apache, excepted", excepting(licence.Operation, licence.Apache20), licence.Apache20, licence.Operation, ""},
		{"safety under Apache", llama, licence.Apache20, licence.Safety, "site.machine-operation"},
		{"instruction under Llama", llama, licence.Llama32, licence.Instruct, "harm.machinery"},
		{"instruction under Llama, excepted", excepting(licence.Instruct, licence.Llama32), licence.Llama32, licence.Instruct, ""},
		{"instruction under Apache", llama, licence.Apache20, licence.Instruct, ""},
		{"scoring workers", llama, licence.Llama32, licence.Scoring, "law.employment"},
		{"badges", llama, licence.Llama32, licence.PersonData, "law.sensitive"},
		{"sign-off", llama, licence.Llama32, licence.Professional, "law.profession"},
		{"unknown class", llama, licence.Llama32, "poetry", "site.class"},
		{"unknown licence", llama, licence.Unknown, licence.Lookup, "site.class"},
		{"refused licence", llama, licence.Llama1, licence.Lookup, "site.class"},
	}
	for _, tt := range tests {
		err := tt.site.Use(tt.id, tt.class)
		var r *licence.Refusal
		switch {
		case tt.clause == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.clause != "" && (!errors.As(err, &r) || r.Clause != tt.clause):
			t.Errorf("%s: %v, want clause %q", tt.name, err, tt.clause)
		}
	}
	var r *licence.Refusal
	if err := llama.Use(licence.Llama32, licence.Operation); !errors.As(err, &r) || r.Printed != "2 → 11" {
		t.Errorf("printed number %q", r.Printed)
	}
}

func FuzzNormalise(f *testing.F) {
	f.Add("**a** [b](c) “d”\n - e <https://f>")
	f.Fuzz(func(t *testing.T, s string) {
		once := licence.Normalise(s)
		if strings.Contains(once, "  ") || strings.ContainsAny(once, "\n\t*") {
			t.Fatalf("%q is left in %q", s, once)
		}
	})
}
