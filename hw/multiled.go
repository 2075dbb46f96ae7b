package hw

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// multiLED is one LED of several colours, as the kernel shows it: one brightness, which
// triggers move, and an intensity of each colour.
// https://docs.kernel.org/leds/leds-class-multicolor.html
type multiLED struct {
	*sysfsLED
	order  []int  // for each of the LED's own parts its place in a mix, -1 for one that no mix has
	before string // intensities
}

func openMultiLED(t *tree, name string, inverted bool) (*multiLED, error) {
	l, err := openSysfsLED(t, name, inverted)
	if err != nil {
		return nil, err
	}
	buf := make([]byte, fileMax)
	data, err := t.read(cpath(l.base+"multi_index"), buf)
	if err != nil {
		return nil, fmt.Errorf("LED %q has one colour: use kind \"led\", or name three lamps", name)
	}
	m := &multiLED{sysfsLED: l}
	for _, part := range strings.Fields(clean(data)) {
		m.order = append(m.order, slices.Index(parts, part))
	}
	for i, part := range parts {
		if !slices.Contains(m.order, i) {
			return nil, fmt.Errorf("LED %q has no %s: it has %s", name, part, clean(data))
		}
	}
	if data, err = t.read(cpath(l.base+"multi_intensity"), buf); err == nil {
		m.before = clean(data)
	}
	return m, nil
}

// tint sets the colour that a level then lights.
func (m *multiLED) tint(mix [3]uint8) error {
	var words []string
	for _, at := range m.order {
		v := 0
		if at >= 0 {
			v = int(mix[at]) * m.max / 255
		}
		words = append(words, fmt.Sprint(v))
	}
	return m.write("multi_intensity", strings.Join(words, " "))
}

func (m *multiLED) halt(exit string) error {
	err := m.sysfsLED.halt(exit)
	if exit == "restore" && m.before != "" {
		err = errors.Join(err, m.write("multi_intensity", m.before))
	}
	return err
}
