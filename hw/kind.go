package hw

// Kind is what a reading measures. It fixes the unit and the metric's name.
type Kind uint8

// Kinds of readings.
const (
	Temperature  Kind = iota // thermal zones and hwmon sensors
	Throttle                 // what slows the board now: 0 or 1
	ThrottleBoot             // the same, at any time since boot (or since the kernel cleared it)
	CPUClock                 // set, measured and highest clock of a CPU group
	GPULoad                  // busy share of the GPU
	GPUClock                 // its clock
	FanSpeed                 // tachometer
	FanDuty                  // how hard the fan is driven
	Voltage                  // rails
	Current                  // rails
	Power                    // rails, and "total" for the board
	PowerAlarm               // a rail's over-current or under-voltage alarm: 0 or 1
	OverCurrent              // over-current events since boot
	PowerMode                // nvpmodel's mode number, its name in Text
	Memory                   // sizes
	MemoryEvents             // cgroup counters: how often a limit was hit
	Pressure                 // PSI: share of the last 10 s lost to waiting
	Disk                     // sizes of file systems
	ReadOnly                 // file systems that take no writes: 0 or 1
	Wear                     // used share of a flash device's life, upper bound
	Uptime                   // since boot
	TimeSync                 // 1 where the clock is set by a source; "synced", "holdover" or "unsynced" in Text
	kinds                    // how many there are
)

type kindInfo struct {
	name   string // in IDs and JSON
	unit   string
	metric string // Prometheus name
	label  string // label that carries Reading.Name
	help   string
	scale  float64 // from the reading's unit to the metric's
}

// kindTable is the one place that names kinds.
var kindTable = [kinds]kindInfo{
	Temperature:  {"temperature", "°C", "lineside_temperature_celsius", "zone", "Temperature of a thermal zone or sensor.", 1},
	Throttle:     {"throttle", "", "lineside_throttle_active", "cause", "Whether the board is slowed down now by this cause.", 1},
	ThrottleBoot: {"throttle-since-boot", "", "lineside_throttle_seen", "cause", "Whether the board was slowed down by this cause since boot.", 1},
	CPUClock:     {"cpu-clock", "Hz", "lineside_cpu_frequency_hertz", "clock", "Clock of a CPU group: set, measured and highest.", 1},
	GPULoad:      {"gpu-load", "%", "lineside_gpu_busy_ratio", "gpu", "Busy share of the GPU.", 0.01},
	GPUClock:     {"gpu-clock", "Hz", "lineside_gpu_frequency_hertz", "gpu", "Clock of the GPU.", 1},
	FanSpeed:     {"fan-speed", "rpm", "lineside_fan_speed_rpm", "fan", "Measured fan speed.", 1},
	FanDuty:      {"fan-duty", "%", "lineside_fan_duty_ratio", "fan", "How hard the fan is driven.", 0.01},
	Voltage:      {"voltage", "V", "lineside_voltage_volts", "rail", "Voltage of a supply rail.", 1},
	Current:      {"current", "A", "lineside_current_amperes", "rail", "Current of a supply rail.", 1},
	Power:        {"power", "W", "lineside_power_watts", "rail", "Power of a supply rail, and of the whole board.", 1},
	PowerAlarm:   {"power-alarm", "", "lineside_power_alarm_active", "alarm", "Whether a rail's alarm is set.", 1},
	OverCurrent:  {"over-current", "", "lineside_over_current_events_total", "alarm", "Over-current events since boot.", 1},
	PowerMode:    {"power-mode", "", "lineside_power_mode", "model", "Number of the nvpmodel power mode.", 1},
	Memory:       {"memory", "B", "lineside_memory_bytes", "kind", "Memory of the board and of the engine's control group.", 1},
	MemoryEvents: {"memory-events", "", "lineside_memory_events_total", "event", "How often the control group hit a memory limit.", 1},
	Pressure:     {"pressure", "%", "lineside_pressure_ratio", "resource", "Share of the last 10 seconds that work waited for this.", 0.01},
	Disk:         {"disk", "B", "lineside_disk_bytes", "space", "Free and whole space of file systems.", 1},
	ReadOnly:     {"disk-read-only", "", "lineside_disk_read_only", "disk", "Whether the file system takes no writes.", 1},
	Wear:         {"wear", "%", "lineside_storage_wear_ratio", "device", "Used share of a flash device's life, upper bound.", 0.01},
	Uptime:       {"uptime", "s", "lineside_uptime_seconds", "since", "Time since boot.", 1},
	TimeSync:     {"time-sync", "", "lineside_clock_synchronized", "source", "Whether the clock is set by a time source.", 1},
}

func (k Kind) String() string {
	if k >= kinds {
		return "unknown"
	}
	return kindTable[k].name
}

// Unit is the unit of the kind's values: "°C", "Hz", "B", "%" and so on, empty
// for counts and switches.
func (k Kind) Unit() string {
	if k >= kinds {
		return ""
	}
	return kindTable[k].unit
}

// Metric is one line for a Prometheus scrape.
type Metric struct {
	Name, Help   string
	Counter      bool // else a gauge
	Label, Value string
	Number       float64
}

// Metrics yields the sample in Prometheus conventions: base units, ratios
// instead of percent, counters ending in _total. Readings without a good value
// are left out and show as lineside_reading_available 0.
func (s *Sample) Metrics(yield func(Metric) bool) {
	for i := range s.Readings {
		r := &s.Readings[i]
		k := &kindTable[r.Kind]
		ok := 0.0
		if r.OK() {
			ok = 1
			m := Metric{
				Name: k.metric, Help: k.help, Label: k.label, Value: r.Name, Number: r.Value * k.scale,
				Counter: r.Kind == OverCurrent || r.Kind == MemoryEvents,
			}
			if !yield(m) {
				return
			}
			if r.High > 0 {
				limit := Metric{Name: "lineside_temperature_limit_celsius", Help: "Where the board starts to slow down.", Label: "zone", Value: r.Name, Number: r.High}
				if !yield(limit) {
					return
				}
			}
		}
		if !yield(Metric{Name: "lineside_reading_available", Help: "Whether the reading has a good value.", Label: "reading", Value: r.ID(), Number: ok}) {
			return
		}
	}
}
