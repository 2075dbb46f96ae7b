// Package systemd speaks to the service manager: readiness, status lines and
// the watchdog over the notify socket, and log records to the journal. The
// unit files of the appliance stand beside it.
//
// It never starts or stops units, and outside systemd everything here is silent.
package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Notifier tells systemd how the service is doing. The zero value is silent.
type Notifier struct {
	send     func(state string) error
	interval time.Duration
}

// NewNotifier reads NOTIFY_SOCKET and WATCHDOG_USEC, which systemd sets, and
// takes them out of the environment, so that children do not speak for the service.
func NewNotifier() (*Notifier, error) {
	interval, err := daemon.SdWatchdogEnabled(true)
	if err != nil {
		return nil, fmt.Errorf("read WATCHDOG_USEC: %w", err)
	}
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return &Notifier{}, nil
	}
	if err := os.Unsetenv("NOTIFY_SOCKET"); err != nil {
		return nil, err
	}
	return &Notifier{send: sender(socket), interval: interval}, nil
}

// WatchdogEvery is how often Watchdog must be called: half of what systemd
// waits; 0 where it does not watch.
func (n *Notifier) WatchdogEvery() time.Duration { return n.interval / 2 }

// Ready says that the service serves now.
func (n *Notifier) Ready() error { return n.notify(daemon.SdNotifyReady) }

// Stopping says that the service has begun to end.
func (n *Notifier) Stopping() error { return n.notify(daemon.SdNotifyStopping) }

// Reloading says that the configuration is being read again; Ready ends it.
func (n *Notifier) Reloading() error {
	return n.notify(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
}

// Status sets the line that `systemctl status` shows.
func (n *Notifier) Status(line string) error { return n.notify("STATUS=" + oneLine(line)) }

// Watchdog says that real work goes on. Call it from what makes progress, not from a
// timer of its own: a timer would hide a hang.
func (n *Notifier) Watchdog() error { return n.notify(daemon.SdNotifyWatchdog) }

// Watch feeds the watchdog until ctx ends, as long as progress says that there is nothing
// to do or that more was done than when it was asked before. Work that stands still
// starves the watchdog.
func (n *Notifier) Watch(ctx context.Context, progress func() (busy bool, done uint64)) error {
	if n.WatchdogEvery() == 0 {
		return nil
	}
	t := time.NewTicker(n.WatchdogEvery() / 2)
	defer t.Stop()
	var last uint64
	var failed error
	for {
		select {
		case <-ctx.Done():
			return failed
		case <-t.C:
		}
		busy, done := progress()
		if !busy || done != last {
			failed = errors.Join(n.Watchdog()) // the last failure; systemd ends who is never heard
		}
		last = done
	}
}

// ExtendTimeout asks for more time to start or stop.
func (n *Notifier) ExtendTimeout(d time.Duration) error {
	return n.notify(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", d.Microseconds()))
}

func (n *Notifier) notify(state string) error {
	if n.send == nil {
		return nil
	}
	return n.send(state)
}

// oneLine keeps a text from starting a second assignment in the message.
func oneLine(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < ' ' {
			b[i] = ' '
		}
	}
	return string(b)
}
