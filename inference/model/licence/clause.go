package licence

import (
	"errors"
	"fmt"
)

// Clause is an id of our own for a rule of the acceptable use policies. Their
// printed numbers change from version to version.
type Clause string

// Clauses that matter in factories, and two of the site's own.
const (
	Machinery  Clause = "harm.machinery"
	Military   Clause = "harm.military"
	Weapons    Clause = "harm.weapons"
	Drugs      Clause = "harm.drugs"
	Employment Clause = "law.employment"
	Profession Clause = "law.profession"
	Sensitive  Clause = "law.sensitive"
	Malware    Clause = "law.malware"
	Circumvent Clause = "law.circumvent"
	Human      Clause = "deceive.human"
	Disclose   Clause = "disclose"
	SiteSafety Clause = "site.machine-operation" // no licence's rule: ours
	SiteClass  Clause = "site.class"             // the site has not accepted the class
)

// printed gives each clause its number in the policies of Llama 2 and 3, 3.1,
// 3.2, 3.3 and 4. 3.1 prints bullets; 3.2 runs on within its own numbering.
var printed = map[Clause][5]string{
	Machinery:  {"2.4", "2, bullet 4", "2 → 11", "2.4", "3.4"},
	Military:   {"2.1", "2, bullet 1", "2 → 8", "2.1", "3.1"},
	Weapons:    {"2.2", "2, bullet 2", "2 → 9", "2.2", "3.2"},
	Drugs:      {"2.3", "2, bullet 3", "2 → 10", "2.3", "3.3"},
	Employment: {"1.3", "1, bullet 3", "1 → 2", "1.3", "1.3"},
	Profession: {"1.4", "1, bullet 4", "1 → 3", "1.4", "1.4"},
	Sensitive:  {"1.5", "1, bullet 5", "1 → 4", "1.5", "1.5"},
	Malware:    {"1.7", "1, bullet 7", "1 → 6", "1.7", "1.7"},
	Circumvent: {"", "", "1 → 7", "1.8", "1.8"},
	Human:      {"3.5", "3, bullet 5", "3 → 18", "3.5", "4.5"},
	Disclose:   {"4", "4", "4", "4", "5"},
}

// clauseIn is a clause's printed number under a licence, if that has it.
func clauseIn(c Clause, id ID) (string, bool) {
	column, ok := map[ID]int{Llama2: 0, Llama3: 0, Llama31: 1, Llama32: 2, Llama33: 3, Llama4: 4}[id]
	if !ok || printed[c][column] == "" {
		return "", false
	}
	return printed[c][column], true
}

// ErrRefused is what every Refusal is.
var ErrRefused = errors.New("refused by licence")

// Refusal is a licence's or the site's no: which rule, why, and what would mend it.
type Refusal struct {
	Licence ID     `json:"licence"`
	Clause  string `json:"clause"`            // our id, or the agreement's own section
	Printed string `json:"printed,omitempty"` // number in the policy's text
	Why     string `json:"why"`
	Mend    string `json:"mend,omitempty"`
}

func (r *Refusal) Error() string {
	s := fmt.Sprintf("refused by licence %s", r.Licence)
	if r.Clause != "" {
		s += ", clause " + r.Clause
	}
	if r.Printed != "" {
		s += " (printed " + r.Printed + ")"
	}
	s += ": " + r.Why
	if r.Mend != "" {
		s += ": " + r.Mend
	}
	return s
}

func (r *Refusal) Unwrap() error { return ErrRefused }
