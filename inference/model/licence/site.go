package licence

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Acceptance is one site's acceptance of one licence: who, where, for what. The
// grant does not pass on, so each user's own entity has to accept.
type Acceptance struct {
	Licence  ID      `json:"licence"`
	Entity   string  `json:"entity"`   // company, as registered
	Country  string  `json:"country"`  // of its seat, two letters
	EUSeat   bool    `json:"eu_seat"`  // its seat or main place of business is in the EU
	Classes  []Class `json:"classes"`  // what it will be used for
	Users    uint64  `json:"users"`    // monthly users of all products, in the month before the release
	Military bool    `json:"military"` // any use in defence, ITAR or nuclear business
	Weapons  bool    `json:"weapons"`
	Drugs    bool    `json:"drugs"` // controlled substances
	// Infrastructure: the site runs power, water, rail or the like. Counsel says
	// in Reason why the use is none of "operation".
	Infrastructure bool   `json:"infrastructure"`
	Reason         string `json:"reason,omitempty"`
	By             string `json:"by"`   // person who accepted
	Date           string `json:"date"` // 2026-11-24
	TextHash       string `json:"text_sha256"`
}

// Site is what the owner has accepted and excepted.
type Site struct {
	Acceptances map[ID]Acceptance `json:"acceptances"`
	Exceptions  []Exception       `json:"exceptions"`
}

// eu lists the member states by their two letters.
const eu = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"

// Check refuses an acceptance that is incomplete, or that the licence does not
// allow to be made.
func (a Acceptance) Check() error {
	d, ok := Of(a.Licence)
	var missing []string
	for name, empty := range map[string]bool{
		"entity": a.Entity == "", "country": len(a.Country) != 2 || strings.ToUpper(a.Country) != a.Country,
		"class": len(a.Classes) == 0, "by": a.By == "", "text_sha256": len(a.TextHash) != 64,
	} {
		if empty {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	member := slices.Contains(strings.Fields(eu), a.Country)
	_, date := time.Parse(time.DateOnly, a.Date)
	switch {
	case !ok || !d.Acceptance && d.Refused == "":
		return fmt.Errorf("licence %s needs no acceptance", a.Licence)
	case d.Refused != "":
		return &Refusal{Licence: a.Licence, Why: d.Refused}
	case len(missing) > 0:
		return fmt.Errorf("acceptance of %s lacks %s (country is two capital letters)", a.Licence, strings.Join(missing, ", "))
	case date != nil:
		return fmt.Errorf("acceptance of %s has date %q, want 2006-01-02", a.Licence, a.Date)
	case member && !a.EUSeat:
		return fmt.Errorf("acceptance of %s says country %s and no seat in the EU: give --eu-seat", a.Licence, a.Country)
	case a.Users > MaxUsers:
		return &Refusal{Licence: a.Licence, Clause: d.UserLimit, Why: fmt.Sprintf(
			"%d monthly users before %s are above %d", a.Users, d.Released.Format(time.DateOnly), MaxUsers), Mend: "ask Meta for a licence"}
	}
	return errors.Join(a.business(Military, a.Military, "military, nuclear or export-controlled business"),
		a.business(Weapons, a.Weapons, "weapons"), a.business(Drugs, a.Drugs, "controlled substances"),
		a.business(Machinery, a.Infrastructure && a.Reason == "", "critical infrastructure, without counsel's reason"))
}

func (a Acceptance) business(c Clause, is bool, what string) error {
	if !is {
		return nil
	}
	number, _ := clauseIn(c, a.Licence)
	return &Refusal{Licence: a.Licence, Clause: string(c), Printed: number, Why: "its policy forbids " + what,
		Mend: "use a model under Apache-2.0, or ask counsel"}
}

// Model is what the gate has to know of one.
type Model struct {
	Name       string
	Licence    ID
	Multimodal bool
	TextHash   string // Hash of the licence text that lies beside it
}

// Activate says whether a model may run on this site. A no is a *Refusal.
func (s Site) Activate(m Model) error {
	d, known := Of(m.Licence)
	switch {
	case !known:
		return &Refusal{Licence: m.Licence, Why: "the licence is not known", Mend: "keep the model in quarantine until its owner has said what it is"}
	case d.Refused != "":
		return &Refusal{Licence: m.Licence, Why: d.Refused}
	case !d.Acceptance:
		return nil
	}
	a, ok := s.Acceptances[m.Licence]
	switch {
	case !ok:
		return &Refusal{Licence: m.Licence, Clause: "1.a", Why: "this site has not accepted it",
			Mend: fmt.Sprintf("read the text with lineside model licences, then run lineside model accept %s", m.Licence)}
	case a.TextHash != m.TextHash:
		return &Refusal{Licence: m.Licence, Clause: "1.a", Why: "the text beside the model is not the one that was accepted", Mend: "accept it again"}
	case d.EUExclusion && m.Multimodal && a.EUSeat:
		return &Refusal{Licence: m.Licence, Clause: "policy", Why: "its policy grants no rights in multimodal models to companies seated in the EU",
			Mend: "use a text-only model"}
	}
	return a.Check()
}
