package hw

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
)

// Available is how much memory this process may still take, in bytes, and what
// sets that bound: the kernel's own estimate, and the limits of the control
// groups that the process is in. Page cache counts as free, for it gives way.
// The kernel's files are read below root.
// https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
func Available(root string) (n uint64, bound string, err error) {
	read := func(name string) ([]byte, error) { return os.ReadFile(filepath.Join(root, name)) }
	if n, bound, err = availableMachine(root, read); err != nil {
		return 0, "", err
	}
	self, err := read("proc/self/cgroup")
	if err != nil {
		return n, bound, nil
	}
	group, err := cgroupPath(self)
	if err != nil {
		return n, bound, nil // version 1 limits nothing here
	}
	for g := path.Clean("/" + group); ; g = path.Dir(g) {
		if left, ok := availableGroup("sys/fs/cgroup"+g, read); ok && left < n {
			n, bound = left, "the limit of control group "+g
		}
		if g == "/" {
			return n, bound, nil
		}
	}
}

// availableMachine asks for the whole machine. Where the sandbox hides
// /proc/meminfo, a share of the memory in all stands for it.
func availableMachine(root string, read func(string) ([]byte, error)) (uint64, string, error) {
	info, err := read("proc/meminfo")
	if err != nil {
		total, terr := memoryTotal(root)
		if terr != nil {
			return 0, "", fmt.Errorf("how much memory is available: %w", err)
		}
		const share, system = 80, 200_000_000 // percent; bytes of everything else on the board
		n := total / 100 * share
		return n - min(n, system), "this machine", nil
	}
	var v [1]float64
	if err := parseKeys(info, []string{"MemAvailable"}, 1024, v[:]); err != nil || !(v[0] >= 0) {
		return 0, "", fmt.Errorf("how much memory is available: no MemAvailable in /proc/meminfo")
	}
	return uint64(v[0]), "this machine", nil
}

// availableGroup is what a control group may still take; false where it has no limit.
func availableGroup(dir string, read func(string) ([]byte, error)) (uint64, bool) {
	number := func(name string) (float64, bool) {
		b, err := read(dir + "/" + name)
		if err != nil {
			return 0, false
		}
		v, err := parseLimit(b)
		return v, err == nil
	}
	limit, ok := number("memory.max")
	if high, has := number("memory.high"); has && (!ok || high < limit) {
		limit, ok = high, true
	}
	current, has := number("memory.current")
	if !ok || !has || limit > 1<<62 {
		return 0, false
	}
	if stat, err := read(dir + "/memory.stat"); err == nil {
		var files [2]float64
		if parseKeys(stat, []string{"active_file", "inactive_file"}, 1, files[:]) == nil && files[0] >= 0 && files[1] >= 0 {
			current -= files[0] + files[1]
		}
	}
	return uint64(max(0, limit-max(0, current))), true
}
