package hw

import (
	"runtime"
	"strconv"
	"strings"
)

// Family is a line of boards that share probes and limits.
type Family string

// Families that have probes of their own.
const (
	RaspberryPi Family = "raspberry-pi"
	Jetson      Family = "jetson"
	Generic     Family = "generic"
)

// Identity says what a board is. Empty fields have their reason in Missing.
type Identity struct {
	Family     Family            `json:"family"`
	Model      string            `json:"model"`
	Compatible []string          `json:"compatible"`
	Serial     string            `json:"serial"`
	SoC        string            `json:"soc"` // "bcm2712", "tegra234", or the CPU's name
	CPUs       int               `json:"cpus"`
	Memory     uint64            `json:"memory_bytes"` // as the kernel manages it
	Kernel     string            `json:"kernel"`
	Missing    map[string]string `json:"missing,omitempty"` // field → why it is empty
	// Soft and Hard are where this board's firmware is known to slow down and
	// to stop, in °C, where its thermal zones do not say so; 0 where unknown.
	Soft float64 `json:"soft_limit_celsius,omitempty"`
	Hard float64 `json:"hard_limit_celsius,omitempty"`
}

// knownLimits are limits that a board's firmware holds without showing them in
// sysfs, by the most exact compatible string first.
// https://www.raspberrypi.com/documentation/computers/raspberry-pi.html (frequency and thermal management)
var knownLimits = []struct {
	compatible string
	soft, hard float64
}{
	{"raspberrypi,3-model-b-plus", 60, 85}, // drops from 1.4 to 1.2 GHz at its soft limit
	{"raspberrypi,3-model-a-plus", 60, 85},
	{"raspberrypi,", 80, 85},
}

func readIdentity(t *tree, buf []byte) Identity {
	id := Identity{Family: Generic, Missing: map[string]string{}}
	// first takes the first of some files that says something.
	first := func(field string, paths ...string) []byte {
		var why string
		for _, p := range paths {
			b, err := t.read(cpath(p), buf)
			if err == nil && clean(b) != "" {
				return b
			}
			r := reason(err)
			if err == nil {
				r = errEmpty.Error()
			}
			if why == "" || r != "not there" {
				why = p + ": " + r
			}
		}
		id.Missing[field] = why
		return nil
	}
	const dt = "proc/device-tree/"
	id.Compatible = stringList(first("compatible", dt+"compatible", "sys/firmware/devicetree/base/compatible"))
	id.Model = clean(first("model", dt+"model", "sys/firmware/devicetree/base/model", "sys/class/dmi/id/product_name"))
	id.Serial = clean(first("serial", dt+"serial-number", "sys/firmware/devicetree/base/serial-number", "sys/class/dmi/id/product_serial"))
	id.Kernel = clean(first("kernel", "proc/sys/kernel/osrelease"))

	var kb [1]float64
	if b := first("memory_bytes", "proc/meminfo"); b != nil {
		if err := parseKeys(b, []string{"MemTotal"}, 1024, kb[:]); err != nil || kb[0] != kb[0] {
			id.Missing["memory_bytes"] = "proc/meminfo: " + errMissing.Error()
		} else {
			id.Memory = uint64(kb[0])
		}
	}
	cpu := ""
	if b := first("cpus", "proc/cpuinfo"); b != nil {
		for line := range strings.Lines(string(b)) {
			key, value, _ := strings.Cut(line, ":")
			switch strings.TrimSpace(key) {
			case "processor":
				id.CPUs++
			case "model name":
				cpu = strings.TrimSpace(value)
			}
		}
	}
	if n := countCPUs(t); n > 0 { // cpuinfo of many cores is longer than what is read of it
		id.CPUs = n
		delete(id.Missing, "cpus")
	}
	id.classify(cpu, func() string { return clean(first("soc", "sys/devices/soc0/machine", "sys/devices/soc0/family")) })
	if id.Model == "" && t.whole {
		id.Model = runtime.GOARCH + " machine"
		delete(id.Missing, "model")
	}
	if len(id.Missing) == 0 {
		id.Missing = nil
	}
	return id
}

// classify derives family, SoC and known limits from the compatible strings.
func (id *Identity) classify(cpu string, soc0 func() string) {
	for _, c := range id.Compatible {
		vendor, chip, _ := strings.Cut(c, ",")
		switch {
		case vendor == "raspberrypi":
			id.Family = RaspberryPi
		case vendor == "nvidia" && strings.HasPrefix(chip, "tegra"):
			id.Family = Jetson
			id.SoC = chip
		case vendor == "brcm" && strings.HasPrefix(chip, "bcm"):
			id.SoC = chip
		}
	}
	if id.SoC == "" && len(id.Compatible) > 1 {
		_, id.SoC, _ = strings.Cut(id.Compatible[len(id.Compatible)-1], ",")
	}
	if id.SoC == "" {
		id.SoC = cpu
	}
	if id.SoC == "" {
		id.SoC = soc0()
	}
	for _, k := range knownLimits {
		for _, c := range id.Compatible {
			if strings.HasPrefix(c, k.compatible) {
				id.Soft, id.Hard = k.soft, k.hard
				return
			}
		}
	}
}

func countCPUs(t *tree) int {
	n := 0
	for _, name := range t.list("sys/devices/system/cpu") {
		if prefix, i := numbered(name); prefix == "cpu" && i >= 0 {
			n++
		}
	}
	return n
}

func itoa(n int) string { return strconv.Itoa(n) }
