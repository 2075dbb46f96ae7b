package systemd

import (
	"fmt"
	"net"
)

// sender returns a function that writes one datagram to the notify socket. It
// dials each time: the messages are few, and systemd may be re-executed in between.
// (go-systemd's SdNotify reads the environment each time, which NewNotifier has emptied.)
func sender(socket string) func(string) error {
	addr := &net.UnixAddr{Name: socket, Net: "unixgram"}
	return func(state string) error {
		c, err := net.DialUnix("unixgram", nil, addr)
		if err != nil {
			return fmt.Errorf("notify systemd: %w", err)
		}
		defer c.Close()
		if _, err := c.Write([]byte(state)); err != nil {
			return fmt.Errorf("notify systemd: %w", err)
		}
		return nil
	}
}
