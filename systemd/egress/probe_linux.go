package egress

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const patience = 700 * time.Millisecond // on the board's own loopback, an answer takes microseconds

// Probe tries everything as the process that it runs in, and as a child of it.
func Probe(ctx context.Context, p Plan) []Attempt {
	var all []Attempt
	try := func(way, target string, f func() error) {
		if target == "" {
			return
		}
		a := Attempt{Way: p.Prefix + way, Target: target, State: Stopped}
		a.Sink = way == "dns" || way == "unix" || strings.HasPrefix(way, "tcp") || strings.HasPrefix(way, "udp")
		if err := f(); err != nil {
			a.By = cause(err)
		} else {
			a.State, a.By = Reached, "it worked"
		}
		all = append(all, a)
	}
	for _, way := range [][2]string{{"tcp4", p.TCP4}, {"tcp6", p.TCP6}, {"udp4", p.UDP4}, {"udp6", p.UDP6}} {
		try(way[0], way[1], func() error { return say(ctx, way[0], way[1], p.word(way[0])) })
	}
	try("dns", p.DNS, func() error { return lookup(ctx, p.DNS, p.word("dns")) })
	try("unix", p.Unix, func() error { return say(ctx, "unix", p.Unix, p.word("unix")) })
	if p.Child {
		all = append(all, child(ctx, p)...)
	}
	if p.Packets {
		return all
	}
	for _, s := range p.Sockets {
		try("socket", s, func() error { return connect(ctx, s) })
	}
	for _, k := range kinds {
		try("raw", k.name, k.open)
	}
	try("namespace", "a network of its own", func() error { return isolated(ctx) })
	for _, f := range p.Secrets {
		try("file", f, func() error { return readable(f) })
	}
	for _, d := range p.Devices {
		try("device", d, func() error { return opens(d) })
	}
	try("program", "/bin/sh", func() error { return ran(exec.CommandContext(ctx, "/bin/sh", "-c", "true")) })
	for _, d := range p.Writable {
		try("program", filepath.Join(d, "a copy of itself"), func() error { return copied(ctx, d) })
	}
	return all
}

// word is what an attempt sends: its run and its way, as a label of a name.
func (p Plan) word(way string) string { return p.Token + "-" + p.Prefix + way }

// child has a child of this process try to reach the sinks.
func child(ctx context.Context, p Plan) []Attempt {
	p.Child, p.Packets, p.Prefix = false, true, "child-"
	plan, err := json.Marshal(p)
	if err != nil {
		return []Attempt{{Way: "child", Target: "itself", State: Stopped, By: err.Error()}}
	}
	out, err := exec.CommandContext(ctx, "/proc/self/exe", Command, string(plan)).Output()
	if err != nil {
		return []Attempt{{Way: "child", Target: "itself", State: Stopped, By: cause(err)}}
	}
	var all []Attempt
	if err := json.Unmarshal(out, &all); err != nil {
		return []Attempt{{Way: "child", Target: "itself", State: Reached, By: "it says " + err.Error()}}
	}
	return all
}

// isolated starts a child in a user and network namespace of its own, where it would be root.
func isolated(ctx context.Context) error {
	c := exec.CommandContext(ctx, "/proc/self/exe", "--version")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNET}
	return ran(c)
}

// cause is the innermost reason of an error, which names the wall best.
func cause(err error) string {
	var no unix.Errno
	var name *net.DNSError
	switch {
	case errors.As(err, &name):
		return strings.TrimSpace(name.Err[strings.LastIndex(name.Err, ": ")+1:]) // the addresses are known
	case errors.Is(err, fs.ErrNotExist):
		return "ENOENT: there is nothing"
	case errors.As(err, &no):
		return unix.ErrnoName(no) + ": " + no.Error()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "no packet came through"
	}
	return err.Error()
}

// say sends a word and waits for the echo.
func say(ctx context.Context, network, target, word string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, network, target)
	if err != nil {
		return err
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(c, word); err != nil {
		return err
	}
	_, err = c.Read(make([]byte, 1))
	return err
}

// lookup asks a name server for a name with the word in it, as data is smuggled out.
func lookup(ctx context.Context, server, word string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server)
	}}
	_, err := r.LookupHost(ctx, word+".egress.test")
	var not *net.DNSError
	if errors.As(err, &not) && not.IsNotFound {
		return nil // the server answered
	}
	return err
}

// connect opens a socket of another program, and says nothing.
func connect(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return err
	}
	return c.Close()
}

// kinds are sockets that go around TCP, UDP and the address filters, or that change the network.
var kinds = []struct {
	name string
	open func() error
}{
	{"packet socket", socket(unix.AF_PACKET, unix.SOCK_RAW, 0)},
	{"raw IP", socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)},
	{"raw IPv6", socket(unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6)},
	{"netlink", socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE)},
	{"vsock", socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0)},
	{"bluetooth", socket(unix.AF_BLUETOOTH, unix.SOCK_RAW, 1)},
	{"CAN bus", socket(unix.AF_CAN, unix.SOCK_RAW, 1)},
	{"io_uring", func() error {
		fd, _, no := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, 0, 0)
		if no == unix.EFAULT { // it would take better arguments
			return nil
		}
		if no != 0 {
			return no
		}
		return unix.Close(int(fd))
	}},
}

func socket(family, kind, protocol int) func() error {
	return func() error {
		fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)
		if err != nil {
			return err
		}
		return unix.Close(fd)
	}
}

// readable reads a file's first byte.
func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if fi, err := f.Stat(); err == nil && fi.IsDir() {
		names, err := f.Readdirnames(1)
		if len(names) == 0 {
			return errors.Join(err, fs.ErrNotExist) // an empty folder in its place
		}
		return err
	}
	_, err = f.Read(make([]byte, 1))
	return err
}

func opens(path string) error {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// copied puts this program into a folder and runs it from there.
func copied(ctx context.Context, dir string) error {
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, ".egress-copy")
	defer os.Remove(path)
	if err := os.WriteFile(path, self, 0o700); err != nil {
		return err
	}
	return ran(exec.CommandContext(ctx, path, "--version"))
}

// ran reports whether a program was run at all, whatever it made of it.
func ran(c *exec.Cmd) error {
	err := c.Run()
	if errors.As(err, new(*exec.ExitError)) {
		return nil
	}
	return err
}
