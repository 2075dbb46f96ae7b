// Package machine boots whole arm64 systems in QEMU for tests, and lets a test run
// commands in them, read their console, cut their power and reset them. Waiting is
// always for an event: a console line, an answer of the agent, the end of QEMU.
//
// It never touches the image files it is given, unless a Disk says Keep, and no QEMU
// outlives the test that started it.
package machine

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"lineside/tests/vm/machine/wire"
)

// Options say what to boot.
type Options struct {
	Kernel string   // a kernel image; needed
	Initrd []string // initial RAM file systems, one after the other
	Append string   // the kernel's command line, after what the console needs
	Disks  []Disk   // /dev/vda, /dev/vdb, …
	DTB    string   // device tree instead of QEMU's own; see DeviceTree
	CPU    string   // cortex-a72 where empty
	Cores  int      // 2 where 0
	Memory int      // MiB; 1024 where 0
	// Counted makes the machine's time pass by what it computes and skips its idle time, so
	// that times inside are exact however busy the host is.
	Counted bool
	// Forward lists TCP ports of the machine that the host reaches; see Machine.Addr. The
	// machine reaches the host's loopback at HostAddr.
	Forward []int
	Args    []string  // further arguments of QEMU
	Log     io.Writer // gets the console as it comes; may be nil
	Input   io.Reader // is typed on the console; may be nil
}

// Disk is one virtio disk.
type Disk struct {
	Path     string // a raw image
	Format   string // "raw" where empty
	ReadOnly bool
	Worn     bool // every write fails, as on a card at its end
	Keep     bool // write into the image; otherwise changes are lost with the machine
}

// HostAddr is the host's loopback, seen from the machine.
const HostAddr = "10.0.2.2"

// Machine is a running QEMU.
type Machine struct {
	console *console
	agent   *agent
	monitor *monitor
	ports   map[int]string

	dir  string
	proc *os.Process
	done chan struct{} // closed when QEMU has ended
	err  error         // how; valid after done
	once sync.Once
}

// Boot starts a machine and returns at once. When ctx ends, its power is cut. The caller
// calls Close.
func Boot(ctx context.Context, o Options) (*Machine, error) {
	dir, err := os.MkdirTemp("", "vm-")
	if err != nil {
		return nil, err
	}
	m := &Machine{dir: dir, done: make(chan struct{}), ports: map[int]string{}, console: newConsole(o.Log)}
	if err := m.start(o); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	stop := context.AfterFunc(ctx, m.Kill)
	go func() {
		<-m.done
		stop()
	}()
	return m, nil
}

func (m *Machine) start(o Options) error {
	if len(o.Initrd) > 1 {
		joined := filepath.Join(m.dir, "initrd")
		if err := join(joined, o.Initrd); err != nil {
			return err
		}
		o.Initrd = []string{joined}
	}
	args, err := m.args(o)
	if err != nil {
		return err
	}
	// QEMU connects to these, so that nothing is lost before somebody listens.
	agentListener, err := net.Listen("unix", filepath.Join(m.dir, "agent"))
	if err != nil {
		return err
	}
	defer agentListener.Close()
	monitorListener, err := net.Listen("unix", filepath.Join(m.dir, "monitor"))
	if err != nil {
		return err
	}
	defer monitorListener.Close()
	if err := m.exec(args, o.Input); err != nil {
		return err
	}
	// If QEMU ends at once, nobody will connect.
	go func() {
		<-m.done
		agentListener.Close()
		monitorListener.Close()
	}()
	a, err := agentListener.Accept()
	if err != nil {
		return m.failed()
	}
	m.agent = newAgent(a)
	c, err := monitorListener.Accept()
	if err != nil {
		return m.failed()
	}
	m.monitor, err = newMonitor(c)
	return err
}

// failed is the reason why QEMU did not start, in its own words.
func (m *Machine) failed() error {
	<-m.done
	return fmt.Errorf("qemu does not start: %s", strings.TrimSpace(m.console.String()))
}

// args is QEMU's command line.
func (m *Machine) args(o Options) ([]string, error) {
	args := append(board(o),
		"-kernel", o.Kernel,
		"-append", strings.TrimSpace("console=ttyAMA0 panic=10 "+o.Append),
		"-serial", "stdio",
		"-chardev", "socket,id=agent,path="+filepath.Join(m.dir, "agent"),
		"-device", "virtio-serial-pci",
		"-device", "virtserialport,chardev=agent,name="+wire.Port,
		"-qmp", "unix:"+filepath.Join(m.dir, "monitor"),
	)
	if len(o.Initrd) > 0 {
		args = append(args, "-initrd", o.Initrd[0])
	}
	if o.DTB != "" {
		args = append(args, "-dtb", o.DTB)
	}
	for i, d := range o.Disks {
		file := "file=" + d.Path
		if d.Worn { // https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html: BlkdebugInjectErrorOptions
			file = "file.driver=blkdebug,file.image.filename=" + d.Path +
				",file.inject-error.0.event=none,file.inject-error.0.iotype=write,file.inject-error.0.errno=5"
		}
		opt := fmt.Sprintf("if=none,id=disk%d,%s,format=%s", i, file, cmp.Or(d.Format, "raw"))
		switch {
		case d.ReadOnly:
			opt += ",readonly=on"
		case !d.Keep:
			opt += ",snapshot=on"
		}
		args = append(args, "-drive", opt, "-device", fmt.Sprintf("virtio-blk-pci,drive=disk%d", i))
	}
	network := "user,id=net"
	for _, port := range o.Forward {
		addr, err := freeAddr()
		if err != nil {
			return nil, err
		}
		m.ports[port] = addr
		network += fmt.Sprintf(",hostfwd=tcp:%s-:%d", addr, port)
	}
	args = append(args, "-netdev", network, "-device", "virtio-net-pci,netdev=net,romfile=")
	return append(args, o.Args...), nil
}

// board is the part of the command line that the device tree depends on.
func board(o Options) []string {
	args := []string{
		"-machine", "virt", "-cpu", cmp.Or(o.CPU, "cortex-a72"),
		"-smp", strconv.Itoa(cmp.Or(o.Cores, 2)), "-m", strconv.Itoa(cmp.Or(o.Memory, 1024)),
		"-nodefaults", "-display", "none",
	}
	if o.Counted {
		return append(args, "-accel", "tcg,thread=single", "-icount", "shift=5,sleep=off")
	}
	return append(args, "-accel", "tcg,thread=multi")
}

// exec starts QEMU at low priority, and dies with it.
func (m *Machine) exec(args []string, input io.Reader) error {
	cmd := exec.Command("nice", append([]string{"-n", "10", "qemu-system-aarch64"}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, m.console, m.console
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// Pdeathsig is sent when the thread ends, so it is kept until QEMU has.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		m.err = cmd.Wait()
		m.console.close()
		close(m.done)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start qemu: %w: install qemu-system-arm", err)
	}
	m.proc = cmd.Process
	return nil
}

// Run runs a shell command in the machine and returns what it printed. It waits for the
// agent first, so it works from early boot on. A command that fails is an error that
// holds its output.
func (m *Machine) Run(ctx context.Context, shell string) (string, error) {
	return m.Feed(ctx, shell, nil)
}

// Feed is Run with a standard input.
func (m *Machine) Feed(ctx context.Context, shell string, stdin []byte) (string, error) {
	r, err := m.agent.run(ctx, m.done, wire.Command{Shell: shell, Stdin: stdin})
	if err != nil {
		return "", fmt.Errorf("run %q: %w", shell, err)
	}
	if r.Code != 0 {
		return string(r.Output), fmt.Errorf("%q ended with %d: %s", shell, r.Code, bytes.TrimSpace(r.Output))
	}
	return string(r.Output), nil
}

// UnitTime reads one of systemd's times of a unit since the kernel's start, as ActiveEnterTimestampMonotonic.
func (m *Machine) UnitTime(ctx context.Context, unit, property string) (time.Duration, error) {
	out, err := m.Run(ctx, fmt.Sprintf("systemctl show -P %s %s", property, unit))
	if err != nil {
		return 0, err
	}
	us, err := strconv.ParseInt(strings.TrimSpace(out), 10, 64)
	return time.Duration(us) * time.Microsecond, err
}

// Ready waits until an agent answers that was not there before: after Boot the first,
// after a reset the next one. It returns the kernel's id of the boot.
func (m *Machine) Ready(ctx context.Context) (boot string, err error) {
	return m.agent.next(ctx, m.done)
}

// Expect waits for a line on the console that contains the text and that no Expect has
// passed yet, and returns it.
func (m *Machine) Expect(ctx context.Context, text string) (string, error) {
	return m.console.expect(ctx, text)
}

// Console is everything that the console has shown.
func (m *Machine) Console() string { return m.console.String() }

// Addr is where the host reaches a forwarded port.
func (m *Machine) Addr(port int) string { return m.ports[port] }

// Reset is the reset button: no warning, no sync, the same disks.
func (m *Machine) Reset() error { return m.monitor.command("system_reset") }

// PowerButton presses the power button, which the board wires to line 3 of its GPIO chip
// and releases after 100 ms.
func (m *Machine) PowerButton() error { return m.monitor.command("system_powerdown") }

// Kill cuts the power and returns when it is off.
func (m *Machine) Kill() {
	_ = m.proc.Kill()
	<-m.done
}

// Wait waits until the machine has powered itself off.
func (m *Machine) Wait(ctx context.Context) error {
	select {
	case <-m.done:
		return m.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close cuts the power, if it is still on, and removes temporary files.
func (m *Machine) Close() error {
	var err error
	m.once.Do(func() {
		m.Kill()
		err = errors.Join(m.agent.close(), m.monitor.close(), os.RemoveAll(m.dir))
	})
	return err
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func join(to string, parts []string) error {
	w, err := os.Create(to)
	if err != nil {
		return err
	}
	for _, p := range parts {
		b, err := os.ReadFile(p)
		if err == nil {
			_, err = w.Write(b)
		}
		if err != nil {
			return errors.Join(err, w.Close())
		}
	}
	return w.Close()
}
