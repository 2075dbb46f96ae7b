package wire

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// netConn is the network under a connection.
//
// Every write has a deadline, so that a cut network ends a write instead of
// holding its caller. And a proper end lingers: it closes its half and reads on
// until the broker has closed the other. Without that, what the broker sends in
// that moment meets a closed socket, the broker sees an error before it reads the
// DISCONNECT, and publishes the will of a board that stopped in good order.
type netConn struct {
	net.Conn
	timeout time.Duration
	proper  atomic.Bool // a DISCONNECT is on its way: linger at Close
	once    sync.Once   // libraries close twice, from two goroutines: the second waits for the first
}

// lingerMost bounds how long a broker may take to close its half.
const lingerMost = time.Second

func (c *netConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

func (c *netConn) Close() (err error) {
	c.once.Do(func() {
		if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && c.proper.Load() {
			if half.CloseWrite() == nil && c.SetReadDeadline(time.Now().Add(lingerMost)) == nil {
				_, _ = io.Copy(io.Discard, c.Conn) // its end, or the deadline
			}
		}
		err = c.Conn.Close()
	})
	return err
}
