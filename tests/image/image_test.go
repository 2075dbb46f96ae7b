package image

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lineside/image/fat"
	"lineside/image/layout"
)

// TestCard is a technician's day: flash, provision, switch on, ask, update to B, roll back to A.
func TestCard(t *testing.T) {
	b := newBoard(t)
	b.provision(b.config())
	b.start()
	b.slotIs(layout.A)
	b.Logf("first start: the first answer after %.0f s", b.answers().Seconds())
	if zone := b.sh("date +%%Z"); !strings.HasPrefix(zone, "CE") {
		b.Errorf("time zone %s, want that of lineside.toml", zone)
	}
	if size := b.sh("df -m --output=size /data | tail -n 1"); len(size) < 4 {
		b.Errorf("/data has %s MiB, want it grown to the end of a card of %d MiB", size, cardSize>>20)
	}
	if out, err := b.on.Run(b.wait(), "touch /usr/x"); err == nil {
		b.Errorf("the system can be written: %s", out)
	}
	b.healthy()
	b.sh("systemctl poweroff --no-block")
	b.must(b.on.Wait(b.wait()))
	if status := b.file(layout.StatusFile); !strings.Contains(status, "Slot:    A") {
		b.Errorf("STATUS.txt says:\n%s", status)
	}

	b.stick()
	b.start()
	b.Logf("second start: the first answer after %.0f s", b.answers().Seconds())
	b.healthy()
	b.sh("systemd-run --no-block --unit=update lineside image install")
	b.restarted()
	b.slotIs(layout.B)
	if !b.boot.Tryboot {
		b.Error("B was started for good, not tried")
	}
	b.Logf("update: B's first answer after %.0f s", b.answers().Seconds())
	b.healthy()
	b.sh("systemctl reboot --no-block")
	b.restarted()
	b.slotIs(layout.B)
	b.answers()
	b.healthy()

	b.sh("systemd-run --no-block --unit=back lineside image slots try")
	b.restarted()
	b.slotIs(layout.A)
	b.answers()
	b.healthy()
	b.sh("systemctl reboot --no-block")
	b.restarted()
	b.slotIs(layout.A)
	b.answers()
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
