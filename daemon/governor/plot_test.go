package governor

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestPlots draws docs/governor-*.svg with -plots, and otherwise holds them to
// what the simulation gives now.
func TestPlots(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("other processors round the last digits differently")
	}
	for _, c := range []struct {
		file  string
		plant plant
		load  load
	}{
		{"governor-pi5-bare.svg", plants[0], loads[0]},
		{"governor-pi5-cooler.svg", plants[1], loads[1]},
		{"governor-orin-nano.svg", plants[2], loads[3]},
	} {
		const hours = 2
		with := c.plant.governed(c.load, hours)
		without := c.plant.ungoverned(c.load, hours)
		got := drawing(c.plant, c.load, with, without)
		file := filepath.Join("..", "..", "docs", c.file)
		if *plots {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(want) != got {
			t.Errorf("%s is not what the governor does now: go test ./daemon/governor -run Plots -plots", file)
		}
	}
}

// ungoverned runs at full speed; the firmware slows it down within 5 °C above
// its limit, to half at the most.
func (p plant) ungoverned(l load, hours float64) outcome {
	return p.run(l, hours, func(_ time.Time, sensor float64) (int, float64, bool) {
		return p.threads, 1 - 0.5*math.Min(math.Max((sensor-p.limit)/5, 0), 1), true
	})
}

const width, panel, left, gap = 760, 130, 60, 34

// drawing is one SVG of three panels: temperature, threads, tokens per second.
func drawing(p plant, l load, with, without outcome) string {
	var b strings.Builder
	height := 3*(panel+gap) + 60
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width+left+20, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/><text x="%d" y="18" font-size="14">%s, %s air (simulated)</text>`+"\n", left, p.name, l.name)
	fmt.Fprintf(&b, `<text x="%d" y="36" fill="#c33">without the governor: %.0f tokens, peak %.0f °C</text><text x="%d" y="36" fill="#06c">with it: %.0f tokens, peak %.0f °C</text>`+"\n",
		left, without.tokens, without.peak, left+360, with.tokens, with.peak)
	top := 50
	for _, c := range []struct {
		title  string
		lo, hi float64
		of     func(point) float64
	}{
		{"temperature, °C", 20, p.limit + 10, func(q point) float64 { return q.temp }},
		{"decode threads", 0, float64(p.threads) + 0.5, func(q point) float64 { return float64(q.threads) }},
		{"tokens/s", 0, p.speed[p.threads] * 1.1, func(q point) float64 { return q.tokens }},
	} {
		y := func(v float64) float64 {
			return float64(top) + panel*(1-(math.Min(math.Max(v, c.lo), c.hi)-c.lo)/(c.hi-c.lo))
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d">%s</text><rect x="%d" y="%d" width="%d" height="%d" fill="none" stroke="#ccc"/>`+"\n", left, top-4+panel+18, c.title, left, top, width, panel)
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%.0f</text><text x="%d" y="%d" text-anchor="end">%.0f</text>`+"\n", left-6, top+10, c.hi, left-6, top+panel, c.lo)
		if c.title[0] == 't' && c.title[1] == 'e' {
			fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#c33" stroke-dasharray="4 3"/><text x="%d" y="%.1f" fill="#c33">limit %.0f °C</text>`+"\n",
				left, left+width, y(p.limit), y(p.limit), left+4, y(p.limit)-3, p.limit)
		}
		line(&b, without.trace, "#c33", y, c.of)
		line(&b, with.trace, "#06c", y, c.of)
		top += panel + gap
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%d hours</text>`+"\n</svg>\n", left+width, top-14, len(with.trace)/3600)
	return b.String()
}

// line draws the mean of each of the panel's columns.
func line(b *strings.Builder, trace []point, colour string, y func(float64) float64, of func(point) float64) {
	const columns = 380
	fmt.Fprintf(b, `<polyline fill="none" stroke="%s" points="`, colour)
	for i := range columns {
		from, to := i*len(trace)/columns, (i+1)*len(trace)/columns
		sum := 0.0
		for _, q := range trace[from:to] {
			sum += of(q)
		}
		fmt.Fprintf(b, "%d,%.1f ", left+i*width/columns, y(sum/float64(to-from)))
	}
	b.WriteString(`"/>` + "\n")
}
