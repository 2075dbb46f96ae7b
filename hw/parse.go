package hw

import (
	"bytes"
	"math"
	"slices"
	"strings"
)

// Parsers turn a file's bytes into numbers. They take anything at all, give
// numbers or one of the errors in errors.go, and allocate nothing.

// trim cuts blanks and the NULs that end device-tree strings.
func trim(b []byte) []byte { return bytes.Trim(b, " \t\r\n\x00") }

// parseInt reads one decimal number that fills the file. strconv would copy b.
func parseInt(b []byte) (int64, error) {
	b = trim(b)
	if len(b) == 0 {
		return 0, errEmpty
	}
	neg := b[0] == '-'
	if neg || b[0] == '+' {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 19 {
		return 0, errGarbage
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, errGarbage
		}
		d := int64(c - '0')
		if n > (math.MaxInt64-d)/10 {
			return 0, errRange
		}
		n = n*10 + d
	}
	if neg {
		n = -n
	}
	return n, nil
}

// parseHex reads "0x1f", "1f" or "0x01 0x0b" (the first number).
func parseHex(b []byte) (uint64, error) {
	b = trim(b)
	if len(b) == 0 {
		return 0, errEmpty
	}
	if i := bytes.IndexAny(b, " \t\n"); i >= 0 {
		b = b[:i]
	}
	b = bytes.TrimPrefix(b, []byte("0x"))
	if len(b) == 0 || len(b) > 16 {
		return 0, errGarbage
	}
	var n uint64
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			n = n<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			n = n<<4 | uint64(c-'a'+10)
		case c >= 'A' && c <= 'F':
			n = n<<4 | uint64(c-'A'+10)
		default:
			return 0, errGarbage
		}
	}
	return n, nil
}

// parseFloat reads digits with at most one point, at the start of b, and
// returns what is behind them.
func parseFloat(b []byte) (v float64, rest []byte, err error) {
	i, digits, scale := 0, 0, 0.0
	neg := len(b) > 0 && b[0] == '-'
	if neg {
		i++
	}
	for ; i < len(b); i++ {
		c := b[i]
		if c == '.' && scale == 0 {
			scale = 1
			continue
		}
		if c < '0' || c > '9' {
			break
		}
		digits++
		v = v*10 + float64(c-'0')
		scale *= 10
	}
	if digits == 0 || digits > 18 {
		return 0, b, errGarbage
	}
	if scale > 1 {
		v /= scale
	}
	if neg {
		v = -v
	}
	return v, b[i:], nil
}

// parseTemp reads a temperature in thousandths of °C. Zones that are off
// answer with absolute zero or a huge number: no board lives there.
// https://docs.kernel.org/driver-api/thermal/sysfs-api.html
func parseTemp(b []byte) (float64, error) {
	n, err := parseInt(b)
	if err != nil {
		return 0, err
	}
	if n <= -100_000 || n >= 250_000 {
		return 0, errRange
	}
	return float64(n) / 1000, nil
}

// scaled makes a parser of one whole number times a factor, 0 or more.
func scaled(factor float64) func([]byte) (float64, error) {
	return func(b []byte) (float64, error) {
		n, err := parseInt(b)
		if err != nil {
			return 0, err
		}
		if n < 0 {
			return 0, errRange
		}
		return float64(n) * factor, nil
	}
}

// signed is scaled for values that may be below zero: currents while charging.
func signed(factor float64) func([]byte) (float64, error) {
	return func(b []byte) (float64, error) {
		n, err := parseInt(b)
		return float64(n) * factor, err
	}
}

// parseKeys finds "key value" or "key: value" lines and puts each value times
// factor at its key's place of out, NaN where a key is missing or odd.
// It reads /proc/meminfo and the flat files of cgroup v2.
func parseKeys(b []byte, keys []string, factor float64, out []float64) error {
	for i := range out {
		out[i] = math.NaN()
	}
	if len(trim(b)) == 0 {
		return errEmpty
	}
	found := 0
	for len(b) > 0 {
		line := b
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			line, b = b[:i], b[i+1:]
		} else {
			b = nil
		}
		i := bytes.IndexAny(line, ": \t")
		if i < 0 {
			continue
		}
		for k, key := range keys {
			if string(line[:i]) != key {
				continue
			}
			v := bytes.TrimSuffix(trim(bytes.TrimLeft(line[i:], ": \t")), []byte(" kB"))
			if n, err := parseInt(v); err == nil && n >= 0 {
				out[k] = float64(n) * factor
				found++
			}
		}
	}
	if found == 0 {
		return errGarbage
	}
	return nil
}

// parsePressure reads avg10 of the "some" and "full" lines of a PSI file, in
// percent. Old kernels have no "full" line for the CPU.
// https://docs.kernel.org/accounting/psi.html
func parsePressure(b []byte, out []float64) error {
	out[0], out[1] = math.NaN(), math.NaN()
	if len(trim(b)) == 0 {
		return errEmpty
	}
	for i, word := range [...]string{"some avg10=", "full avg10="} {
		at := bytes.Index(b, []byte(word))
		if at < 0 {
			continue
		}
		if v, _, err := parseFloat(b[at+len(word):]); err == nil && v <= 100 {
			out[i] = v
		}
	}
	if math.IsNaN(out[0]) {
		return errGarbage
	}
	return nil
}

// parseUptime reads the first number of /proc/uptime, in seconds.
func parseUptime(b []byte) (float64, error) {
	b = trim(b)
	if len(b) == 0 {
		return 0, errEmpty
	}
	v, rest, err := parseFloat(b)
	if err != nil || v < 0 || len(rest) > 0 && rest[0] != ' ' {
		return 0, errGarbage
	}
	return v, nil
}

// Bits of the Pi firmware's throttle word; bits 16 to 19 say the same since boot.
// https://www.raspberrypi.com/documentation/computers/os.html#get_throttled
const (
	bitUndervoltage = iota
	bitCapped
	bitThrottled
	bitSoftLimit
)

// throttleNames are the reading names of the bits, in their order.
var throttleNames = [4]string{"undervoltage", "frequency-capped", "throttled", "soft-temperature-limit"}

// spread puts the throttle word's bits into out: four for now, four since boot.
func spread(word uint64, out []float64) {
	for i := range 4 {
		out[i] = float64(word >> i & 1)
		out[4+i] = float64(word >> (16 + i) & 1)
	}
}

func parseThrottled(b []byte, out []float64) error {
	word, err := parseHex(b)
	if err != nil {
		return err
	}
	if word>>20 != 0 {
		return errGarbage
	}
	spread(word, out)
	return nil
}

// parsePMIC reads the firmware's list of Pi 5 power rails, lines such as
// "3V3_SYS_A current(1)=0.06636642A" and "EXT5V_V volt(24)=5.14512000V", and
// calls each with the rail's name without its last letter.
func parsePMIC(b []byte, each func(rail []byte, volts bool, v float64)) error {
	found := false
	for len(b) > 0 {
		line := b
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			line, b = b[:i], b[i+1:]
		} else {
			b = nil
		}
		line = trim(line)
		sp, eq := bytes.IndexByte(line, ' '), bytes.IndexByte(line, '=')
		if sp < 3 || eq < sp || line[sp-2] != '_' {
			continue
		}
		volts := bytes.HasPrefix(line[sp+1:], []byte("volt("))
		if !volts && !bytes.HasPrefix(line[sp+1:], []byte("current(")) {
			continue
		}
		if v, _, err := parseFloat(line[eq+1:]); err == nil {
			each(line[:sp-2], volts, v)
			found = true
		}
	}
	if !found {
		return errGarbage
	}
	return nil
}

// parseLifeTime reads the eMMC's two life estimates, "0x01 0x02", as the upper
// bound of the used share in percent: 0x01 is up to 10 %, 0x0b is past the end.
// https://docs.kernel.org/driver-api/mmc/mmc-dev-attrs.html
func parseLifeTime(b []byte, out []float64) error {
	first, err := parseHex(b)
	if err != nil {
		return err
	}
	out[0], out[1] = lifeShare(first), math.NaN()
	b = trim(b)
	if i := bytes.IndexAny(b, " \t"); i >= 0 {
		if second, err := parseHex(b[i:]); err == nil {
			out[1] = lifeShare(second)
		}
	}
	return nil
}

func lifeShare(v uint64) float64 {
	if v == 0 || v > 11 { // 0: the device does not say
		return math.NaN()
	}
	return float64(v) * 10
}

// parseStatusMode finds the number in nvpmodel's status file: "pmode:0002".
func parseStatusMode(b []byte) (float64, error) {
	b = trim(b)
	if len(b) == 0 {
		return 0, errEmpty
	}
	i := bytes.LastIndexByte(b, ':')
	if i < 0 || !bytes.HasPrefix(b, []byte("pmode:")) {
		return 0, errGarbage
	}
	n, err := parseInt(b[i+1:])
	if err != nil || n < 0 || n > 1000 {
		return 0, errGarbage
	}
	return float64(n), nil
}

// modeName finds a mode's name in /etc/nvpmodel.conf: lines such as
// "< POWER_MODEL ID=2 NAME=15W >".
func modeName(conf string, mode int64) string {
	for line := range strings.Lines(conf) {
		f := strings.Fields(strings.Trim(strings.TrimSpace(line), "<>"))
		if len(f) < 3 || f[0] != "POWER_MODEL" || !strings.HasPrefix(f[1], "ID=") || !strings.HasPrefix(f[2], "NAME=") {
			continue
		}
		if n, err := parseInt([]byte(f[1][3:])); err == nil && n == mode {
			return f[2][5:]
		}
	}
	return ""
}

// cgroupPath finds the version 2 group in /proc/self/cgroup: the line "0::/path".
func cgroupPath(b []byte) (string, error) {
	for line := range bytes.Lines(b) {
		if p, ok := bytes.CutPrefix(trim(line), []byte("0::/")); ok {
			if slices.Contains(strings.Split(string(p), "/"), "..") {
				return "", errGarbage
			}
			return string(p), nil
		}
	}
	if len(trim(b)) == 0 {
		return "", errEmpty
	}
	return "", errMissing
}

// stringList splits a device-tree string list at its NULs.
func stringList(b []byte) []string {
	var list []string
	for part := range bytes.SplitSeq(b, []byte{0}) {
		if s := clean(part); s != "" {
			list = append(list, s)
		}
	}
	return list
}

// clean makes one printable line of a file that should hold one.
func clean(b []byte) string {
	b = trim(b)
	if i := bytes.IndexAny(b, "\x00\n"); i >= 0 {
		b = b[:i]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return -1
		}
		return r
	}, string(b))
}

// sortNatural puts thermal_zone10 behind thermal_zone9.
func sortNatural(names []string) {
	slices.SortFunc(names, func(a, b string) int {
		pa, na := numbered(a)
		pb, nb := numbered(b)
		if pa == pb && na != nb {
			return na - nb
		}
		return strings.Compare(a, b)
	})
}

func numbered(name string) (prefix string, n int) {
	i := len(name)
	for i > 0 && name[i-1] >= '0' && name[i-1] <= '9' {
		i--
	}
	if i == len(name) || len(name)-i > 9 {
		return name, -1
	}
	for _, c := range name[i:] {
		n = n*10 + int(c-'0')
	}
	return name[:i], n
}
