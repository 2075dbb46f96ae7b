package hw

import (
	"math"
	"strings"
)

const hwmons = "sys/class/hwmon"

// findHwmon adds what hwmon chips measure: fans, INA3221 rails, over-current
// counters, and temperatures that are not thermal zones already.
// https://docs.kernel.org/hwmon/sysfs-interface.html
func (b *Board) findHwmon() {
	var rails []rail
	for _, dir := range b.tree.list(hwmons) {
		base := hwmons + "/" + dir + "/"
		chip := b.str(base + "name")
		if chip == "" {
			continue
		}
		switch {
		case chip == "rpi_volt": // its one bit is in findThrottle
		case chip == "ina3221":
			rails = append(rails, b.findRails(base)...)
		case strings.HasPrefix(chip, "soctherm"):
			b.findOverCurrent(base)
		default:
			b.findFans(base, chip)
			b.findTemps(base, chip)
		}
	}
	rails = append(rails, b.findOldRails()...)
	b.totalPower(rails)
	b.findOldFan()
	b.findPMIC()
}

// files lists the names in a chip's folder that start and end so, with what is
// between: "fan1_input" gives "1".
func (b *Board) files(base, prefix, suffix string) (mids []string) {
	for _, name := range b.tree.list(base) {
		mid, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		if mid, ok = strings.CutSuffix(mid, suffix); ok && mid != "" && strings.Trim(mid, "0123456789") == "" {
			mids = append(mids, mid)
		}
	}
	return mids
}

func (b *Board) findFans(base, chip string) {
	numbered := func(n string) string {
		if n == "1" {
			return chip
		}
		return chip + "-" + n
	}
	for _, n := range b.files(base, "fan", "_input") {
		path, name := base+"fan"+n+"_input", b.str(base+"fan"+n+"_label")
		if name == "" {
			name = numbered(n)
		}
		b.addFile(FanSpeed, b.unique(FanSpeed, name, path), path, scaled(1))
	}
	for _, n := range b.files(base, "pwm", "") {
		path := base + "pwm" + n
		b.addFile(FanDuty, b.unique(FanDuty, numbered(n), path), path, scaled(100.0/255))
	}
	if path := base + "rpm"; b.tree.has(path) { // JetPack's tachometer driver
		b.addFile(FanSpeed, b.unique(FanSpeed, chip, path), path, scaled(1))
	}
}

func (b *Board) findTemps(base, chip string) {
	for r := range (&Sample{Readings: b.first}).Each(Temperature) {
		// The kernel mirrors zone "cpu-thermal" as chip "cpu_thermal".
		if strings.ReplaceAll(r.Name, "-", "_") == chip {
			return
		}
	}
	for _, n := range b.files(base, "temp", "_input") {
		stem := base + "temp" + n
		name := chip
		if label := b.str(stem + "_label"); label != "" {
			name += " " + label
		} else if n != "1" {
			name += "-" + n
		}
		path := stem + "_input"
		r := reading(Temperature, b.unique(Temperature, name, path), path)
		for _, l := range []struct {
			file string
			to   *float64
		}{{"_max", &r.High}, {"_crit", &r.Crit}} {
			if data, err := b.tree.read(cpath(stem+l.file), b.buf); err == nil {
				if t, err := parseTemp(data); err == nil && t >= 20 {
					*l.to = t
				}
			}
		}
		if isPrimary(name) {
			b.limit(&r)
		}
		b.add(source{path: cpath(path), one: parseTemp}, r)
	}
}

// rail is one measured channel, by the indexes of its readings.
type rail struct {
	name        string
	volts, amps int
}

func (b *Board) findRails(base string) (rails []rail) {
	for _, n := range b.files(base, "in", "_label") {
		name := b.str(base + "in" + n + "_label")
		// Channel 7 is the sum of shunt voltages, NC is not connected.
		if name == "" || name == "NC" || n == "7" || strings.HasPrefix(name, "sum of") {
			continue
		}
		volts, amps := base+"in"+n+"_input", base+"curr"+n+"_input"
		r := b.addRail(name, volts, amps)
		for _, level := range []string{"max", "crit"} {
			if alarm := base + "curr" + n + "_" + level + "_alarm"; b.tree.has(alarm) {
				b.addFile(PowerAlarm, r.name+"-"+level, alarm, scaled(1))
			}
		}
		rails = append(rails, r)
	}
	return rails
}

// addRail adds a channel's voltage, current and power.
func (b *Board) addRail(name, volts, amps string) rail {
	name = b.unique(Voltage, name, volts)
	b.addFile(Voltage, name, volts, scaled(0.001))
	b.addFile(Current, name, amps, signed(0.001))
	r := rail{name, b.index(Voltage, name), b.index(Current, name)}
	b.derivedPower(r)
	return r
}

func (b *Board) index(kind Kind, name string) int {
	for i := range b.first {
		if b.first[i].Kind == kind && b.first[i].Name == name {
			return i
		}
	}
	return -1
}

func (b *Board) derivedPower(r rail) {
	b.derived(reading(Power, r.name, "voltage × current"), func(rs []Reading) float64 { return watts(rs, r) })
}

// watts is NaN where either part is not good.
func watts(rs []Reading, r rail) float64 {
	if !rs[r.volts].OK() || !rs[r.amps].OK() {
		return math.NaN()
	}
	return rs[r.volts].Value * rs[r.amps].Value
}

// totalPower is the input rail where the board measures it, else the sum.
func (b *Board) totalPower(rails []rail) {
	if len(rails) == 0 {
		return
	}
	source := "sum of rails"
	for _, r := range rails {
		if r.name == "VDD_IN" || r.name == "POM_5V_IN" || r.name == "VIN_SYS_5V0" && len(rails) == 1 {
			rails, source = []rail{r}, r.name
			break
		}
	}
	b.derived(reading(Power, "total", source), func(rs []Reading) float64 {
		sum := 0.0
		for _, r := range rails {
			sum += watts(rs, r)
		}
		return sum
	})
}

// findOverCurrent adds soctherm's over-current counters and whether each
// slows the chips down.
func (b *Board) findOverCurrent(base string) {
	for _, n := range b.files(base, "oc", "_event_cnt") {
		b.addFile(OverCurrent, "oc"+n, base+"oc"+n+"_event_cnt", scaled(1))
		if path := base + "oc" + n + "_throt_en"; b.tree.has(path) {
			b.addFile(PowerAlarm, "oc"+n+"-throttle-enabled", path, scaled(1))
		}
	}
}

// findPMIC adds the Pi 5's input voltage and the sum of its measured rails. The
// sum leaves out what the USB ports and the 5 V pins feed.
func (b *Board) findPMIC() {
	if b.identity.SoC != "bcm2712" {
		return
	}
	b.add(source{call: func(out []float64) error {
		if b.mailbox == nil {
			return errNoMailbox
		}
		text, err := b.mailbox.command("pmic_read_adc")
		if err != nil {
			return err
		}
		out[0], out[1], err = pmicTotals(text)
		return err
	}}, reading(Voltage, "EXT5V", "dev/vcio"), reading(Power, b.unique(Power, "total", "dev/vcio"), "dev/vcio"))
}

// pmicTotals finds the input voltage and adds volts × amps of every rail.
func pmicTotals(text []byte) (ext5v, total float64, err error) {
	ext5v = math.NaN()
	var amps [16]struct {
		rail []byte
		v    float64
	}
	n := 0
	err = parsePMIC(text, func(rail []byte, volts bool, v float64) {
		switch {
		case volts && string(rail) == "EXT5V":
			ext5v = v
		case !volts && n < len(amps):
			amps[n].rail, amps[n].v = rail, v
			n++
		case volts:
			for _, a := range amps[:n] {
				if string(a.rail) == string(rail) {
					total += a.v * v
				}
			}
		}
	})
	if total == 0 {
		total = math.NaN()
	}
	return ext5v, total, err
}
