package hw

import "math"

// findMemory adds what the kernel says of memory, of waiting (PSI) and of the
// engine's control group.
func (b *Board) findMemory() {
	keys := []string{"MemTotal", "MemAvailable", "SwapTotal", "SwapFree"}
	const info = "proc/meminfo"
	b.add(source{path: cpath(info), many: func(data []byte, out []float64) error {
		return parseKeys(data, keys, 1024, out)
	}},
		reading(Memory, "total", info), reading(Memory, "available", info),
		reading(Memory, "swap-total", info), reading(Memory, "swap-free", info))

	for _, what := range []string{"memory", "cpu", "io"} {
		path := "proc/pressure/" + what
		b.add(source{path: cpath(path), many: parsePressure},
			reading(Pressure, what+"-some", path), reading(Pressure, what+"-full", path))
	}
	b.findCGroup()
}

func (b *Board) findCGroup() {
	group := b.options.CGroup
	if group == "" || !b.tree.has("sys/fs/cgroup/"+group+"/memory.current") {
		data, err := b.tree.read(cpath("proc/self/cgroup"), b.buf)
		if err == nil {
			group, err = cgroupPath(data)
		}
		if err != nil {
			return
		}
	}
	base := "sys/fs/cgroup/" + group
	if group != "" {
		base += "/"
	}
	if !b.tree.has(base + "memory.current") { // the root group and version 1 have none
		return
	}
	b.addFile(Memory, "group-current", base+"memory.current", scaled(1))
	b.addFile(Memory, "group-high", base+"memory.high", parseLimit)
	b.addFile(Memory, "group-max", base+"memory.max", parseLimit)
	events := base + "memory.events"
	keys := []string{"high", "max", "oom_kill"}
	b.add(source{path: cpath(events), many: func(data []byte, out []float64) error {
		return parseKeys(data, keys, 1, out)
	}}, reading(MemoryEvents, "high", events), reading(MemoryEvents, "max", events), reading(MemoryEvents, "oom-kill", events))
}

// parseLimit reads a cgroup limit; "max" is no limit, which is +Inf.
func parseLimit(b []byte) (float64, error) {
	if string(trim(b)) == "max" {
		return math.Inf(1), nil
	}
	return scaled(1)(b)
}
