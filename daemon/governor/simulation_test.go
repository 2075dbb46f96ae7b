package governor

import (
	"flag"
	"testing"
)

var plots = flag.Bool("plots", false, "draw docs/governor-*.svg anew")

// TestHoursOfPlantLoad: the governed board never reaches its limit, and gives at
// least 95 % of the tokens of the best constant setting for the same load. The
// constant setting is held to the same guarded temperature, limit less margin,
// and knows the load beforehand, which the governor does not.
func TestHoursOfPlantLoad(t *testing.T) {
	hours := 8.0
	if testing.Short() {
		hours = 2
	}
	for _, p := range plants {
		for _, l := range loads {
			t.Run(p.name+", "+l.name, func(t *testing.T) {
				t.Parallel()
				o := p.governed(l, hours)
				c := Default(p.threads, 0)
				threads, duty, best := p.best(l, hours, p.limit-c.Margin)
				share := 100.0
				if best.tokens > 0 {
					share = 100 * o.tokens / best.tokens
				}
				t.Logf("peak %.1f °C of %.0f, %.0f tokens, %.1f%% of the best constant (%d threads, duty %.2f), %d changes of rung",
					o.peak, p.limit, o.tokens, share, threads, duty, len(o.rungs)-1)
				if testing.Verbose() { // what the margin itself costs
					if _, _, edge := p.best(l, hours, p.limit); edge.tokens > 0 {
						t.Logf("%.1f%% of the best constant that may touch the limit", 100*o.tokens/edge.tokens)
					}
				}
				if o.peak >= p.limit {
					t.Errorf("peak %.1f °C, limit %.0f °C", o.peak, p.limit)
				}
				if share < 95 {
					t.Errorf("%.1f%% of the best constant setting's tokens, want at least 95%%", share)
				}
				if perHour := float64(len(o.rungs)-1) / hours; perHour > 30 {
					t.Errorf("%.0f changes of rung an hour: it flaps", perHour)
				}
			})
		}
	}
}
