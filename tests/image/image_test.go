package image

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lineside/image/fat"
	"lineside/image/layout"
	"lineside/image/slots"
)

// TestCard is a technician's day: provision, switch on, ask, update to B from a stick, go back to A.
func TestCard(t *testing.T) {
	b := newBoard(t)
	b.provision(b.config())
	b.stick()
	b.start()
	b.slotIs(layout.A)
	t.Logf("first start: the first answer after %.0f s", b.answers().Seconds())
	if zone := b.sh("date +%%Z"); !strings.HasPrefix(zone, "CE") {
		t.Errorf("time zone %s, want that of lineside.toml", zone)
	}
	if size := b.sh("df -m --output=size /data | tail -n 1"); len(size) < 4 {
		t.Errorf("/data has %s MiB, want it grown to the end of a card of %d MiB", size, cardSize>>20)
	}
	if out, err := b.on.Run(b.wait(), "touch /usr/x"); err == nil {
		t.Errorf("the system can be written: %s", out)
	}
	b.healthy()

	b.sh("systemd-run --no-block --unit=update lineside image install")
	b.restarted()
	b.slotIs(layout.B)
	if !b.boot.Tryboot {
		t.Error("B was started for good, not tried")
	}
	t.Logf("update: B's first answer after %.0f s", b.answers().Seconds())
	b.healthy()
	b.committed(layout.B)

	b.sh("systemd-run --no-block --unit=back lineside image slots try")
	b.restarted()
	b.slotIs(layout.A)
	t.Logf("back: A's first answer after %.0f s", b.answers().Seconds())
	b.healthy()
	b.committed(layout.A)
	b.off()
	if status := b.file(layout.StatusFile); !strings.Contains(status, "Slot:    A") {
		t.Errorf("STATUS.txt says:\n%s", status)
	}
	if text := b.file(layout.AutobootFile); text != string(slots.Autoboot(layout.A)) {
		t.Errorf("%s says:\n%s", layout.AutobootFile, text)
	}
}

// committed fails the test where the board would start another system next.
func (b *board) committed(want layout.Slot) {
	b.Helper()
	var s slots.Status
	b.must(json.Unmarshal([]byte(b.sh("lineside image slots --json")), &s))
	if s.Committed != want || s.Trial != nil {
		b.Errorf("slot %s starts next, trial %v, want %s and none", s.Committed, s.Trial, want)
	}
}

// stick plugs a USB stick with the update into the board, for its next start.
func (b *board) stick() {
	b.Helper()
	update, err := os.ReadFile(filepath.Join(release(b.T), "lineside.raucb"))
	b.must(err)
	size := int64(len(update)) + 64*layout.MiB
	f, err := os.Create(filepath.Join(b.dir, "stick.img"))
	b.must(err)
	defer f.Close()
	b.must(f.Truncate(size))
	v, err := fat.Create(f, 0, size, "STICK")
	b.must(err)
	b.must(v.WriteFile("lineside.raucb", update))
	b.args = []string{
		"-device", "qemu-xhci", "-drive", "if=none,id=stick,format=raw,file=" + f.Name(),
		"-device", "usb-storage,drive=stick,removable=on",
	}
}
