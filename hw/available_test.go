package hw_test

import (
	"os"
	"path/filepath"
	"testing"

	"lineside/hw"
)

func TestAvailable(t *testing.T) {
	const meminfo = "MemTotal:        8000000 kB\nMemFree:  1000000 kB\nMemAvailable:    4000000 kB\n"
	const machine = 4000000 << 10
	for name, tt := range map[string]struct {
		files map[string]string
		want  uint64
		bound string
	}{
		"no group":       {map[string]string{"proc/meminfo": meminfo}, machine, "this machine"},
		"version 1":      {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "3:memory:/x\n"}, machine, "this machine"},
		"no limit":       {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n", "sys/fs/cgroup/a/memory.current": "5\n"}, machine, "this machine"},
		"a limit":        {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "1000000\n", "sys/fs/cgroup/a/memory.current": "400000\n"}, 600000, "the limit of control group /a"},
		"files give way": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "1000000\n", "sys/fs/cgroup/a/memory.current": "400000\n", "sys/fs/cgroup/a/memory.stat": "anon 1\nactive_file 100000\ninactive_file 200000\n"}, 900000, "the limit of control group /a"},
		"high comes first": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "1000000\n", "sys/fs/cgroup/a/memory.high": "500000\n",
			"sys/fs/cgroup/a/memory.current": "600000\n"}, 0, "the limit of control group /a"},
		"the parent's": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": "1000000\n", "sys/fs/cgroup/a/memory.current": "400000\n",
			"sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/b/memory.current": "5\n"}, 600000, "the limit of control group /a"},
		"a container": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1000000\n", "sys/fs/cgroup/memory.current": "0\n"}, 1000000, "the limit of control group /"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for name, text := range tt.files {
				path := filepath.Join(root, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			n, bound, err := hw.Available(root)
			if err != nil || n != tt.want || bound != tt.bound {
				t.Errorf("%d (%s), %v; want %d (%s)", n, bound, err, tt.want, tt.bound)
			}
		})
	}
	if _, _, err := hw.Available(t.TempDir()); err == nil {
		t.Error("an empty tree has memory")
	}
}
