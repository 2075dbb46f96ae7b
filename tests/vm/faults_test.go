package vm

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"lineside/mqtt"
)

// TestAppliance boots one machine: package, start, ask, answer; then, with LINESIDE_VM=all, every
// fault, the engine's sandbox and the way out.
func TestAppliance(t *testing.T) {
	a := boot(t, "", packaged(t))
	start := time.Now()
	a.ready()
	t.Logf("the machine is up after %s", time.Since(start).Round(time.Second))
	start = time.Now()
	a.install()
	t.Logf("the package is installed and configured after %s", time.Since(start).Round(time.Second))
	ready := a.status(start, mqtt.StateReady, "")
	first := a.answers()
	t.Logf("ready after %s, first answer in %d ms", ready.Round(time.Second), first.MS.Total)
	a.lampIs("beat")
	which := os.Getenv("LINESIDE_VM")
	if which == "1" {
		return
	}
	chosen := func(name string) bool { return which == "all" || regexp.MustCompile(which).MatchString(name) }
	a.suffer(chosen)
	if chosen("walls") {
		sandbox(a)
		egress(a)
	}
	a.table()
}

// fault is one thing that goes wrong, and what the test makes of it.
type fault struct {
	name string
	run  func(*appliance) row
}

// all faults, in the order in which one machine goes through them.
var all = []fault{
	{"systemctl reload with asks", reload},
	{"no engine at all", noEngine},
	{"kill -9 linesided", killDaemon},
	{"kill -9 the engine", killEngine},
	{"abort() in the engine", abortEngine},
	{"linesided hangs", hangDaemon},
	{"the engine hangs", hangEngine},
	{"out of memory in the engine", outOfMemory},
	{"the model file is broken", brokenModel},
	{"linesided cannot be started", noStart},
	{"lineside.toml is broken", brokenConfig},
	{"the broker is gone", brokerGone},
	{"the clock jumps a day", clockJump},
	{"the disk is full", diskFull},
	{"the root is read-only", readOnly},
	{"a start on a read-only root", startReadOnly},
	{"power cut", powerCut},
}

// suffer goes through faults, one after the other, on the same machine.
func (a *appliance) suffer(chosen func(name string) bool) {
	for _, c := range all {
		if !chosen(c.name) {
			continue
		}
		begun := time.Now()
		a.begin()
		r := c.run(a)
		r.fault = c.name
		a.rows = append(a.rows, r)
		a.Logf("%s: %+v (%s in all)", c.name, r, time.Since(begun).Round(time.Second))
	}
}

// table prints what every fault did.
func (a *appliance) table() {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "fault\tstate meanwhile\tlamp meanwhile\tanswers again after\tjournal")
	for _, r := range a.rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%.1f s\t%.90s\n", r.fault, r.state, r.lamp, r.recovery.Seconds(), r.journal)
	}
	w.Flush()
	a.Logf("\n%s", &b)
}

// healed waits until the board is ready, shows it and answers rightly, and returns how
// long that took.
func (a *appliance) healed(since time.Time) time.Duration {
	a.Helper()
	// What comes in the first moment after a connect may have waited at the broker for as long
	// as the board was away, which nobody knows after failed starts: it is asked again then,
	// as often as that moment lasts.
	prompt, want := golden(a.T)
	ans := a.answer(a.send(prompt, patience))
	for ans.Code == mqtt.Expired && time.Since(since) < patience {
		ans = a.answer(a.send(prompt, patience))
	}
	if ans.Code != mqtt.OK || ans.Text != want {
		a.Errorf("answer %d %q, want %q", ans.Code, ans.Text, want)
	}
	took := time.Since(since)
	a.lampIs("beat")
	return took
}

// held asks while the engine stands still, so that the ask is under way until release.
func (a *appliance) held() (id string, release func()) {
	a.Helper()
	a.sh("systemctl kill -s STOP %s", engineUnit)
	prompt, _ := golden(a.T)
	id = a.send(prompt, patience)
	a.taken(id)
	return id, func() { a.sh("systemctl kill -s CONT %s", engineUnit) }
}

// kept wants the answer to an ask that lived through a fault.
func (a *appliance) kept(id string) {
	a.Helper()
	if ans := a.answer(id); ans.Code != mqtt.OK {
		a.Errorf("the ask that was under way ended with %d %q", ans.Code, ans.Text)
	}
}

func reload(a *appliance) row {
	pid := a.pid(daemonUnit)
	id, release := a.held()
	start := time.Now()
	a.sh("systemctl reload %s", daemonUnit)
	line := a.logged(daemonUnit, "Reloaded")
	release()
	a.kept(id)
	took := a.healed(start)
	if now := a.pid(daemonUnit); now != pid {
		a.Errorf("process %s became %s", pid, now)
	}
	return row{state: "ready", lamp: "even 200 ms", journal: line, recovery: took}
}

// noEngine shows that linesided is there without an engine, and how soon.
func noEngine(a *appliance) row {
	a.sh("systemctl mask --runtime --now %s lineside-engine.socket", engineUnit)
	a.status(time.Now(), mqtt.StateDegraded, "")
	a.sh("systemctl restart %s", daemonUnit)
	took := a.moment(daemonUnit, "ActiveEnterTimestampMonotonic") - a.moment(daemonUnit, "ExecMainStartTimestampMonotonic")
	a.Logf("READY %s after the start of the process, with no engine", took.Round(time.Millisecond))
	a.status(time.Now(), mqtt.StateStarting, "no engine answers")
	if ans := a.answer(a.send("hello", time.Minute)); ans.Code != mqtt.NotReady || ans.RetryMS == 0 {
		a.Errorf("without an engine: %d %q, retry after %d ms", ans.Code, ans.Text, ans.RetryMS)
	}
	a.status(time.Now(), mqtt.StateDegraded, "no engine answers") // after its minute
	a.lampIs("5 flashes")
	start := time.Now()
	a.sh("systemctl unmask --runtime %[1]s lineside-engine.socket && systemctl start lineside-engine.socket %[1]s", engineUnit)
	a.status(start, mqtt.StateReady, "")
	return row{state: "starting, degraded", lamp: "5 flashes", journal: fmt.Sprintf("(READY %s after its start)", took.Round(time.Millisecond)), recovery: a.healed(start)}
}

func killDaemon(a *appliance) row {
	id, release := a.held()
	start := time.Now()
	a.sh("kill -9 %s", a.pid(daemonUnit))
	a.status(start, mqtt.StateOffline, "")
	line := a.logged(daemonUnit, "code=killed, status=9")
	release()
	a.kept(id)
	a.status(start, mqtt.StateReady, "")
	return row{state: "offline", lamp: "as before", journal: line, recovery: a.healed(start)}
}

func killEngine(a *appliance) row {
	id, _ := a.held()
	start := time.Now()
	a.sh("kill -9 %s", a.pid(engineUnit))
	line := a.logged(engineUnit, "code=killed, status=9")
	a.kept(id)
	return row{state: "degraded", lamp: a.lamp(), journal: line, recovery: a.healed(start)}
}

func abortEngine(a *appliance) row {
	start := time.Now()
	a.sh("kill -ABRT %s", a.pid(engineUnit))
	end := a.logged(engineUnit, "code=killed, status=6/ABRT")
	if dump := line(a.journal("-u "+engineUnit), "goroutine"); dump != "" {
		a.Errorf("the journal has a dump: %s", dump)
	}
	return row{state: "degraded", lamp: a.lamp(), journal: end, recovery: a.healed(start)}
}

func hangDaemon(a *appliance) row {
	start := time.Now()
	a.sh("kill -STOP %s", a.pid(daemonUnit))
	line := a.logged(daemonUnit, "Watchdog timeout")
	a.status(start, mqtt.StateOffline, "")
	lamp := a.lamp()
	a.status(start, mqtt.StateReady, "")
	return row{state: "offline", lamp: lamp, journal: line, recovery: a.healed(start)}
}

func hangEngine(a *appliance) row {
	start := time.Now()
	a.sh("systemctl kill -s STOP %s", engineUnit)
	a.status(start, mqtt.StateDegraded, "")
	a.lampIs("5 flashes")
	line := a.logged(engineUnit, "Watchdog timeout")
	a.status(start, mqtt.StateReady, "") // before it an ask would be refused
	return row{state: "degraded", lamp: "5 flashes", journal: line, recovery: a.healed(start)}
}

func outOfMemory(a *appliance) row {
	start := time.Now()
	a.sh("systemctl set-property --runtime %s MemoryMax=6M", engineUnit)
	killed := a.logged(engineUnit, "oom-kill|OOM killer")
	lamp := a.lamp()
	a.sh("systemctl revert %s", engineUnit)
	if oom := line(a.journal("-k"), "Out of memory: Killed|CONSTRAINT_NONE"); oom != "" { // "Memory cgroup out of memory" is the engine's own
		a.Errorf("the whole machine ran out of memory: %s", oom)
	}
	return row{state: "degraded", lamp: lamp, journal: killed, recovery: a.healed(start)}
}

func brokenModel(a *appliance) row {
	a.sh("cp -p %[1]s %[1]s.good && head -c 100000 %[1]s.good >%[1]s && systemctl restart %[2]s", modelFile, engineUnit)
	a.status(time.Now(), mqtt.StateDegraded, "truncated")
	line := a.logged(engineUnit, "truncated")
	a.lampIs("5 flashes")
	start := time.Now()
	a.sh("mv %[1]s.good %[1]s && systemctl restart %[2]s", modelFile, engineUnit)
	a.status(start, mqtt.StateReady, "")
	return row{state: "degraded", lamp: "5 flashes", journal: line, recovery: a.healed(start)}
}

// noStart must light the fault lamp with no daemon to do it.
func noStart(a *appliance) row {
	start := time.Now()
	a.sh("chmod a-x /usr/bin/linesided && kill -9 %s", a.pid(daemonUnit))
	a.status(start, mqtt.StateOffline, "")
	line := a.logged(daemonUnit, "status=203/EXEC")
	a.logged("lineside-failure.service", "Starting")
	a.lampIs("5 flashes")
	start = time.Now()
	a.sh("chmod a+x /usr/bin/linesided && systemctl reset-failed %[1]s && systemctl restart --no-block %[1]s", daemonUnit)
	a.status(start, mqtt.StateReady, "")
	return row{state: "offline", lamp: "5 flashes", journal: line, recovery: a.healed(start)}
}

// brokenConfig must light the lamp that the broken file itself names.
func brokenConfig(a *appliance) row {
	start := time.Now()
	a.sh("cp -p %[1]s %[1]s.good && sed -i 's/^url = .*/url = \"broker/' %[1]s && systemctl restart --no-block %[2]s", configFile, daemonUnit)
	a.status(start, mqtt.StateOffline, "")
	line := a.logged(daemonUnit, "lineside.toml")
	a.logged("lineside-failure.service", "Starting")
	a.lampIs("5 flashes")
	start = time.Now()
	a.sh("mv %[1]s.good %[1]s && systemctl reset-failed %[2]s && systemctl restart --no-block %[2]s", configFile, daemonUnit)
	a.status(start, mqtt.StateReady, "")
	return row{state: "offline", lamp: "5 flashes", journal: line, recovery: a.healed(start)}
}

func brokerGone(a *appliance) row {
	a.broker.Kill()
	a.lampIs("5 flashes")
	line := a.logged(daemonUnit, "broker|connection")
	start := time.Now()
	a.broker.Start()
	a.status(start, mqtt.StateReady, "")
	return row{state: "(no broker)", lamp: "5 flashes", journal: line, recovery: a.healed(start)}
}

func clockJump(a *appliance) row {
	pid := a.pid(daemonUnit)
	start := time.Now()
	a.sh("date -s '+1 day'")
	a.answers()
	a.sh("date -s '-2 days'")
	took := a.healed(start)
	a.sh("date -s '+1 day'")
	jump := a.logged(daemonUnit, "the clock was set.*by=24h")
	if now := a.pid(daemonUnit); now != pid {
		a.Errorf("the jump took linesided down")
	}
	return row{state: "ready", lamp: "beat", journal: jump, recovery: took}
}

func diskFull(a *appliance) row {
	a.sh("fallocate -l 100G /full 2>/dev/null; dd if=/dev/zero of=/full2 bs=1M 2>/dev/null; df / | tail -n 1")
	return unwritable(a, "no space|0 MB left", func() { a.sh("rm -f /full /full2") })
}

// fixRoot is how a script makes the root read-only, as the kernel does after an error.
const fixRoot = "sync; echo u >/proc/sysrq-trigger; until grep -q ' / ext4 ro' /proc/mounts; do :; done"

func readOnly(a *appliance) row {
	a.sh(fixRoot)
	// ext4 of Linux 6.1 takes what is written to open files, and its fsync, without an error: only the mount's flag tells.
	return unwritable(a, "(?i)read-only", func() { a.sh("mount -o remount,rw /") })
}

// startReadOnly starts both services on a root that nobody can write: the board answers all
// the same, and keeps things again after its next start. /tmp is in memory, as on a card:
// systemd 252 makes the folder of PrivateDevices= there, for any service.
func startReadOnly(a *appliance) row {
	a.sh("systemctl stop %[1]s %[2]s && mount -t tmpfs tmpfs /tmp; "+fixRoot, engineUnit, daemonUnit)
	begun := time.Now()
	a.sh("systemctl start --no-block %s %s", engineUnit, daemonUnit)
	a.status(begun, mqtt.StateReady, "")
	return unwritable(a, "(?i)the store does not take asks.*read-only", func() {
		start := time.Now()
		a.sh("mount -o remount,rw / && systemctl restart --no-block %s %s", engineUnit, daemonUnit)
		a.status(start, mqtt.StateReady, "")
	})
}

// unwritable asks a board that cannot write, whose journal says so, and mends it.
func unwritable(a *appliance, journal string, mend func()) row {
	prompt, _ := golden(a.T)
	ans := a.answer(a.send(prompt, patience))
	state := fmt.Sprintf("answers %d %s", ans.Code, ans.Status)
	line := a.logged(daemonUnit, journal)
	a.lampIs("2 flashes")
	start := time.Now()
	mend()
	return row{state: state, lamp: "2 flashes", journal: line, recovery: a.healed(start)}
}

// powerCut resets the machine in the middle of an ask: it comes back alone, answers that
// ask, and has its prefixes still.
func powerCut(a *appliance) row {
	a.sh("sync")
	id, _ := a.held()
	a.sh("sync")
	start := time.Now()
	check(a.T, a.m.Reset())
	a.status(start, mqtt.StateOffline, "")
	_, err := a.m.Ready(a.wait())
	check(a.T, err)
	a.kept(id)
	took := time.Since(start)
	ans := a.answer(id)
	a.Logf("the first answer after the power cut took %d ms, %d of %d tokens from saved prefixes", ans.MS.Total, ans.Tok.Cached, ans.Tok.In)
	if ans.Tok.Cached == 0 {
		a.Errorf("no prefix was known after the power cut: %+v", ans.Tok)
	}
	a.lampIs("2 flashes") // no time server has set the clock since
	return row{state: "offline", lamp: "2 flashes", journal: "(new boot)", recovery: took}
}
