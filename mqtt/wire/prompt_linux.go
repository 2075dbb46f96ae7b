package wire

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// prompt has the kernel acknowledge what was read at once. Mosquitto leaves
// Nagle's algorithm on (set_tcp_nodelay is off by default), and together with
// Linux's delayed acknowledgement every second message would come 40 ms late.
func prompt(c net.Conn) net.Conn {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return c
	}
	return &promptConn{t, raw}
}

type promptConn struct {
	*net.TCPConn
	raw syscall.RawConn
}

func (c *promptConn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	// Linux forgets the option by itself, so it is set after every read. It only
	// saves time: an error changes nothing. tcp(7), TCP_QUICKACK.
	_ = c.raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) })
	return n, err
}
