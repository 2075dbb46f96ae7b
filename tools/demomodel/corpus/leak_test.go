package corpus

import (
	"regexp"
	"strings"
	"testing"
)

// TestNoHeldSentenceInVariedAsks: sentences put together at random never make one
// that is held out, whatever stands in its places.
func TestNoHeldSentenceInVariedAsks(t *testing.T) {
	var held []*regexp.Regexp
	for _, list := range []phrases{alarmCores, setPointAsks, logCores, bareCores} {
		for _, s := range list.all[len(list.all)-list.held:] {
			pattern := regexp.MustCompile(`\\\{\w\\\}`).ReplaceAllString(regexp.QuoteMeta(strings.TrimRight(s, ".?")), `.*`)
			held = append(held, regexp.MustCompile(`(?i)`+pattern))
		}
	}
	asks := map[string]bool{} // held out, but for the skill's own words about known alarms: they are few
	w := NewWriter(1, true)
	for range 5000 {
		if a := w.Next(); a.Kind != Alarm || !a.Skill {
			asks[a.User] = true
		}
	}
	w = NewWriter(1, false)
	w.n = varietyAfter
	for range 20_000 {
		a := w.Next()
		if asks[a.User] {
			t.Errorf("%s: %q is held out", a.Kind, a.User)
		}
		if a.Skill && a.Kind != Extract {
			continue
		}
		for _, h := range held {
			if h.MatchString(a.User) {
				t.Errorf("%s: %q has the held-out %s", a.Kind, a.User, h)
			}
		}
	}
}
