// Package image boots the card's image as it ships: a stand-in for the Raspberry Pi's
// bootloader reads the card and says what starts, QEMU starts it on the same card, and a
// factory device asks it over MQTT. Faults are put where a plant has them.
//
// It proves nothing about a Pi's own firmware and hardware: see README.
package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lineside/image/fat"
	"lineside/image/firmware"
	"lineside/image/layout"
	"lineside/inference/model/demo"
	"lineside/mqtt"
	"lineside/mqtt/mqtttest"
	"lineside/mqtt/wire"
	"lineside/tests/vm/base"
	"lineside/tests/vm/machine"
)

// patience with a machine that is emulated on a busy one.
const patience = 8 * time.Minute

// cardSize is larger than the image, so that the data partition has to grow.
const cardSize = 4 << 30

// board is a Raspberry Pi with its card, and a plant around it.
type board struct {
	*testing.T
	ctx      context.Context
	dir      string
	card     string
	firmware firmware.Board
	agent    string // initial RAM file system with the tests' agent
	broker   *mqtttest.Mosquitto
	device   *mqtttest.Observer
	mark     int // messages before it belong to the past

	on       *machine.Machine
	boot     firmware.Boot
	switched time.Time // when it was switched on
	starts   int
	console  bytes.Buffer
	log      io.Writer // the console, and a file to watch it in
	extra    []machine.Disk
	end      machine.Disk // how the card fails, as ReadOnly or Worn
	args     []string
}

// release is the folder that image/build.sh made.
func release(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("LINESIDE_IMAGE")
	if dir == "" {
		t.Skip("boots the card's image: run make image-test, or name the folder that image/build.sh made in LINESIDE_IMAGE")
	}
	for _, tool := range []string{"qemu-system-aarch64", "dtc", "mosquitto"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s: run tools/deps.sh image vm test", tool)
		}
	}
	return dir
}

// newBoard copies the image to a card of its own.
func newBoard(t *testing.T) *board {
	t.Helper()
	images := release(t)
	b := &board{T: t, ctx: t.Context(), dir: t.TempDir(), firmware: firmware.Board{Model: "pi5"}}
	b.card = filepath.Join(b.dir, "card.img")
	out, err := exec.Command("cp", "--sparse=always", filepath.Join(images, "lineside.img"), b.card).CombinedOutput()
	if err != nil {
		t.Fatalf("copy the image: %v: %s", err, out)
	}
	b.must(os.Truncate(b.card, cardSize))
	b.log = &b.console
	if name := os.Getenv("LINESIDE_CONSOLE"); name != "" {
		f, err := os.Create(name)
		b.must(err)
		t.Cleanup(func() { f.Close() })
		b.log = io.MultiWriter(&b.console, f)
	}
	b.agent, err = base.Agent(b.ctx, b.dir)
	b.must(err)
	b.broker = mqtttest.StartMosquitto(t)
	b.device = mqtttest.Observe(t, b.broker.URL(), "auto", "", "plc", []string{"llm/v1/b03/#"}, nil)
	t.Cleanup(func() {
		if b.on != nil {
			b.on.Close()
		}
		if t.Failed() {
			text := b.console.String()
			t.Logf("the end of the console:\n%s", text[max(0, len(text)-6000):])
		}
	})
	return b
}

func (b *board) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *board) wait() context.Context {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	b.Cleanup(cancel)
	return ctx
}

// lineside runs the technician's tool on this machine.
func (b *board) lineside(args ...string) string {
	b.Helper()
	cmd := exec.Command("go", append([]string{"run", "-buildvcs=false", "./cmd/lineside"}, args...)...)
	cmd.Dir, cmd.Env = base.Source(), append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("lineside %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// config is a lineside.toml for this plant.
func (b *board) config() string {
	_, port, err := net.SplitHostPort(b.broker.Addr)
	b.must(err)
	return fmt.Sprintf(`[board]
id = "b03"
[mqtt]
url = "mqtt://%s:%s"
[engine]
model = "/usr/share/lineside/demo/lineside-demo.gguf"
slots = 2
ctx = 2048
[skills]
dir = "/usr/share/lineside/demo/skills"
[leds]
kind = "led"
lamps = { status = "sysfs:ACT" }
[system]
timezone = "Europe/Berlin"
`, machine.HostAddr, port)
}

// provision puts files on the card as a technician does.
func (b *board) provision(config string) {
	b.Helper()
	file := filepath.Join(b.dir, "lineside.toml")
	b.must(os.WriteFile(file, []byte(config), 0o644))
	b.lineside("image", "provision", b.card, "--config", file)
}

// partition finds a partition of the card that is switched off.
func (b *board) partition(number int, use func(card *os.File, e layout.Entry)) {
	b.Helper()
	f, err := os.OpenFile(b.card, os.O_RDWR, 0)
	b.must(err)
	defer f.Close()
	table, err := layout.ReadTable(f)
	b.must(err)
	e, _ := table.Find(number)
	use(f, e)
}

// fat opens the file system of one.
func (b *board) fat(partition int, use func(v *fat.Volume)) {
	b.Helper()
	b.partition(partition, func(card *os.File, e layout.Entry) {
		v, err := fat.Open(card, e.Start, e.Bytes, true)
		b.must(err)
		use(v)
	})
}

// file reads one of the first partition.
func (b *board) file(name string) (text string) {
	b.Helper()
	b.fat(layout.Selector, func(v *fat.Volume) {
		content, err := v.ReadFile(name, 1<<20)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			b.Fatal(err)
		}
		text = string(content)
	})
	return text
}

// start gives the board power, or lets it start again, and returns when its firmware has
// found a system. The kernel runs from here on.
func (b *board) start() {
	b.Helper()
	if b.on != nil {
		b.must(b.on.Close())
		b.on = nil
	}
	b.starts++
	card, err := os.Open(b.card)
	b.must(err)
	defer card.Close()
	b.boot, err = b.firmware.Start(card)
	b.must(err)
	disk := b.end
	disk.Path, disk.Keep = b.card, true
	kernel, initrd := b.extract(card, b.boot.Kernel), b.extract(card, b.boot.Initrd)
	o := machine.Options{
		Kernel: kernel, Initrd: []string{initrd, b.agent}, Append: b.boot.Cmdline,
		Disks: append([]machine.Disk{disk}, b.extra...), Log: b.log,
		// A restart ends QEMU: the firmware decides what starts next.
		Args: append([]string{
			"-action", "reboot=shutdown,watchdog=reset", "-device", "i6300esb",
			"-chardev", "file,id=tryboot,path=" + b.flag(), "-device", "virtserialport,chardev=tryboot,name=lineside.tryboot",
		}, b.args...),
	}
	o.DTB, err = machine.DeviceTree(b.ctx, o, b.dir, machine.WithLamp)
	b.must(err)
	blob, err := os.ReadFile(o.DTB)
	b.must(err)
	blob, err = b.firmware.DeviceTree(blob, b.boot)
	b.must(err)
	b.must(os.WriteFile(o.DTB, blob, 0o644))
	b.must(os.WriteFile(b.flag(), nil, 0o644))
	b.mark = len(b.device.Messages())
	fmt.Fprintf(b.log, "\n==== start %d: slot %s, trial %v\n", b.starts, b.boot.Slot, b.boot.Tryboot)
	b.switched = time.Now()
	b.on, err = machine.Boot(context.WithoutCancel(b.ctx), o)
	b.must(err)
}

// flag is the file in which the machine leaves the firmware's one-shot flag.
func (b *board) flag() string { return filepath.Join(b.dir, "tryboot") }

func (b *board) extract(card *os.File, name string) string {
	b.Helper()
	content, err := firmware.File(card, b.boot, name)
	b.must(err)
	path := filepath.Join(b.dir, filepath.Base(name))
	b.must(os.WriteFile(path, content, 0o644))
	return path
}

// cut takes the power away: nothing that was not written is.
func (b *board) cut() {
	b.Helper()
	b.on.Kill()
	b.firmware.Tryboot = false
}

// restarted waits until the board restarts itself, and starts what the firmware finds.
func (b *board) restarted() {
	b.Helper()
	if err := b.on.Wait(b.wait()); err != nil {
		b.report()
		b.Fatalf("the board does not restart: %v", err)
	}
	flag, err := os.ReadFile(b.flag())
	b.must(err)
	b.firmware.Tryboot = strings.HasPrefix(string(flag), "1")
	b.start()
}

// sh runs a command on the board; a failing one fails the test.
func (b *board) sh(format string, args ...any) string {
	b.Helper()
	out, err := b.on.Run(b.wait(), fmt.Sprintf(format, args...))
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// slotIs fails the test where another system runs.
func (b *board) slotIs(want layout.Slot) {
	b.Helper()
	if b.boot.Slot != want {
		b.Fatalf("slot %s runs, want %s", b.boot.Slot, want)
	}
}

// status waits for a state with these words in its reason.
func (b *board) status(state, why string) (took time.Duration) {
	b.Helper()
	var last mqtt.Status
	_, next, err := b.device.MessageFrom(b.wait(), b.mark, "llm/v1/b03/status", func(m wire.Message) bool {
		last = mqtt.Status{}
		return json.Unmarshal(m.Payload, &last) == nil && last.State == state && strings.Contains(last.Why, why)
	})
	if err != nil {
		b.report()
		b.Fatalf("status stays %q %q, want %q %q", last.State, last.Why, state, why)
	}
	b.mark = next
	return time.Since(b.switched)
}

// answers asks until there is the right answer: what a device does that repeats its ask.
func (b *board) answers() (took time.Duration) {
	b.Helper()
	var prompt, want string
	for _, g := range demo.Golden() {
		if g.Prompt != "" {
			prompt, want = g.Prompt, g.Answer
			break
		}
	}
	b.status("ready", "")
	id := fmt.Sprintf("start%d-%d", b.starts, time.Now().UnixNano())
	payload, err := json.Marshal(map[string]any{"id": id, "prompt": prompt, "deadline_ms": patience.Milliseconds() / 2})
	b.must(err)
	b.device.Ask("llm/v1/b03/ask/plc/text", string(payload))
	ans, err := b.device.Answer(b.wait(), id)
	if err != nil || ans.Code != mqtt.OK || ans.Text != want {
		b.report()
		b.Fatalf("answer %d %q, %v, want %q", ans.Code, ans.Text, err, want)
	}
	return time.Since(b.switched)
}

// healthy waits for the health check, and for a trial to be kept.
func (b *board) healthy() {
	b.Helper()
	b.sh("until systemctl is-active -q lineside-commit.service; do systemctl is-failed -q lineside-commit.service && exit 1; sleep 0.5; done")
}

// report has the board say what it knows of a failure.
func (b *board) report() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	out, err := b.on.Run(ctx, "systemctl --failed --no-pager; systemctl list-jobs --no-pager; lineside image slots; findmnt; journalctl -b --no-pager -o short-monotonic | tail -n 150")
	b.Logf("the board says (%v):\n%s", err, out)
}
