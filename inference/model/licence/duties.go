package licence

import (
	"fmt"
	"strings"
	"time"
)

// Duties are what a licence asks of who passes a model on or builds on it. The
// clauses are the licence's own section numbers, empty where it asks nothing.
type Duties struct {
	ID          ID        `json:"id"`
	Title       string    `json:"title"`
	SPDX        string    `json:"spdx"`                     // LicenseRef-… where SPDX's list has none
	Released    time.Time `json:"-"`                        // of the version, which fixes the month that users are counted in
	CopyClause  string    `json:"copy_clause,omitempty"`    // give recipients a copy of the agreement
	Display     string    `json:"display,omitempty"`        // text to show prominently
	DisplayBy   string    `json:"display_clause,omitempty"` // clause that asks for it
	NamePrefix  string    `json:"name_prefix,omitempty"`    // how names of derived models begin
	NameOutputs bool      `json:"name_outputs,omitempty"`   // also where only outputs trained the other model
	Notice      string    `json:"notice,omitempty"`         // line for the Notice file of every copy
	NoticeBy    string    `json:"notice_clause,omitempty"`
	NoTraining  string    `json:"no_training_clause,omitempty"` // must not improve other models
	Policy      bool      `json:"policy"`                       // an acceptable use policy is part of it
	UserLimit   string    `json:"user_limit_clause,omitempty"`  // 700 million monthly users
	EUExclusion bool      `json:"eu_exclusion"`                 // withholds multimodal rights from the EU
	Acceptance  bool      `json:"acceptance"`                   // binds by use: the site has to accept it
	Refused     string    `json:"refused,omitempty"`            // why it never runs here
}

// MaxUsers is the number of monthly users above which Meta has to be asked.
const MaxUsers = 700_000_000

func day(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

// community is what all Llama community licences ask for.
func community(id ID, version string, released time.Time) Duties {
	return Duties{ID: id, Title: "Llama " + version + " Community License", SPDX: "LicenseRef-llama-" + version,
		Released: released, CopyClause: "1.b.i(A)", Display: "Built with Llama", DisplayBy: "1.b.i(B)",
		NamePrefix: "Llama", NameOutputs: true, NoticeBy: "1.b.iii",
		Notice: fmt.Sprintf("Llama %[1]s is licensed under the Llama %[1]s Community License, "+
			"Copyright © Meta Platforms, Inc. All Rights Reserved.", version),
		Policy: true, UserLimit: "2", Acceptance: true}
}

// All lists the duties of every licence known, oldest first.
func All() []Duties {
	two := community(Llama2, "2", day(2023, 7, 18))
	two.Title, two.CopyClause, two.Display, two.DisplayBy = "LLAMA 2 Community License", "1.b.i", "", ""
	two.NamePrefix, two.NameOutputs, two.NoTraining = "", false, "1.b.v"
	two.Notice = "Llama 2 is licensed under the LLAMA 2 Community License, Copyright (c) Meta Platforms, Inc. All Rights Reserved."
	three := community(Llama3, "3", day(2024, 4, 18))
	three.Title, three.Display, three.NamePrefix = "Meta Llama 3 Community License", "Built with Meta Llama 3", "Llama 3"
	three.NameOutputs, three.NoTraining = false, "1.b.v"
	three.Notice = "Meta Llama 3 is licensed under the Meta Llama 3 Community License, Copyright © Meta Platforms, Inc. All Rights Reserved."
	three2 := community(Llama32, "3.2", day(2024, 9, 25))
	three2.EUExclusion = true
	three3 := community(Llama33, "3.3", day(2024, 12, 6))
	three3.EUExclusion = true // its one model is text only
	four := community(Llama4, "4", day(2025, 4, 5))
	four.EUExclusion = true
	return []Duties{
		{ID: Llama1, Title: "LLaMA licence", SPDX: "LicenseRef-llama-1", Released: day(2023, 2, 24),
			Refused: "LLaMA 1 weights are licensed for non-commercial research only"},
		two, three, community(Llama31, "3.1", day(2024, 7, 23)), three2, three3, four,
		{ID: Apache20, Title: "Apache License 2.0", SPDX: "Apache-2.0", CopyClause: "4"},
		{ID: Mistral, Title: "Mistral AI Research License", SPDX: "LicenseRef-mistral-research",
			Refused: "the Mistral research licence allows no commercial use: get a contract from Mistral AI or take an Apache-2.0 model"},
	}
}

// Of returns the duties of a licence.
func Of(id ID) (Duties, bool) {
	for _, d := range All() {
		if d.ID == id {
			return d, true
		}
	}
	return Duties{}, false
}

// plainName makes names comparable: lower case, words apart.
func plainName(name string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return strings.ContainsRune(" -_./", r) }), " ")
}

// CheckName refuses a name that the licence does not allow for a model: derived ones
// begin as it says, and ones with their safety taken out are not passed on.
// Other names of the model, tags and lineage go into also.
func CheckName(id ID, name string, also ...string) error {
	d, _ := Of(id)
	plain := strings.TrimPrefix(plainName(name), "meta ")
	if prefix := plainName(d.NamePrefix); prefix != "" && !strings.HasPrefix(plain, prefix) {
		return &Refusal{Licence: id, Clause: d.DisplayBy,
			Why:  fmt.Sprintf("the name %q does not begin with %q", name, d.NamePrefix),
			Mend: fmt.Sprintf("name it %s-%s", strings.ReplaceAll(d.NamePrefix, " ", "-"), name)}
	}
	c, ok := clauseIn(Circumvent, id)
	if !ok {
		return nil
	}
	for _, n := range append([]string{name}, also...) {
		n = strings.ReplaceAll(plainName(n), " ", "")
		for _, mark := range []string{"abliterat", "uncensor", "decensor", "unfiltered", "jailbreak", "jailbroken", "heretic"} {
			if strings.Contains(n, mark) {
				return &Refusal{Licence: id, Clause: string(Circumvent), Printed: c,
					Why: fmt.Sprintf("%q marks a model whose safety was taken out", mark), Mend: "use the model as its owner published it"}
			}
		}
	}
	return nil
}
