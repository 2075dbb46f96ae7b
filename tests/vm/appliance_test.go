// Package vm installs Lineside's package on a Debian that boots in QEMU, drives it from
// outside by MQTT, and breaks it: every fault has an expected state, lamp, journal line
// and a measured recovery.
//
// LINESIDE_VM=1 boots, installs, asks and is answered; LINESIDE_VM=all goes through all
// faults, too, LINESIDE_VM='disk|walls' through those that match. LINESIDE_DEB names the package. Times are those of an emulated machine:
// tens of times slower than a board.
package vm

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"lineside/inference/model/demo"
	"lineside/mqtt"
	"lineside/mqtt/mqtttest"
	"lineside/mqtt/wire"
	"lineside/tests/vm/base"
	"lineside/tests/vm/machine"
)

// patience ends every wait, and is what an ask is given: an emulated machine beside other
// work is very slow.
const patience = 10 * time.Minute

// Services and files in the machine.
const (
	daemonUnit = "linesided.service"
	engineUnit = "lineside-engine.service"
	configFile = "/etc/lineside/lineside.toml"
	modelFile  = "/var/lib/lineside/models/active.gguf"
	payload    = "/mnt" // where the disk with the package is mounted
)

// appliance is a machine with Lineside on it, a broker on the host, and a device.
type appliance struct {
	*testing.T
	m      *machine.Machine
	broker *mqtttest.Mosquitto
	device *mqtttest.Observer
	port   string // the broker's
	cursor string // journal lines from it on belong to the present case
	mark   int    // so do the device's messages from here on
	asked  int
	rows   []row
}

// row is one line of the table that the test prints.
type row struct {
	fault, state, lamp, journal string
	recovery                    time.Duration
}

// packaged is the package to be tried.
func packaged(t *testing.T) (deb string) {
	base.Need(t)
	if deb = os.Getenv("LINESIDE_DEB"); deb == "" {
		t.Skip("LINESIDE_DEB names no package: run make vm-test")
	}
	return deb
}

// boot starts a machine of this processor with packages on its second disk: lineside.deb, and
// what follows as 2.deb, 3.deb.
func boot(t *testing.T, cpu string, debs ...string) *appliance {
	ctx := t.Context()
	b, err := base.Make(ctx, t.Output())
	check(t, err)
	dir := t.TempDir()
	initrd, err := b.Initrd(ctx, dir)
	check(t, err)
	agent, err := base.Agent(ctx, dir)
	check(t, err)
	o := machine.Options{
		Kernel: b.Kernel, Initrd: []string{initrd, agent}, Append: "root=/dev/vda rw quiet",
		Disks: []machine.Disk{{Path: b.Disk}, {Path: payloadDisk(t, dir, debs), ReadOnly: true}}, CPU: cpu,
	}
	o.DTB, err = machine.DeviceTree(ctx, o, dir, machine.WithLamp)
	check(t, err)
	a := &appliance{T: t, broker: mqtttest.StartMosquitto(t)}
	_, a.port, _ = net.SplitHostPort(a.broker.Addr)
	a.device = mqtttest.Observe(t, a.broker.URL(), "auto", "", "plc", []string{"llm/v1/b03/#"}, nil)
	a.m, err = machine.Boot(context.WithoutCancel(ctx), o) // it has to report after a failure, too
	check(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			a.report()
		}
		if err := a.m.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// payloadDisk is a disk with the packages, the demo model and its skills.
func payloadDisk(t *testing.T, dir string, debs []string) string {
	t.Helper()
	folder := filepath.Join(dir, "payload")
	check(t, os.MkdirAll(filepath.Join(folder, "skills"), 0o755))
	mib := int64(64)
	for i, deb := range debs {
		name := "lineside.deb"
		if i > 0 {
			name = fmt.Sprintf("%d.deb", i+1)
		}
		b, err := os.ReadFile(deb)
		check(t, err)
		check(t, os.WriteFile(filepath.Join(folder, name), b, 0o644))
		mib += int64(len(b)) >> 20
	}
	_, err := demo.Write(folder)
	check(t, err)
	check(t, demo.WriteSkills(filepath.Join(folder, "skills")))
	disk := filepath.Join(dir, "payload.ext4")
	out, err := exec.Command("/sbin/mkfs.ext4", "-q", "-F", "-d", folder, disk, strconv.FormatInt(mib, 10)+"M").CombinedOutput()
	if err != nil {
		t.Fatalf("mkfs.ext4: %v: %s", err, out)
	}
	return disk
}

// report shows what the machine has to say after a failure.
func (a *appliance) report() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := a.m.Run(ctx, "systemctl status --no-pager -n 0 'lineside*' | grep -v CGroup; journalctl -b --no-pager -o short-monotonic | tail -n 120")
	if err != nil {
		a.Logf("the machine says nothing more: %v\nits console:\n%s", err, a.m.Console())
		return
	}
	a.Logf("the machine says:\n%s", out)
	for _, m := range a.device.Messages()[a.mark:] {
		a.Logf("%s %.200s", m.Topic, m.Payload)
	}
}

func (a *appliance) wait() context.Context {
	ctx, cancel := context.WithTimeout(a.Context(), patience)
	a.Cleanup(cancel)
	return ctx
}

// sh runs a command in the machine; a failing one fails the test.
func (a *appliance) sh(format string, args ...any) string {
	a.Helper()
	out, err := a.m.Run(a.wait(), fmt.Sprintf(format, args...))
	if err != nil {
		a.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// ready waits for the first agent of a boot, and for the system behind it.
func (a *appliance) ready() {
	a.Helper()
	_, err := a.m.Ready(a.wait())
	check(a.T, err)
	a.sh("systemctl is-system-running --wait || true; mkdir -p %[1]s && mount -o ro /dev/vdb %[1]s", payload)
}

// install installs the package and configures it as a technician would.
func (a *appliance) install() {
	a.Helper()
	a.sh("dpkg -i %s/lineside.deb", payload)
	_, err := a.m.Feed(a.wait(), "cat >"+configFile, fmt.Appendf(nil, `
[board]
id = "b03"
[mqtt]
url = "mqtt://%s:%s"
[engine]
model = %q
slots = 2
ctx = 2048
[leds]
kind = "led"
lamps = { status = "sysfs:ACT" }
`, machine.HostAddr, a.port, modelFile))
	check(a.T, err)
	a.sh("install -m 640 -o lineside -g lineside-engine %s/*.gguf %s && cp %[1]s/skills/*.toml /etc/lineside/skills/ && chmod o+r %[3]s", payload, modelFile, configFile)
	a.sh("mkdir -p /run/systemd/timesync && touch /run/systemd/timesync/synchronized") // as if a time server had set the clock
	a.sh("systemctl start lineside-units.service lineside-engine.service linesided.service lineside-model.path")
}

// begin starts a case: what was said before does not count. Its journal is read from the last line
// on, with it: --after-cursor leaves out one line too many where -u leaves out the cursor's own.
func (a *appliance) begin() {
	a.Helper()
	out := a.sh("journalctl -q -n 1 -o cat --show-cursor")
	at := strings.LastIndex(out, "cursor: ")
	if at < 0 {
		a.Fatalf("no cursor in %q", out)
	}
	a.cursor, a.mark = out[at+len("cursor: "):], len(a.device.Messages())
}

// status waits until the board publishes a state with these words in its reason, after
// what this case has seen, and returns how long that took from since.
func (a *appliance) status(since time.Time, state, why string) (took time.Duration) {
	a.Helper()
	var last mqtt.Status
	_, next, err := a.device.MessageFrom(a.wait(), a.mark, "llm/v1/b03/status", func(m wire.Message) bool {
		last = mqtt.Status{}
		return json.Unmarshal(m.Payload, &last) == nil && last.State == state && strings.Contains(last.Why, why)
	})
	if err != nil {
		a.Fatalf("status stays %q %q, want %q %q", last.State, last.Why, state, why)
	}
	a.mark = next
	return time.Since(since)
}

// lamp is what the status light does now, in words: "5 flashes", "even 200 ms", "beat", "dark", "lit".
func (a *appliance) lamp() string {
	a.Helper()
	out := a.sh(`cd /sys/class/leds/ACT && sed 's/.*\[\(.*\)\].*/\1/' trigger && cat brightness && { cat pattern 2>/dev/null || cat delay_on 2>/dev/null || echo -; }`)
	f := strings.Split(out, "\n")
	if len(f) < 3 {
		return out
	}
	return describe(f[0], f[1], f[2])
}

// describe puts the files trigger, brightness and pattern of a LED in words.
// https://docs.kernel.org/leds/ledtrig-pattern.html
func describe(trigger, brightness, pattern string) string {
	switch {
	case trigger == "oneshot":
		return "beat"
	case trigger == "timer":
		return "even " + pattern + " ms"
	case trigger == "none" && brightness == "0":
		return "dark"
	case trigger == "none":
		return "lit"
	case trigger != "pattern":
		return trigger
	}
	// Pairs of brightness and milliseconds; each level comes twice, the second time with 0 ms.
	flashes, first := 0, ""
	f := strings.Fields(pattern)
	for i := 0; i+3 < len(f); i += 4 {
		if f[i] != "0" {
			flashes++
			first = f[i+1]
		}
	}
	if flashes == 1 {
		return "even " + first + " ms"
	}
	return fmt.Sprintf("%d flashes", flashes)
}

// lampIs waits until the light does what is wanted.
func (a *appliance) lampIs(want string) {
	a.Helper()
	shown := ""
	defer func() {
		if shown != want {
			a.Logf("the lamp shows %s", shown)
		}
	}()
	a.poll("the lamp to show "+want, func() bool { shown = a.lamp(); return shown == want })
}

// poll asks until the answer is yes: for what no event tells of.
func (a *appliance) poll(what string, ok func() bool) {
	a.Helper()
	ctx := a.wait()
	for !ok() {
		if ctx.Err() != nil {
			a.Fatalf("waited in vain for %s", what)
		}
	}
}

// journal is what it has of this case, of what these options of journalctl leave.
func (a *appliance) journal(options string) string {
	a.Helper()
	return a.sh("journalctl -q --no-pager -o cat %s --cursor '%s'", options, a.cursor)
}

// line is the first line that matches; empty where none does.
func line(text, pattern string) string {
	return strings.TrimSpace(regexp.MustCompile("(?m)^.*(?:" + pattern + ").*$").FindString(text))
}

// logged waits until the journal has a line of a unit that matches, and returns it. Lines of
// systemd about the unit belong to it.
func (a *appliance) logged(unit, pattern string) (found string) {
	a.Helper()
	var text string
	defer func() {
		if found == "" {
			a.Logf("the journal has:\n%s", text)
		}
	}()
	a.poll(fmt.Sprintf("%q in the journal of %s", pattern, unit), func() bool {
		text = a.journal("-u " + unit)
		found = line(text, pattern)
		return found != ""
	})
	return found
}

// send asks without waiting, and returns the ask's id.
func (a *appliance) send(prompt string, within time.Duration) string {
	a.Helper()
	a.asked++
	id := "a" + strconv.Itoa(a.asked)
	b, err := json.Marshal(map[string]any{"id": id, "prompt": prompt, "deadline_ms": within.Milliseconds(), "ack": true})
	check(a.T, err)
	a.device.Ask("llm/v1/b03/ask/plc/text", string(b))
	return id
}

// taken waits until the board says that it has an ask safe on disk.
func (a *appliance) taken(id string) {
	a.Helper()
	_, err := a.device.Message(a.wait(), "llm/v1/reply/plc/b03/ack", func(m wire.Message) bool {
		var ack mqtt.Ack
		return json.Unmarshal(m.Payload, &ack) == nil && ack.ID == id
	})
	if err != nil {
		a.Fatalf("ask %s is not taken: %v", id, err)
	}
}

// answer waits for an ask's one answer.
func (a *appliance) answer(id string) mqtt.Answer {
	a.Helper()
	ans, err := a.device.Answer(a.wait(), id)
	if err != nil {
		a.Fatalf("ask %s: %v", id, err)
	}
	for _, again := range a.device.Answers(id) {
		if again.Code != ans.Code || again.Text != ans.Text {
			a.Errorf("ask %s has two answers: %d %q and %d %q", id, ans.Code, ans.Text, again.Code, again.Text)
		}
	}
	return ans
}

// answers asks what the demo model knows and wants the right words.
func (a *appliance) answers() mqtt.Answer {
	a.Helper()
	prompt, want := golden(a.T)
	ans := a.answer(a.send(prompt, patience))
	if ans.Code != mqtt.OK || ans.Text != want {
		a.Errorf("answer %d %q, want %q", ans.Code, ans.Text, want)
	}
	return ans
}

// golden is the first fixed ask in free words, and its answer.
func golden(t *testing.T) (prompt, answer string) {
	t.Helper()
	for _, g := range demo.Golden() {
		if g.Prompt != "" {
			return g.Prompt, g.Answer
		}
	}
	t.Fatal("no fixed ask in free words")
	return "", ""
}

// pid is a service's main process.
func (a *appliance) pid(unit string) string {
	a.Helper()
	return a.sh("systemctl show -P MainPID %s", unit)
}

// moment is one of systemd's times of a unit.
func (a *appliance) moment(unit, property string) time.Duration {
	a.Helper()
	at, err := a.m.UnitTime(a.wait(), unit, property)
	check(a.T, err)
	return at
}
