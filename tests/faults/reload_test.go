package faults

import (
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lineside/mqtt"
)

// TestReload sends SIGHUP while asks are open: systemd hears RELOADING with the
// monotonic time and then READY, the new skill counts, and no ask is lost.
func TestReload(t *testing.T) {
	w := prepare(t, "5", "good.gguf", "")
	socket := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w.env = []string{"NOTIFY_SOCKET=" + socket}
	w.daemon()
	said := func(start string) {
		t.Helper()
		buf := make([]byte, 512)
		if err := l.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		for {
			n, err := l.Read(buf)
			if err != nil {
				t.Fatalf("systemd was not told %q: %v", start, err)
			}
			if strings.HasPrefix(string(buf[:n]), start) {
				return
			}
		}
	}
	said("READY=1")
	w.state(mqtt.StateReady)
	ids := w.asks("open", 6, 20)
	w.accepted(ids)
	w.write("skills/alarm.toml", strings.Replace(skillFile, "No fault.", "Nothing at all.", 1))
	if err := w.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	said("RELOADING=1\nMONOTONIC_USEC=")
	said("READY=1")
	w.client.Ask("llm/v1/b03/ask/plc/skill/alarm", `{"id":"new","args":{"code":"E00"}}`)
	tally, again := w.settle(append(ids, "new"))
	if tally.Codes["ok"] != len(ids)+1 || again > 0 {
		t.Errorf("%s, asked again %d", tally, again)
	}
	for _, a := range w.client.Answers("new") { // more than one where the new connection brought the ask again
		if a.Text != "Nothing at all." {
			t.Errorf("the new skill: %+v", a)
		}
	}
}
