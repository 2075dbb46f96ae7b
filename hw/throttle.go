package hw

import "strings"

// findThrottle adds the Pi firmware's throttle bits from the best place there
// is: the mailbox, else the deprecated sysfs file, else the hwmon driver, which
// knows undervoltage alone.
func (b *Board) findThrottle() {
	if b.identity.Family != RaspberryPi {
		return
	}
	var s source
	from := ""
	const old = "sys/devices/platform/soc/soc:firmware/get_throttled"
	const old2712 = "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled"
	switch {
	case b.mailbox != nil:
		from = "dev/vcio"
		s.call = func(out []float64) error {
			word, err := b.mailbox.throttled()
			if err == nil {
				spread(uint64(word), out)
			}
			return err
		}
	case b.tree.has(old):
		from, s.path, s.many = old, cpath(old), parseThrottled
	case b.tree.has(old2712):
		from, s.path, s.many = old2712, cpath(old2712), parseThrottled
	default:
		b.findUndervoltage()
		return
	}
	rs := make([]Reading, 0, 8)
	for _, kind := range []Kind{Throttle, ThrottleBoot} {
		for _, name := range throttleNames {
			rs = append(rs, reading(kind, name, from))
		}
	}
	b.add(s, rs...)
}

// findUndervoltage reads the rpi_volt hwmon driver; without it the reading
// stands there with its reason, because a Pi that cannot tell is worth knowing.
func (b *Board) findUndervoltage() {
	for _, dir := range b.tree.list(hwmons) {
		base := hwmons + "/" + dir + "/"
		if b.str(base+"name") == "rpi_volt" {
			b.addFile(Throttle, throttleNames[bitUndervoltage], base+"in0_lcrit_alarm", scaled(1))
			return
		}
	}
	b.add(source{call: func([]float64) error { return errNoThrottle }},
		reading(Throttle, throttleNames[bitUndervoltage], "dev/vcio"))
}

// SupplyWeak reports whether the power supply is at its end now: the Pi's
// undervoltage bit, or the critical over-current alarm of a Jetson's rail.
func (s *Sample) SupplyWeak() bool {
	if s.Value(Throttle, throttleNames[bitUndervoltage]) == 1 {
		return true
	}
	for r := range s.Each(PowerAlarm) {
		if r.OK() && r.Value == 1 && strings.HasSuffix(r.Name, "-crit") {
			return true
		}
	}
	return false
}

// Slowed reports whether the board's own protection slows it down now.
func (s *Sample) Slowed() bool {
	for _, i := range [...]int{bitCapped, bitThrottled, bitSoftLimit} {
		if s.Value(Throttle, throttleNames[i]) == 1 {
			return true
		}
	}
	return false
}
