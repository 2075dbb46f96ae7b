package lamp

import (
	"fmt"
	"html"
	"strings"
	"time"

	"lineside/hw"
)

// cardColors are the printed colours.
var cardColors = map[hw.Color]string{
	hw.Red: "#d7261e", hw.Orange: "#f08000", hw.Yellow: "#f5c800", hw.Green: "#18a040", hw.Blue: "#1464c8", hw.White: "#ffffff",
}

const (
	cardWidth, cardHeight = 210, 297 // A4, mm
	cardSeconds           = 4.0      // of rhythm that a strip shows
	stripX, stripWidth    = 122.0, 76.0
)

// Card is the page for the cabinet door as SVG: every category with its colour,
// its rhythm and its meaning, and below what to do. It is made from the tables
// that drive the lamps, so it cannot say something else than they do.
func Card() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%dmm" height="%dmm" viewBox="0 0 %d %d" font-family="Helvetica, Arial, sans-serif">`+"\n", cardWidth, cardHeight, cardWidth, cardHeight)
	b.WriteString(`<rect width="210" height="297" fill="#fff"/>` + "\n")
	text(&b, 12, 18, 7, "bold", "Lineside: what the lamp says")
	text(&b, 12, 24.5, 3.4, "", "The gravest state shows. Colours after NAMUR NE 107; a lamp of one colour says the same by its flashes.")
	text(&b, stripX, 31, 2.8, "", "4 seconds of light")
	y := 34.0
	for c := Failure; ; c-- {
		row(&b, y, table[c])
		y += 17
		if c == Good {
			break
		}
	}
	y += 7
	text(&b, 12, y, 5, "bold", "What to do")
	text(&b, 60, y, 3, "", "A short press of the button tests the lamps and then flashes a number in white. A long press drains.")
	y += 5.5
	for c := Failure; c >= Starting; c-- {
		place := 0
		for cond := range conditions {
			info := conditionTable[cond]
			if info.category != c || info.do == "" {
				continue
			}
			place++
			code := ""
			if c >= Maintenance {
				code = fmt.Sprint(Signal{Category: c, Condition: cond}.BlinkCode())
			}
			fmt.Fprintf(&b, `<circle cx="14" cy="%.1f" r="1.5" fill="%s"/>`+"\n", y-1.1, cardColors[table[c].pattern.Color])
			text(&b, 18, y, 3.1, "bold", code)
			text(&b, 25, y, 3.1, "", info.why)
			text(&b, 100, y, 3.1, "", info.do)
			y += 4.5
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func text(b *strings.Builder, x, y, size float64, weight, s string) {
	if s == "" {
		return
	}
	if weight != "" {
		weight = fmt.Sprintf(` font-weight="%s"`, weight)
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" font-size="%.1f"%s>%s</text>`+"\n", x, y, size, weight, html.EscapeString(s))
}

// row is one category: lamp, words, and its rhythm as a strip of light.
func row(b *strings.Builder, y float64, l look) {
	colour := cardColors[l.pattern.Color]
	fmt.Fprintf(b, `<circle cx="18" cy="%.1f" r="5.5" fill="%s" stroke="#333" stroke-width="0.4"/>`+"\n", y+6, colour)
	text(b, 28, y+4.5, 4.4, "bold", l.title)
	text(b, 28, y+8.8, 3.2, "", fmt.Sprintf("%s, %s", l.pattern.Color, l.rhythm))
	text(b, 28, y+12.8, 3.2, "", l.meaning)
	fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="6" fill="#ddd"/>`+"\n", stripX, y+1.5, stripWidth)
	steps := l.pattern.Steps
	if l.pattern.Beat {
		steps = []time.Duration{steps[0], BeatEvery - steps[0]}
	}
	at := 0.0
	for i := 0; at < cardSeconds; i++ {
		d := min(steps[i%len(steps)].Seconds(), cardSeconds-at)
		if i%2 == 0 {
			fmt.Fprintf(b, `<rect x="%.2f" y="%.1f" width="%.2f" height="6" fill="%s"/>`+"\n", stripX+at/cardSeconds*stripWidth, y+1.5, d/cardSeconds*stripWidth, colour)
		}
		at += d
	}
}
