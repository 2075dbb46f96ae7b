package licence

import (
	"fmt"
	"slices"
	"strings"
)

// Class is what a model is used for. A skill declares one.
type Class string

// Classes of use.
const (
	Lookup    Class = "lookup"    // find something in manuals
	Summary   Class = "summary"   // put logs and alarms into words
	Draft     Class = "draft"     // work orders and reports that a person checks
	Classify  Class = "classify"  // sort messages and alarms
	Translate Class = "translate" // between supported languages
	General   Class = "general"   // free prompts

	Instruct     Class = "instruct"            // live instruction of an operator at a machine
	Operation    Class = "machine-operation"   // setpoints, start and stop
	Safety       Class = "safety-function"     // interlock and lock-out decisions
	Scoring      Class = "worker-scoring"      // judging people at work
	PersonData   Class = "person-data"         // badges, health, biometrics
	Professional Class = "professional-advice" // medical or safety sign-off
)

// forbids maps classes to the clause that speaks against them. The machinery clause is
// read broadly: Meta has not said which uses "related to" heavy machinery it means.
var forbids = map[Class]Clause{
	Lookup: "", Summary: "", Draft: "", Classify: "", Translate: "", General: "",
	Instruct: Machinery, Operation: Machinery, Safety: Machinery,
	Scoring: Employment, PersonData: Sensitive, Professional: Profession,
}

// Classes lists all classes: those that any licence may allow first.
func Classes() []Class {
	return []Class{Lookup, Summary, Draft, Classify, Translate, General,
		Instruct, Operation, Safety, Scoring, PersonData, Professional}
}

// ParseClass finds a class by name.
func ParseClass(name string) (Class, error) {
	if _, ok := forbids[Class(name)]; ok {
		return Class(name), nil
	}
	var names []string
	for _, c := range Classes() {
		names = append(names, string(c))
	}
	return "", fmt.Errorf("unknown use class %q: want one of %s", name, strings.Join(names, ", "))
}

// Exception is the administrator's own yes to a class, with its reason.
type Exception struct {
	Class   Class  `json:"class"`
	Licence ID     `json:"licence"`
	Reason  string `json:"reason"`
	By      string `json:"by"`
	Date    string `json:"date"` // 2026-11-24
}

// Use says whether a model under a licence may be used for a class on this
// site. A no is a *Refusal; the caller answers code 14 with its clause.
//
// What a policy forbids outright stays forbidden. Live instruction, which only its
// broad reading forbids, and machine operation under a licence without a policy,
// which only the site's own caution forbids, an exception can allow.
func (s Site) Use(id ID, c Class) error {
	d, known := Of(id)
	if _, err := ParseClass(string(c)); err != nil || !known || d.Refused != "" {
		return &Refusal{Licence: id, Clause: string(SiteClass), Why: fmt.Sprintf("class %q or its licence is not known", c),
			Mend: "declare a known class in the skill, and install a model whose licence is known"}
	}
	excepted := slices.ContainsFunc(s.Exceptions, func(e Exception) bool {
		return e.Class == c && e.Licence == id && e.Reason != ""
	})
	clause := forbids[c]
	number, policy := clauseIn(clause, id)
	switch {
	case clause != "" && policy && !(c == Instruct && excepted):
		return &Refusal{Licence: id, Clause: string(clause), Printed: number,
			Why: fmt.Sprintf("its policy forbids the use class %s", c), Mend: "route the skill to a model under Apache-2.0, or leave it to people"}
	case (c == Operation || c == Safety) && !excepted:
		return &Refusal{Licence: id, Clause: string(SiteSafety),
			Why: fmt.Sprintf("the use class %s is denied by default", c), Mend: "an administrator can allow it with a reason; no model should decide it alone"}
	}
	if a, ok := s.Acceptances[id]; d.Acceptance && (!ok || !slices.Contains(a.Classes, c) && !excepted) {
		return &Refusal{Licence: id, Clause: string(SiteClass), Why: fmt.Sprintf("this site has not accepted the licence for the use class %s", c),
			Mend: fmt.Sprintf("lineside model accept %s --class %s", id, c)}
	}
	return nil
}
