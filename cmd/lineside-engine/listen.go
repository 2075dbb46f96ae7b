package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
)

// listen opens the address, or takes the socket that systemd hands over. Only a
// unix socket or a loopback address will do: the engine has no password.
func listen(addr string) (net.Listener, error) {
	given, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("take the socket from systemd: %w", err)
	}
	if len(given) > 0 && given[0] != nil {
		return given[0], nil
	}
	kind, rest, _ := strings.Cut(addr, ":")
	switch kind {
	case "unix":
		return listenUnix(rest)
	case "tcp":
		at, err := netip.ParseAddrPort(rest)
		if err != nil || !at.Addr().IsLoopback() {
			return nil, fmt.Errorf("--listen %q: want a loopback address such as tcp:127.0.0.1:8080, since anyone who reaches it may ask", addr)
		}
		return net.Listen("tcp", rest)
	}
	return nil, fmt.Errorf("--listen %q: want unix:PATH or tcp:127.0.0.1:PORT", addr)
}

// listenUnix replaces a socket that nobody answers on any more, and nothing else.
func listenUnix(path string) (net.Listener, error) {
	if fi, err := os.Lstat(path); err == nil {
		if fi.Mode()&fs.ModeSocket == 0 {
			return nil, fmt.Errorf("--listen unix:%s: there is a file that is no socket: remove it or choose another path", path)
		}
		if c, err := net.Dial("unix", path); err == nil {
			c.Close()
			return nil, fmt.Errorf("--listen unix:%s: another engine answers there: stop it or choose another path", path)
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("remove the old socket: %w", err)
		}
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o660); err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}
