package image

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"lineside/image/fat"
	"lineside/image/layout"
	"lineside/tests/vm/machine"
)

// fault is one thing that goes wrong, and what must come of it.
type fault struct {
	name string
	do   func(b *board) (outcome string)
}

// TestFaults breaks a board in every way that a plant can. Each time it ends in an answering
// appliance, or in words on the card that say what to mend. It prints a row for each.
func TestFaults(t *testing.T) {
	release(t)
	if os.Getenv("LINESIDE_IMAGE_FAULTS") == "" {
		t.Skip("takes half an hour: run make image-test, or set LINESIDE_IMAGE_FAULTS=1")
	}
	seasoned := seasonedCard(t)
	var rows strings.Builder
	table := tabwriter.NewWriter(&rows, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FAULT\tOUTCOME\tSTARTS\tTIME")
	for _, f := range faults {
		t.Run(strings.ReplaceAll(f.name, " ", "-"), func(t *testing.T) {
			b := newBoard(t)
			if out, err := exec.Command("cp", "--sparse=always", seasoned, b.card).CombinedOutput(); err != nil {
				t.Fatalf("copy the card: %v: %s", err, out)
			}
			b.provision(b.config())
			begun := time.Now()
			outcome := f.do(b)
			fmt.Fprintf(table, "%s\t%s\t%d\t%s\n", f.name, outcome, b.starts, time.Since(begun).Round(time.Second))
		})
	}
	table.Flush()
	fmt.Print(rows.String())
}

// seasonedCard is one that has run before.
func seasonedCard(t *testing.T) string {
	b := newBoard(t)
	b.provision(b.config())
	b.start()
	b.answers()
	b.healthy()
	b.off()
	return b.card
}

// off switches the board off in good order.
func (b *board) off() {
	b.Helper()
	b.sh("systemctl poweroff --no-block")
	b.must(b.on.Wait(b.wait()))
}

// doomed runs a command that ends the machine.
func (b *board) doomed(shell string) { _, _ = b.on.Run(b.wait(), shell) }

// installed is a board that has the update in slot B, not tried yet.
func (b *board) installed() {
	b.Helper()
	b.stick()
	b.start()
	b.answers()
	b.healthy()
	b.sh("lineside image install --no-restart")
}

// tried restarts into the other slot, on trial.
func (b *board) tried(want layout.Slot) {
	b.Helper()
	b.sh("systemd-run --no-block lineside image slots try")
	b.restarted()
	b.slotIs(want)
}

// wornOut cuts the power and starts with a card at its end.
func (b *board) wornOut(end machine.Disk) string {
	b.Helper()
	b.start()
	b.answers()
	b.cut()
	b.end = end
	b.start()
	mark := b.mark
	b.status("ready", "read-only")
	b.mark = mark
	b.answers()
	b.healthy()
	return "A answers; the status says that nothing is kept"
}

// fellBack waits for the restart that ends a trial.
func (b *board) fellBack() string {
	b.Helper()
	b.restarted()
	b.slotIs(layout.A)
	b.answers()
	return "A answers, B was given up"
}

var faults = []fault{
	{"power cut while the update is written", func(b *board) string {
		b.stick()
		b.start()
		b.answers()
		b.healthy()
		b.sh("systemd-run --no-block --unit=update lineside image install")
		b.sh("until awk '$3 == \"vda6\" { exit $10 > 20000 ? 0 : 1 }' /proc/diskstats; do systemctl is-failed -q update && exit 1; sleep 0.1; done")
		b.cut()
		b.start()
		b.slotIs(layout.A)
		b.answers()
		if out := b.sh("lineside image slots"); !strings.Contains(out, "bad") {
			b.Errorf("half an update is not marked bad:\n%s", out)
		}
		return "A answers, B is marked bad"
	}},
	{"power cut before the restart", func(b *board) string {
		b.installed()
		b.cut()
		b.start()
		b.slotIs(layout.A)
		b.answers()
		b.tried(layout.B)
		b.answers()
		b.healthy()
		return "A answers; B was tried later, answers and is kept"
	}},
	{"power cut on trial", func(b *board) string {
		b.installed()
		b.tried(layout.B)
		b.cut()
		b.start()
		b.slotIs(layout.A)
		b.answers()
		return "A answers, B was given up"
	}},
	{"power cut while the trial is kept", func(b *board) string {
		b.installed()
		b.tried(layout.B)
		b.sh("systemctl mask -q --runtime lineside-commit.service")
		b.answers()
		b.sh("systemd-run -q --no-block lineside image slots commit")
		b.cut()
		b.start()
		b.answers()
		b.healthy()
		return fmt.Sprintf("%s answers", b.boot.Slot)
	}},
	{"kernel panic on trial", func(b *board) string {
		b.installed()
		b.tried(layout.B)
		b.doomed("echo c >/proc/sysrq-trigger")
		return b.fellBack()
	}},
	{"hang on trial", func(b *board) string {
		b.installed()
		b.tried(layout.B)
		// Two tasks that nothing may interrupt, and no reserve for others: systemd cannot feed the watchdog.
		b.doomed("until [ -e /dev/watchdog0 ]; do sleep 0.2; done; systemctl mask -q --runtime lineside-commit.service; until systemctl show -P WatchdogLastPingTimestampMonotonic 2>/dev/null; do sleep 0.2; done; " +
			"echo -1 >/proc/sys/kernel/sched_rt_runtime_us; for i in 1 2 3; do chrt -f 99 sh -c 'while :; do :; done' & done")
		return b.fellBack()
	}},
	{"failing health check", func(b *board) string {
		b.installed()
		b.tried(layout.B)
		b.sh("mkdir -p /run/systemd/system/lineside-rollback.timer.d && printf '[Timer]\\nOnBootSec=\\nOnBootSec=90s\\n' >/run/systemd/system/lineside-rollback.timer.d/soon.conf && " +
			"systemctl mask -q --runtime lineside-engine.service lineside-engine.socket && systemctl daemon-reload && systemctl stop --no-block lineside-engine.service lineside-engine.socket; " +
			"systemctl restart --no-block lineside-rollback.timer")
		return b.fellBack()
	}},
	{"damaged root of the tried slot", func(b *board) string {
		b.installed()
		b.sh("dd if=/dev/zero of=/dev/vda6 bs=1M count=4 conv=fsync")
		b.tried(layout.B)
		return b.fellBack()
	}},
	{"damaged autoboot.txt", func(b *board) string {
		b.fat(layout.Selector, func(v *fat.Volume) { b.must(v.WriteFile(layout.AutobootFile, []byte("\x00\x00[al"))) })
		b.start()
		b.answers()
		b.off()
		if text := b.file(layout.AutobootFile); !strings.Contains(text, "boot_partition=2") {
			b.Errorf("it is not mended: %q", text)
		}
		return "A answers, the file was mended"
	}},
	{"damaged boot partition of the chosen slot", func(b *board) string {
		b.scribble(layout.BootA, 0, 4<<20)
		b.start()
		b.answers()
		return fmt.Sprintf("%s answers", b.boot.Slot)
	}},
	{"full data partition", func(b *board) string {
		b.start()
		b.answers()
		b.doomed("fallocate -l 100G /data/fill 2>/dev/null; cat /dev/zero >/data/fill2 2>/dev/null; sync")
		b.sh("systemctl reboot --no-block")
		b.restarted()
		b.answers()
		return "A answers"
	}},
	{"damaged data file system", func(b *board) string {
		b.scribble(layout.Data, 0, 64<<20)
		b.start()
		b.answers()
		b.off()
		return "A answers; STATUS.txt: " + b.lost("was mended")
	}},
	{"destroyed data file system", func(b *board) string {
		var size int64
		b.partition(layout.Data, func(_ *os.File, e layout.Entry) { size = e.Bytes })
		for at := int64(0); at < size; at += 128 << 20 { // ext4 keeps a copy of its superblock in groups of this size
			b.scribble(layout.Data, at, min(2<<20, size-at))
		}
		b.start()
		b.answers()
		b.off()
		return "A answers; STATUS.txt: " + b.lost("was made anew")
	}},
	{"locked card", func(b *board) string { return b.wornOut(machine.Disk{ReadOnly: true}) }},
	{"card whose writes fail", func(b *board) string { return b.wornOut(machine.Disk{Worn: true}) }},
	{"wrong lineside.toml", func(b *board) string {
		b.start()
		b.answers() // the good one is imported
		b.off()
		b.fat(layout.Selector, func(v *fat.Volume) {
			b.must(v.WriteFile(layout.ConfigFile, []byte("[mqtt]\nurl = \"http://10.0.2.2\"\nbroker = 3\n")))
		})
		b.start()
		b.answers()                                                                           // with what was imported before
		b.sh("until grep -q '\\[pattern\\]' /sys/class/leds/ACT/trigger; do sleep 0.2; done") // the kernel blinks it
		b.off()
		status := b.file(layout.StatusFile)
		if !strings.Contains(status, "line ") {
			b.Errorf("STATUS.txt does not name the line:\n%s", status)
		}
		b.provision(b.config())
		b.start()
		b.answers()
		return "answers as before; STATUS.txt: " + first(status, "line ")
	}},
	{"two updates in a row", func(b *board) string {
		b.installed()
		b.tried(layout.B)
		b.answers()
		b.healthy()
		b.sh("lineside image install --no-restart")
		b.tried(layout.A)
		b.answers()
		b.healthy()
		return "B answered and was kept, then A"
	}},
	{"factory reset", func(b *board) string {
		b.fat(layout.Selector, func(v *fat.Volume) { b.must(v.WriteFile(layout.ResetFile, nil)) })
		b.start()
		b.answers()
		b.off()
		b.fat(layout.Selector, func(v *fat.Volume) {
			list, err := v.List(".")
			b.must(err)
			for _, f := range list {
				if strings.EqualFold(f.Name, layout.ResetFile) {
					b.Error("it would forget everything at the next start again")
				}
			}
		})
		return "A answers with the card's configuration"
	}},
}

// scribble damages bytes of a partition.
func (b *board) scribble(partition int, from, n int64) {
	b.Helper()
	junk := []byte(strings.Repeat("not a file system", 61681))
	b.partition(partition, func(card *os.File, e layout.Entry) {
		for at := int64(0); at < n; at += int64(len(junk)) {
			_, err := card.WriteAt(junk[:min(int64(len(junk)), n-at)], e.Start+from+at)
			b.must(err)
		}
	})
}

// lost is STATUS.txt's line on the data partition, which must have these words.
func (b *board) lost(words string) string {
	b.Helper()
	status := b.file(layout.StatusFile)
	line := first(status, "DATA: ")
	if !strings.Contains(line, words) {
		b.Errorf("STATUS.txt does not say that the data partition %s:\n%s", words, status)
	}
	return line
}

// first is the first line with the word.
func first(text, word string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, word) {
			return strings.TrimSpace(line)
		}
	}
	return "(nothing)"
}
