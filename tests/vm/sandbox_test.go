package vm

import (
	"slices"
	"strings"
)

// seen are the files that the engine may see beside programs and libraries: its model, its
// saved prefixes, and the sockets on which it tells systemd and the journal.
var seen = []string{
	"/var/lib/lineside/models/", "/var/lib/lineside-engine/",
	"/run/systemd/notify", "/run/systemd/journal/socket", "/run/systemd/journal/stdout",
	"/etc/ld.so.cache", "/etc/localtime",
}

// devices are systemd's for PrivateDevices=yes (systemd.exec(5)): none that leads anywhere.
var devices = []string{"char", "null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "mqueue", "hugepages", "log", "core", "fd", "stdin", "stdout", "stderr"}

// sandbox looks at the engine as the kernel sees it: whatever a model file makes of the
// process, this is all that it has.
func sandbox(a *appliance) {
	a.Helper()
	root := "/proc/" + a.pid(engineUnit) + "/root"
	files := a.sh(`find -L %[1]s/etc %[1]s/var %[1]s/run %[1]s/home %[1]s/root %[1]s/srv %[1]s/opt %[1]s/mnt %[1]s/media %[1]s/boot %[1]s/tmp \
		-not -type d -print 2>/dev/null | sort -u; true`, root)
	n := 0
	for f := range strings.Lines(files) {
		f = strings.TrimPrefix(strings.TrimSpace(f), root)
		n++
		if !slices.ContainsFunc(seen, func(s string) bool { return f == s || strings.HasSuffix(s, "/") && strings.HasPrefix(f, s) }) {
			a.Errorf("the engine sees %s", f)
		}
	}
	if !strings.Contains(files, modelFile) {
		a.Error("the engine does not see its model: this test looks in the wrong place")
	}
	for d := range strings.FieldsSeq(a.sh("ls %s/dev", root)) {
		if !slices.Contains(devices, d) {
			a.Errorf("the engine sees the device %s", d)
		}
	}
	links := a.sh("nsenter -t %s -n ip -o link", a.pid(engineUnit))
	if strings.Count(links, "\n") != 0 || !strings.Contains(links, " lo:") {
		a.Errorf("the engine's network has more than a loopback of its own:\n%s", links)
	}
	status := a.sh("grep -E '^(CapEff|NoNewPrivs|Seccomp|Uid):' /proc/%s/status | tr -s '\\t' ' '", a.pid(engineUnit))
	for _, want := range []string{"CapEff: 0000000000000000", "NoNewPrivs: 1", "Seccomp: 2"} {
		if !strings.Contains(status, want) {
			a.Errorf("the engine's process has %q, want %s", status, want)
		}
	}
	a.Logf("the engine sees %d files beside programs, no device, no network; %s", n, strings.ReplaceAll(status, "\n", ", "))
}

// egress has the appliance try its own walls; then each wall is taken away in turn, and the
// same test must say so.
func egress(a *appliance) {
	a.Helper()
	out, err := a.m.Run(a.wait(), "lineside doctor --egress")
	if err != nil {
		a.Errorf("the walls do not hold: %v", err)
	}
	a.Logf("lineside doctor --egress:\n%s", out)
	for _, w := range []struct{ wall, away, back string }{
		{"the firewall", "nft delete table inet lineside", "systemctl restart lineside-units.service"},
		{"the daemon's address filter",
			"mkdir -p /run/systemd/system/linesided.service.d && printf '[Service]\\nIPAddressAllow=any\\n' >/run/systemd/system/linesided.service.d/99-open.conf && systemctl daemon-reload",
			"rm /run/systemd/system/linesided.service.d/99-open.conf && systemctl daemon-reload"},
	} {
		a.sh("%s", w.away)
		out, err := a.m.Run(a.wait(), "lineside doctor --egress")
		if err == nil {
			a.Errorf("without %s the test of the walls says that all is well:\n%s", w.wall, out)
		}
		a.sh("%s", w.back)
	}
}
