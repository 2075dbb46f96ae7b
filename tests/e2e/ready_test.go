package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lineside/mqtt/mqtttest"
)

// readyWithin is how long systemd may wait for READY=1: the model is not waited for.
const readyWithin = time.Second

// TestReadyBeforeTheModel starts linesided as systemd does, with an engine that never
// comes, and takes the time until it tells systemd that it serves.
func TestReadyBeforeTheModel(t *testing.T) {
	bin, dir := programs(t), t.TempDir()
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer systemd.Close()
	config := filepath.Join(dir, "lineside.toml")
	if err := os.WriteFile(config, fmt.Appendf(nil, `
[board]
id = "b03"
[mqtt]
url = %q
[engine]
socket = "unix:%[2]s/nobody.sock"
model = "%[2]s/none.gguf"
[skills]
dir = "%[2]s"
[audit]
dir = "%[2]s/audit"
[store]
dir = "%[2]s/state"
`, mqtttest.StartMosquitto(t).URL(), dir), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(bin, "linesided"), "--config", config)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+filepath.Join(dir, "notify"))
	var log bytes.Buffer
	cmd.Stderr = &log
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("linesided said:\n%s", &log)
		}
	}()
	if err := systemd.SetReadDeadline(begun.Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for {
		n, err := systemd.Read(buf)
		if err != nil {
			t.Fatalf("linesided does not become ready: %v", err)
		}
		if strings.Contains(string(buf[:n]), "READY=1") {
			break
		}
	}
	took := time.Since(begun)
	t.Logf("READY %s after the start", took.Round(time.Millisecond))
	if took > readyWithin {
		t.Errorf("READY came after %s, want at most %s", took, readyWithin)
	}
}
