package hw

import "strings"

const zones = "sys/class/thermal"

// findThermal adds every thermal zone, with the limits that its trip points
// name. https://docs.kernel.org/driver-api/thermal/sysfs-api.html
func (b *Board) findThermal() {
	for _, dir := range b.tree.list(zones) {
		if !strings.HasPrefix(dir, "thermal_zone") {
			continue
		}
		base := zones + "/" + dir + "/"
		path := base + "temp"
		name := b.str(base + "type")
		if name == "" {
			name = dir
		}
		r := reading(Temperature, b.unique(Temperature, name, path), path)
		r.High, r.Crit = b.trips(base)
		b.limit(&r)
		b.add(source{path: cpath(path), one: parseTemp}, r)
	}
}

// fanTrip is the temperature below which a passive trip is a fan's: some boards start theirs so.
const fanTrip = 55 // °C

// trips reads a zone's limits in °C: High from its lowest passive or hot trip,
// where the kernel starts to slow things down, Crit from its critical one.
// Active trips only turn fans.
func (b *Board) trips(base string) (high, crit float64) {
	for i := range 32 {
		stem := base + "trip_point_" + itoa(i)
		kind := b.str(stem + "_type")
		if kind == "" {
			break
		}
		data, err := b.tree.read(cpath(stem+"_temp"), b.buf)
		if err != nil {
			continue
		}
		t, err := parseTemp(data)
		if err != nil || t < 20 { // unset trips say 0 or less
			continue
		}
		switch kind {
		case "passive", "hot":
			if t >= fanTrip && (high == 0 || t < high) {
				high = t
			}
		case "critical":
			if crit == 0 || t < crit {
				crit = t
			}
		}
	}
	return high, crit
}

// limit completes a reading's limits with what the board is known for.
func (b *Board) limit(r *Reading) {
	id := &b.identity
	if id.Soft > 0 && (r.High == 0 || id.Soft < r.High) {
		r.High = id.Soft
	}
	if id.Hard > 0 && (r.Crit == 0 || id.Hard < r.Crit) {
		r.Crit = id.Hard
	}
	if r.High == 0 && r.Crit > 0 {
		r.High = r.Crit - 10 // no passive trip: stay well below the switch-off
	}
}

// isPrimary reports whether a zone is one that the model's work heats.
func isPrimary(name string) bool {
	name = strings.ToLower(name)
	for _, word := range [...]string{"cpu", "soc", "tj", "pkg", "core", "k10temp", "gpu"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// Heat sums the temperatures up for a decision.
type Heat struct {
	Sensors bool    // the board has temperature sensors at all
	OK      bool    // at least one that the work heats has a good or stale value
	Zone    string  // the one nearest to its limit
	Temp    float64 // °C
	High    float64 // °C, its limit
	AgeMS   int64   // age of that value at the sample's time
}

// Heat finds the zone nearest to its limit, among those that the work heats
// where the board has such. Zones without any limit count against fallback, in °C.
func (s *Sample) Heat(fallback float64) Heat {
	var h Heat
	anyPrimary := false
	for r := range s.Each(Temperature) {
		h.Sensors = true
		anyPrimary = anyPrimary || isPrimary(r.Name)
	}
	for r := range s.Each(Temperature) {
		if r.Quality == Unavailable {
			continue
		}
		if anyPrimary && !isPrimary(r.Name) {
			continue // slowing down would not cool a disk or a power converter
		}
		h.OK = true
		high := r.High
		if high == 0 {
			high = fallback
		}
		if h.Zone == "" || high-r.Value < h.High-h.Temp {
			h.Zone, h.Temp, h.High, h.AgeMS = r.Name, r.Value, high, r.Age(s.At).Milliseconds()
		}
	}
	return h
}
