package corpus

import (
	"fmt"
	"strconv"
	"strings"

	"lineside/tools/demomodel/plant"
)

// varietyAfter is how many asks use the written sentences alone. After them
// half of the sentences are put together at random, reasons and codes are drawn
// from a wider space and the mix changes: a model that has only met a few dozen
// sentences learns these by heart instead of what to look for in them. It is a
// multiple of the 768 asks that train.py sorts at a time.
const varietyAfter = 195_072

// closeAfter is how many asks pass before the last part: more asks about codes
// that the plant does not have, half of them one digit away from one that it
// has. Without it a model takes one in ten unseen codes for a known one. It is
// a multiple of 768, too.
const closeAfter = 324_864

// endings are two mixes of the last part, from which two models come that have
// their mistakes at different codes: the mean of their weights makes fewer.
var endings = [2][5]int{{15, 49, 60, 94, 97}, {14, 56, 64, 95, 98}}

// varied says whether the ask at hand is one of the varied ones.
func (w *Writer) varied() bool { return !w.held && w.n > varietyAfter }

// close says whether the ask at hand is of the last part.
func (w *Writer) close() bool { return !w.held && w.n > closeAfter }

// oneIn is true once in n of the varied asks, and draws nothing for the others.
func (w *Writer) oneIn(n int) bool { return w.varied() && w.r.IntN(n) == 0 }

func (w *Writer) from(list []string) string { return list[w.r.IntN(len(list))] }

// looseAlarm is an alarm between words that say nothing about it.
func (w *Writer) looseAlarm(mention, machine, value string) string {
	before := fill(w.from(alarmBefore), "{m}", machine)
	after := fill(w.from(alarmAfter), "{m}", machine)
	words := []string{before, w.noise(3), mention}
	if w.r.IntN(3) == 0 {
		words = []string{w.noise(2), before, mention}
	}
	text := join(words...) + value
	if after = join(after, w.noise(2)); after != "" {
		text += w.from([]string{" ", " ", ", ", ". ", " - "}) + after
	}
	return text + w.from([]string{".", ".", "?", "", "!"})
}

// looseLog is a log line with its parts in any order, between words that say
// nothing; code is empty where the line names none.
func (w *Writer) looseLog(place, code, time, reason string) string {
	parts := []string{
		fill(w.from(placeParts), "{L}", place),
		fill(w.from(timeParts), "{t}", time),
		fill(w.from(reasonParts), "{r}", reason),
	}
	if code != "" {
		parts = append(parts, fill(w.from(codeParts), "{c}", code))
	}
	w.r.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	var b strings.Builder
	for i, p := range parts {
		if i > 0 {
			b.WriteString(w.from(separators))
		}
		if w.r.IntN(4) == 0 {
			p = join(w.from(fillers), p)
		}
		b.WriteString(p)
	}
	return b.String()
}

// noise is up to n words that say nothing.
func (w *Writer) noise(n int) string {
	var words []string
	for range w.r.IntN(n + 1) {
		words = append(words, w.from(fillers))
	}
	return strings.Join(words, " ")
}

// anyReason is a reason in words that may be made up, so that it has to be
// copied and cannot be guessed.
func (w *Writer) anyReason() string {
	word := func(lists ...[]string) string {
		if w.r.IntN(6) == 0 {
			return w.madeUp()
		}
		return w.from(lists[w.r.IntN(len(lists))])
	}
	noun := word(nouns, moreNouns)
	switch w.r.IntN(6) {
	case 0, 1:
		return noun + " " + word(states, moreStates)
	case 2:
		return word(moreNouns) + " " + noun + " " + word(states, moreStates)
	}
	return word(adjectives, moreAdjectives) + " " + noun
}

// madeUp is a word that no language has.
func (w *Writer) madeUp() string {
	var b strings.Builder
	for range 1 + w.r.IntN(3) {
		b.WriteString(w.from(onsets) + w.from(rhymes))
	}
	return b.String()
}

// anyCode is a code of any shape that a skill takes, often close to a known one.
func (w *Writer) anyCode() string {
	letter := string('A' + rune(w.r.IntN(26)))
	switch w.r.IntN(10) {
	case 0:
		return letter + fmt.Sprintf("%03d", w.r.IntN(1000))
	case 1:
		return letter + strconv.Itoa(w.r.IntN(1000))
	case 2:
		return "E" + strconv.Itoa(w.r.IntN(100))
	case 3:
		return w.from([]string{"E", letter}) + fmt.Sprintf("%04d", w.r.IntN(10_000))
	case 4:
		return letter + plant.Alarms[w.r.IntN(len(plant.Alarms))].Code[1:]
	}
	return fmt.Sprintf("E%03d", w.r.IntN(1000))
}

// closeCode is a known code with another digit in one place.
func (w *Writer) closeCode() string {
	code := []byte(plant.Alarms[w.r.IntN(len(plant.Alarms))].Code)
	code[1+w.r.IntN(3)] = '0' + byte(w.r.IntN(10))
	return string(code)
}

// someReadings is the triage question with one reading or more left out, and
// the readings with good ones in their place. An alarm whose only harmless
// readings are held out shows its action nowhere else.
func (w *Writer) someReadings(code, temperature, vibration, load string, r plant.Readings) (string, plant.Readings) {
	parts := []string{"Alarm " + code}
	keep := w.r.IntN(7) // of the eight subsets all but the whole
	if keep&1 != 0 {
		parts = append(parts, "temperature "+temperature+" °C")
	} else {
		r.Temperature = 0
	}
	if keep&2 != 0 {
		parts = append(parts, "vibration "+vibration+" mm/s")
	} else {
		r.Vibration = 0
	}
	if keep&4 != 0 {
		parts = append(parts, "load "+load+" %")
	} else {
		r.Load = 0
	}
	return strings.Join(parts, ", ") + ".", r
}

// join puts a space between the parts that are not empty.
func join(parts ...string) string { return strings.Join(strings.Fields(strings.Join(parts, " ")), " ") }
