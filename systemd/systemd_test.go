package systemd

import (
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/google/go-cmp/cmp"
)

func TestNotifier(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "4000000")
	t.Setenv("WATCHDOG_PID", "")
	n, err := NewNotifier()
	if err != nil {
		t.Fatal(err)
	}
	if got := n.WatchdogEvery(); got != 2*time.Second {
		t.Errorf("WatchdogEvery is %s, want half of 4 s", got)
	}
	for _, tt := range []struct {
		call func() error
		want string
	}{
		{n.Ready, "READY=1"},
		{n.Stopping, "STOPPING=1"},
		{n.Watchdog, "WATCHDOG=1"},
		{func() error { return n.Status("model\nMAINPID=1") }, "STATUS=model MAINPID=1"},
		{func() error { return n.ExtendTimeout(time.Second) }, "EXTEND_TIMEOUT_USEC=1000000"},
		{n.Reloading, "RELOADING=1\nMONOTONIC_USEC="},
	} {
		if err := tt.call(); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 256)
		k, err := l.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(buf[:k]); !strings.HasPrefix(got, tt.want) {
			t.Errorf("sent %q, want %q", got, tt.want)
		}
	}
}

func TestNotifierOutsideSystemd(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	n, err := NewNotifier()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Ready(); err != nil {
		t.Errorf("Ready outside systemd: %v", err)
	}
}

func TestJournalHandler(t *testing.T) {
	type record struct {
		Message  string
		Priority journal.Priority
		Fields   map[string]string
	}
	var got []record
	h := &journalHandler{name: "linesided", level: slog.LevelInfo, send: func(m string, p journal.Priority, f map[string]string) error {
		got = append(got, record{m, p, f})
		return nil
	}}
	log := slog.New(h)
	log.Debug("unseen")
	log.With("board", "b03").WithGroup("ask").Warn("slow", "id", "42", slog.Group("ms", "total", 7))
	want := []record{{"slow board=b03 ask_id=42 ask_ms_total=7", journal.PriWarning, map[string]string{
		"SYSLOG_IDENTIFIER": "linesided", "LINESIDE_BOARD": "b03", "LINESIDE_ASK_ID": "42", "LINESIDE_ASK_MS_TOTAL": "7",
	}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
