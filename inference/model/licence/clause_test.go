package licence_test

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"lineside/inference/model/licence"
)

var section = regexp.MustCompile(`^\s*(\d+|iii|ii|iv|i|v|a|b|c)\\?\.\s+(.*)`)

// sections reads an agreement into its sections by their ids: "1.b.iii".
func sections(text string) map[string]string {
	list, at := map[string]string{}, [3]string{}
	for line := range strings.Lines(text) {
		if m := section.FindStringSubmatch(line); m != nil {
			switch {
			case m[1][0] <= '9':
				at = [3]string{m[1]}
			case strings.Contains("abc", m[1]):
				at = [3]string{at[0], m[1]}
			case at[1] != "":
				at[2] = m[1]
			}
		}
		list[strings.TrimRight(strings.Join(at[:], "."), ".")] += " " + line
	}
	return list
}

// clause is the text of a section, or of one of its parts "(A)".
func clause(t *testing.T, list map[string]string, id string) string {
	t.Helper()
	id, part, _ := strings.Cut(strings.TrimSuffix(id, ")"), "(")
	text := licence.Normalise(list[id])
	if text == "" {
		t.Fatalf("there is no section %s", id)
	}
	if part == "" {
		return text
	}
	_, text, ok := strings.Cut(text, "("+part+")")
	if !ok {
		t.Fatalf("section %s has no part (%s)", id, part)
	}
	text, _, _ = strings.Cut(text, "("+string(part[0]+1)+")")
	return text
}

// TestDutiesCiteTheirClauses reads each rule of the table in the section that it names.
func TestDutiesCiteTheirClauses(t *testing.T) {
	for id := range folders {
		d, _ := licence.Of(id)
		text := published(t, id, "LICENSE")
		list := sections(text)
		if d.NoTraining == "" && strings.Contains(licence.Normalise(text), "improve any other large language model") {
			t.Errorf("%s: its no-training rule is not in the table", id)
		}
		for _, rule := range []struct{ name, clause, says string }{
			{"the grant", "1.a", "limited license"},
			{"a copy", d.CopyClause, "provide a copy of this agreement"},
			{"the display", d.DisplayBy, "prominently display"},
			{"the display's words", d.DisplayBy, strings.ToLower(d.Display)},
			{"the notice", d.NoticeBy, "attribution notice"},
			{"the notice's words", d.NoticeBy, strings.ToLower(licence.Normalise(d.Notice))},
			{"the policy", "1.b.iv", "adhere to the acceptable use policy"},
			{"no training", d.NoTraining, "improve any other large language model"},
			{"the limit of users", d.UserLimit, "greater than 700 million monthly active users"},
			{"the purge", "6", "delete and cease use"},
		} {
			if rule.clause == "" {
				continue
			}
			if got := strings.ToLower(clause(t, list, rule.clause)); !strings.Contains(got, rule.says) {
				t.Errorf("%s: %s is not in clause %s: %q", id, rule.name, rule.clause, got)
			}
		}
		if d.NamePrefix != "" { // the clause of the display has the rule for names too
			got := strings.ToLower(licence.Normalise(list["1.b.i"]))
			if !strings.Contains(got, `include "`+strings.ToLower(d.NamePrefix)+`" at the beginning of any such ai model name`) {
				t.Errorf("%s: the rule for names is not in 1.b.i: %q", id, got)
			}
			if strings.Contains(got, "outputs or results") != d.NameOutputs {
				t.Errorf("%s: whether outputs count: %q", id, got)
			}
		}
		if date := d.Released.Format("January 2, 2006"); !strings.Contains(licence.Normalise(text), " Date: "+date) {
			t.Errorf("%s: the text is not of %s", id, date)
		}
		policy := licence.Normalise(published(t, id, "USE_POLICY.md"))
		if strings.Contains(policy, "multimodal models") && strings.Contains(policy, "European Union") != d.EUExclusion {
			t.Errorf("%s: the exclusion of the EU is %v", id, d.EUExclusion)
		}
	}
	own, err := os.ReadFile("../../../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	d, _ := licence.Of(licence.Apache20)
	if got := clause(t, sections(string(own)), d.CopyClause); !strings.Contains(got, "a copy of this License") {
		t.Errorf("Apache-2.0: clause %s is %q", d.CopyClause, got)
	}
}

var item = regexp.MustCompile(`^(\s*)(\d+\.|\*)\s+(.*)`)

// items reads a policy into its items by printed numbers, or by count where bullets are
// printed: "2", and below it "2/4".
func items(text string) map[string]string {
	list := map[string]string{}
	var top string
	tops, subs := 0, 0
	for line := range strings.Lines(text) {
		m := item.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			continue
		}
		number := strings.TrimSuffix(m[2], ".")
		switch indent := len(m[1]); {
		case indent == 0:
			tops, subs = tops+1, 0
			if top = number; number == "*" {
				top = strconv.Itoa(tops)
			}
			list[top] = m[3]
		case indent <= 4:
			if subs++; number == "*" {
				number = strconv.Itoa(subs)
			}
			list[top+"/"+number] = m[3]
		}
	}
	return list
}

// TestClausesCiteTheirItems reads each clause in the policies, at the number that refusals
// give.
func TestClausesCiteTheirItems(t *testing.T) {
	says := map[licence.Clause]string{
		licence.Machinery: "heavy machinery", licence.Military: "Military, warfare, nuclear industries", licence.Weapons: "illegal weapons",
		licence.Drugs: "controlled substances", licence.Employment: "provision of employment", licence.Profession: "unlicensed practice of any profession",
		licence.Sensitive: "information about individuals", licence.Malware: "malicious code", licence.Circumvent: "circumvent or remove usage restrictions",
		licence.Human: "are human", licence.Disclose: "known dangers",
	}
	var missing []licence.Clause
	for c := range licence.Printed {
		if says[c] == "" {
			missing = append(missing, c)
		}
	}
	if slices.Sort(missing); len(missing) > 0 {
		t.Fatalf("no test reads %v", missing)
	}
	separators := strings.NewReplacer(", bullet ", "/", " → ", "/", ".", "/")
	for id := range folders {
		list := items(published(t, id, "USE_POLICY.md"))
		for c, want := range says {
			number, ok := licence.PrintedIn(c, id)
			if !ok {
				for at, text := range list {
					if strings.Contains(text, want) {
						t.Errorf("%s has %s at %s, the table has not", id, c, at)
					}
				}
				continue
			}
			if got := list[separators.Replace(number)]; !strings.Contains(got, want) {
				t.Errorf("%s: %s is not at %s: %q", id, c, number, got)
			}
		}
	}
}
