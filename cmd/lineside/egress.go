package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"lineside/daemon/config"
	"lineside/systemd/egress"
	"lineside/systemd/walls"
)

// probeCommand is what the units of an egress test run. It has no use for people.
func probeCommand() *cobra.Command {
	return &cobra.Command{
		Use: egress.Command + " PLAN", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var p egress.Plan
			if err := json.Unmarshal([]byte(args[0]), &p); err != nil {
				return fmt.Errorf("%w: %w", errUsage, err)
			}
			return printJSON(c.OutOrStdout(), egress.Probe(c.Context(), p))
		},
	}
}

// Where an egress test keeps what it needs; all of it is gone afterwards.
const (
	egressDir  = "/run/lineside-egress"
	egressUnit = "lineside-egress.service"
)

// run of the table: one service with some of its walls.
type egressRun struct {
	unit, walls string
	more        []string // settings that take walls away
	packets     bool     // only what sends packets is judged
}

// Each wall must hold alone: the other packets' walls are taken away for that run, and the
// user is one that the firewall does not know where the firewall is not meant.
var egressRuns = []egressRun{
	{unit: walls.Daemon, walls: "as it runs"},
	{unit: walls.Daemon, walls: "systemd's address filter alone", packets: true, more: []string{"User=nobody", "Group=nogroup", "SupplementaryGroups="}},
	{unit: walls.Daemon, walls: "the firewall alone", packets: true, more: []string{"IPAddressAllow=", "IPAddressDeny="}},
	{unit: walls.Engine, walls: "as it runs"},
	{unit: walls.Engine, walls: "its empty network alone", packets: true,
		more: []string{"RestrictAddressFamilies=", "IPAddressDeny=", "User=nobody", "Group=nogroup"}},
	{unit: walls.Engine, walls: "systemd's address filter alone", packets: true,
		more: []string{"RestrictAddressFamilies=", "PrivateNetwork=no", "User=nobody", "Group=nogroup"}},
	{unit: walls.Engine, walls: "the firewall alone", packets: true,
		more: []string{"RestrictAddressFamilies=", "PrivateNetwork=no", "IPAddressDeny="}},
}

// egressReport runs everything and seals the report. It needs root and systemd.
func egressReport(ctx context.Context, file string, progress io.Writer) (r egress.Report, err error) {
	if os.Geteuid() != 0 {
		return r, errors.New("doctor --egress starts units with other users' rights: run it with sudo")
	}
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return r, errors.New("doctor --egress tries the units' own sandboxes: it runs only where systemd does")
	}
	if err := os.MkdirAll(egressDir, 0o755); err != nil {
		return r, err
	}
	defer os.RemoveAll(egressDir)
	remove, err := addSinks(ctx)
	if err != nil {
		return r, err
	}
	defer remove()
	sink, err := egress.Listen(egress.Sink4, egress.Sink6, filepath.Join(egressDir, "sink"))
	if err != nil {
		return r, err
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- sink.Run(ctx) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended)
	}()
	r = about(ctx, file)
	r.Runs = append(r.Runs, control(ctx, sink))
	for _, run := range egressRuns {
		fmt.Fprintf(progress, "trying %s, %s\n", run.unit, run.walls)
		r.Runs = append(r.Runs, try(ctx, sink, run))
	}
	return r, r.Seal()
}

// addSinks puts the sinks' addresses on the loopback device.
func addSinks(ctx context.Context) (remove func(), err error) {
	each := func(ctx context.Context, verb string) (err error) {
		for _, a := range []string{egress.Sink4 + "/32", egress.Sink6 + "/128"} {
			err = errors.Join(err, command(ctx, "ip", "address", verb, a, "dev", "lo"))
		}
		return err
	}
	remove = func() { _ = each(context.WithoutCancel(ctx), "del") } // an address that is gone is no loss
	if err := each(ctx, "replace"); err != nil {
		remove()
		return nil, fmt.Errorf("set up addresses to reach: %w: apt-get install iproute2", err)
	}
	return remove, nil
}

// control is this process, which no wall stops: what it cannot reach proves nothing.
func control(ctx context.Context, s *egress.Sink) egress.Run {
	p := s.Plan(token())
	p.Packets, p.Child = true, true
	run := egress.Run{Walls: "no walls", Want: egress.Reached, Attempts: egress.Probe(ctx, p)}
	run.Arrived = s.Arrived(p.Token)
	return run
}

// token is a word that no other packet has.
func token() string { return strings.ToLower(rand.Text()[:12]) }

// try runs the probe in a copy of the unit.
func try(ctx context.Context, s *egress.Sink, er egressRun) egress.Run {
	p := s.Plan(token())
	p.Child, p.Packets = true, er.packets
	p.Secrets, p.Devices, p.Sockets, p.Writable = existing(forbidden[er.unit]), existing(devices), existing(sockets), existing(writable[er.unit])
	run := egress.Run{Unit: er.unit, Walls: er.walls, Want: egress.Stopped}
	var err error
	if run.Attempts, err = inUnit(ctx, er, p); err != nil {
		run.Err = "it could not be tried: " + err.Error()
	}
	run.Arrived = s.Arrived(p.Token)
	return run
}

// What the sandboxes must hide, as far as a board has it.
var (
	forbidden = map[string][]string{
		walls.Daemon: {"/etc/shadow", "/root", "/home"},
		walls.Engine: {"/etc/shadow", "/etc/passwd", "/etc/machine-id", config.Default, "/root", "/home", "/var/lib/lineside/audit",
			"/var/lib/lineside/asks.db", "/var/log", "/boot", "/proc/1/environ", "/proc/1/maps"},
	}
	devices = []string{"/dev/mem", "/dev/sda", "/dev/vda", "/dev/mmcblk0", "/dev/nvme0n1", "/dev/ttyS0", "/dev/ttyAMA0", "/dev/kvm", "/dev/fuse",
		"/dev/net/tun", "/dev/dri/card0", "/dev/i2c-1", "/dev/spidev0.0", "/dev/video0", "/dev/kmsg"}
	sockets = []string{"/run/dbus/system_bus_socket", "/run/systemd/private", "/run/systemd/resolve/io.systemd.Resolve",
		"/run/systemd/userdb/io.systemd.DynamicUser", "/run/avahi-daemon/socket", "/run/nscd/socket", "/run/docker.sock",
		"/run/containerd/containerd.sock", "/run/podman/podman.sock", "/run/udev/control", "/run/snapd.socket"}
	writable = map[string][]string{
		walls.Daemon: {"/var/lib/lineside", "/run/lineside", "/tmp", "/dev/shm"},
		walls.Engine: {"/var/lib/lineside-engine", "/var/lib/lineside/models", "/tmp", "/dev/shm"},
	}
)

func existing(paths []string) []string {
	return slices.DeleteFunc(slices.Clone(paths), func(p string) bool {
		_, err := os.Stat(p)
		return err != nil
	})
}

func inUnit(ctx context.Context, er egressRun, p egress.Plan) ([]egress.Attempt, error) {
	cat, err := exec.CommandContext(ctx, "systemctl", "cat", er.unit).Output()
	if err != nil {
		return nil, fmt.Errorf("systemctl cat %s: %w: is the package installed?", er.unit, err)
	}
	plan, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	out, path := filepath.Join(egressDir, "out"), filepath.Join("/run/systemd/system", egressUnit)
	// The folders that systemd makes for the service are there because it runs; they are written alike.
	more := append([]string{"ReadWritePaths=-/var/lib/lineside -/run/lineside"}, er.more...)
	if er.unit == walls.Engine {
		more = append([]string{"ReadWritePaths=-/var/lib/lineside-engine"}, er.more...)
	}
	if err := os.WriteFile(path, egress.Unit(cat, self, out, []string{egress.Command, string(plan)}, more...), 0o644); err != nil {
		return nil, err
	}
	defer func() {
		os.Remove(path)
		_ = command(context.WithoutCancel(ctx), "systemctl", "reset-failed", egressUnit) // there may be nothing to forget
		_ = command(context.WithoutCancel(ctx), "systemctl", "daemon-reload")            // the next caller does it again
	}()
	if err := command(ctx, "systemctl", "daemon-reload"); err != nil {
		return nil, err
	}
	if err := command(ctx, "systemctl", "start", egressUnit); err != nil {
		return nil, fmt.Errorf("%w: journalctl -u %s", err, egressUnit)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		return nil, err
	}
	var all []egress.Attempt
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("the probe said %q: %w", bytes.TrimSpace(data), err)
	}
	return all, nil
}

// about is what the report says of the board.
func about(ctx context.Context, file string) egress.Report {
	r := egress.Report{At: time.Now().UTC().Truncate(time.Second), Version: "unknown", Files: map[string]string{}}
	r.Board, _ = os.Hostname()
	if b, ok := debug.ReadBuildInfo(); ok {
		r.Version = b.Main.Version + " " + b.GoVersion
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err == nil {
		r.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	if out, err := exec.CommandContext(ctx, "systemctl", "--version").Output(); err == nil {
		line, _, _ := strings.Cut(string(out), "\n")
		r.Systemd = strings.TrimPrefix(line, "systemd ")
	}
	for _, path := range []string{"/usr/bin/linesided", "/usr/bin/lineside", "/usr/bin/lineside-engine", "/usr/lib/lineside/lineside-engine-dotprod", "/" + walls.NFTFile, file} {
		if data, err := os.ReadFile(path); err == nil {
			r.Files[path] = sum(data)
		}
	}
	for _, unit := range []string{walls.Daemon, walls.Engine} {
		if cat, err := exec.CommandContext(ctx, "systemctl", "cat", unit).Output(); err == nil {
			r.Files["systemctl cat "+unit] = sum(cat)
		}
	}
	if rules, err := exec.CommandContext(ctx, "nft", "--stateless", "list", "table", "inet", "lineside").Output(); err == nil {
		r.Files["nft list table inet lineside"] = sum(rules)
	}
	if a, err := appliance(ctx, file, 0); err == nil {
		r.Allowed = a.Allowed()
	}
	return r
}

func sum(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

// doctorEgress prints the report, and fails where something left or nothing is proven.
func doctorEgress(c *cobra.Command, file, save string, asJSON bool) error {
	r, err := egressReport(c.Context(), file, c.ErrOrStderr())
	if err != nil {
		return err
	}
	if save != "" {
		data, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(save, append(data, '\n'), 0o640); err != nil {
			return err
		}
	}
	if asJSON {
		if err := printJSON(c.OutOrStdout(), r); err != nil {
			return err
		}
	} else {
		r.Write(c.OutOrStdout())
	}
	if !r.Good {
		return errors.New("a wall does not hold, or could not be tried")
	}
	return nil
}
