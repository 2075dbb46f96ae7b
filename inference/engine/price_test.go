package engine

import "testing"

func TestWorth(t *testing.T) {
	for name, test := range map[string]struct{ one, four, want float64 }{
		"unknown":             {0, 0, 0.5},
		"half known":          {0.05, 0, 0.5},
		"rows cost nothing":   {0.07, 0.07, 0.1},
		"rows cost some":      {0.06, 0.15, 0.5},
		"rows cost all":       {0.05, 0.2, 0.9},
		"memory is the limit": {0.1, 0.13, 0.1},
	} {
		var p price
		for range 100 {
			if test.one > 0 {
				p.see(1, test.one)
			}
			if test.four > 0 {
				p.see(4, test.four)
			}
			p.see(8, 99) // tells nothing
		}
		if got := p.worth(); got < test.want-0.001 || got > test.want+0.001 {
			t.Errorf("%s: %.3f, want %.3f", name, got, test.want)
		}
	}
	bad, good := lookup{drafted: 20, accepted: 9}, lookup{drafted: 20, accepted: 10}
	if !bad.off(0.5) || good.off(0.5) || bad.off(0.1) {
		t.Error("drafting ends at the wrong acceptance")
	}
}
