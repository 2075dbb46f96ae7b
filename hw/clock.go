package hw

import "strings"

// findClocks adds each cpufreq policy's set and highest clock, and the clock
// that is measured: by the Pi's firmware, else by cpuinfo_cur_freq where the
// driver measures. scaling_cur_freq does not know of firmware throttling.
// https://docs.kernel.org/admin-guide/pm/cpufreq.html
func (b *Board) findClocks() {
	const dir = "sys/devices/system/cpu/cpufreq"
	for _, policy := range b.tree.list(dir) {
		if !strings.HasPrefix(policy, "policy") {
			continue
		}
		base := dir + "/" + policy + "/"
		name := "cpu" + strings.TrimPrefix(policy, "policy")
		b.addFile(CPUClock, name+"-set", base+"scaling_cur_freq", scaled(1000))
		b.addFile(CPUClock, name+"-max", base+"cpuinfo_max_freq", scaled(1000))
		if b.identity.Family != RaspberryPi && b.tree.has(base+"cpuinfo_cur_freq") {
			b.addFile(CPUClock, name+"-true", base+"cpuinfo_cur_freq", scaled(1000))
		}
	}
	if b.identity.Family != RaspberryPi {
		return
	}
	b.add(source{call: func(out []float64) error {
		if b.mailbox == nil {
			return errNoMailbox
		}
		hz, err := b.mailbox.armClock()
		out[0] = float64(hz)
		return err
	}}, reading(CPUClock, "cpu0-true", "dev/vcio"))
}

// findGPU adds the Jetson GPU by its device-tree name: the devfreq number and
// path change between models and releases.
func (b *Board) findGPU() {
	const dir = "sys/class/devfreq"
	for _, dev := range b.tree.list(dir) {
		base := dir + "/" + dev + "/"
		node := b.str(base + "device/of_node/name")
		switch node {
		case "ga10b", "gv11b", "gp10b", "gm20b", "gpu":
		default:
			continue
		}
		b.addFile(GPUClock, node, base+"cur_freq", scaled(1))
		if load := base + "device/load"; b.tree.has(load) {
			b.addFile(GPULoad, node, load, scaled(0.1))
		}
	}
}

// findPowerMode adds nvpmodel's mode, which is only ever read.
func (b *Board) findPowerMode() {
	const status, conf = "var/lib/nvpmodel/status", "etc/nvpmodel.conf"
	if b.identity.Family != Jetson {
		return
	}
	b.add(source{path: cpath(status), slow: true,
		many: func(data []byte, out []float64) (err error) {
			out[0], err = parseStatusMode(data)
			return err
		},
		text: func(out []float64) string {
			data, err := b.tree.read(cpath(conf), b.buf)
			if err != nil {
				return ""
			}
			return modeName(string(data), int64(out[0]))
		},
	}, reading(PowerMode, "nvpmodel", status))
}
