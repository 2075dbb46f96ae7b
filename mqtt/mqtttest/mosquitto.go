// Package mqtttest is what tests of MQTT need: a real Mosquitto to start,
// stop, kill and start again, a proxy that cuts the network, an observer that
// collects answers, and the suite that both protocols pass against both brokers.
//
// It is for tests only and knows nothing of a board's inside.
package mqtttest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Mosquitto is a broker process of Debian's package. The test ends it.
type Mosquitto struct {
	Addr string // host:port, the same over all restarts
	Dir  string // configuration, persistence and log

	t    testing.TB
	bin  string
	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
	log  syncBuffer
}

// StartMosquitto starts a broker on a free port of 127.0.0.1 with persistence
// that is written soon, anonymous access and the extra lines of
// configuration. It skips the test where Mosquitto is not installed.
func StartMosquitto(t testing.TB, extra ...string) *Mosquitto {
	t.Helper()
	m := NewMosquitto(t)
	m.Configure(append([]string{"allow_anonymous true"}, extra...)...)
	m.Start()
	return m
}

// NewMosquitto prepares a broker without starting it; Configure it first.
func NewMosquitto(t testing.TB) *Mosquitto {
	t.Helper()
	bin, err := exec.LookPath("mosquitto")
	if err != nil {
		bin = "/usr/sbin/mosquitto" // Debian keeps it off a user's PATH
		if _, err := os.Stat(bin); err != nil {
			t.Skip("mosquitto is not installed: apt-get install mosquitto")
		}
	}
	m := &Mosquitto{t: t, bin: bin, Dir: t.TempDir(), Addr: FreeAddr(t)}
	t.Cleanup(m.Kill)
	return m
}

// Configure writes the configuration: one listener on Addr, persistence, and lines.
func (m *Mosquitto) Configure(lines ...string) {
	m.t.Helper()
	host, port, _ := net.SplitHostPort(m.Addr)
	m.ConfigureWhole(append([]string{
		"per_listener_settings false",
		fmt.Sprintf("listener %s %s", port, host),
		"persistence true",
		"persistence_location " + m.Dir + "/",
		"autosave_interval 1",
		"autosave_on_changes true", // on disk soon after every change; kill -9 may lose what was just acknowledged
		"max_queued_messages 100000",
	}, lines...)...)
}

// ConfigureWhole writes the configuration as it is given.
func (m *Mosquitto) ConfigureWhole(lines ...string) {
	m.t.Helper()
	if os.Geteuid() == 0 {
		lines = append(lines, "user root") // else it drops to a user that may not read the test's folder
	}
	if err := os.WriteFile(filepath.Join(m.Dir, "mosquitto.conf"), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// URL is the broker's address for configurations.
func (m *Mosquitto) URL() string { return "mqtt://" + m.Addr }

// Start starts the broker and returns when it takes connections.
func (m *Mosquitto) Start() {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	cmd := exec.Command(m.bin, "-v", "-c", filepath.Join(m.Dir, "mosquitto.conf"))
	cmd.Stdout, cmd.Stderr = &m.log, &m.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		m.t.Fatalf("start mosquitto: %v", err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	m.cmd, m.done = cmd, done
	if !reachable(m.Addr, done) {
		m.t.Fatalf("mosquitto does not answer on %s:\n%s", m.Addr, m.log.String())
	}
}

// reachable polls until addr takes a connection, done is closed, or 20 s are over.
func reachable(addr string, done <-chan struct{}) bool {
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return false
		case <-deadline:
			return false
		case <-tick.C:
			if c, err := net.Dial("tcp", addr); err == nil {
				_ = c.Close()
				return true
			}
		}
	}
}

// Stop ends the broker as systemd would, and waits for it.
func (m *Mosquitto) Stop() { m.end(syscall.SIGTERM) }

// Kill ends the broker with kill -9, and waits for it.
func (m *Mosquitto) Kill() { m.end(syscall.SIGKILL) }

// Signal sends the broker a signal; SIGHUP has it read its password, ACL and
// certificate files again.
func (m *Mosquitto) Signal(s syscall.Signal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cmd != nil {
		_ = m.cmd.Process.Signal(s)
	}
}

func (m *Mosquitto) end(s syscall.Signal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cmd == nil {
		return
	}
	_ = m.cmd.Process.Signal(s)
	<-m.done
	m.cmd = nil
}

// Log is what the broker has written so far.
func (m *Mosquitto) Log() string { return m.log.String() }

// FreeAddr is an address of 127.0.0.1 that nobody listens on now. Its port is none of those
// that Linux gives to connections (ip_local_port_range): one of the test's own would take it
// before the broker does.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10000+rand.N(20000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no free port on 127.0.0.1")
	return ""
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
