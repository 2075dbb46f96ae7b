package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"lineside/daemon/config"
	"lineside/inference/model/fit"
	models "lineside/inference/model/store"
	"lineside/systemd/walls"
)

func unitsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "units",
		Short: "Make systemd's and the firewall's settings of the configuration",
		Long: `Makes systemd's and the firewall's settings of lineside.toml: the one broker that may be
reached, the secrets that are handed over, the lamps, the engine's memory by its model's plan,
the time server. lineside-units.service runs it at every boot; run it after a change.`,
	}
	cmd.AddCommand(unitsShowCommand(), unitsApplyCommand())
	return cmd
}

func unitsShowCommand() *cobra.Command {
	file := config.Default
	cmd := &cobra.Command{
		Use:     "show",
		Short:   "Print the files that apply would write",
		Args:    cobra.NoArgs,
		Example: "  lineside units show --config ./lineside.toml",
	}
	cmd.Flags().StringVar(&file, "config", file, "configuration `file`")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		a, problem := appliance(c.Context(), file, 0)
		all := map[string]string{}
		for _, f := range walls.Files(a) {
			all["/"+f.Path] = string(f.Data)
			if !*asJSON {
				fmt.Fprintf(c.OutOrStdout(), "==> /%s <==\n%s\n", f.Path, f.Data)
			}
		}
		if *asJSON {
			if err := printJSON(c.OutOrStdout(), all); err != nil {
				return err
			}
		}
		return problem
	}
	return cmd
}

func unitsApplyCommand() *cobra.Command {
	file, root, wait := config.Default, "/", 10*time.Second
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Write them, and have systemd and the kernel take them",
		Long: `Writes the files below /run, loads the firewall's rules and has systemd read its units
again. Where the broker's name cannot be resolved within --wait, the walls stand closed and the
command fails: lineside-units.service tries again.`,
		Args:    cobra.NoArgs,
		Example: "  sudo lineside units apply\n  lineside units apply --config ./lineside.toml --root ./image-root",
	}
	cmd.Flags().StringVar(&file, "config", file, "configuration `file`")
	cmd.Flags().StringVar(&root, "root", root, "write below this `folder`; only / is put in force")
	cmd.Flags().DurationVar(&wait, "wait", wait, "look for the broker's name again for this `time`, while the network comes up")
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		a, problem := appliance(c.Context(), file, wait)
		changed, err := writeFiles(root, walls.Files(a))
		if err != nil {
			return err
		}
		if root == "/" {
			problem = errors.Join(problem, enforce(c.Context(), changed, c.ErrOrStderr()))
		}
		return problem
	}
	return cmd
}

// appliance gathers what the walls are made of. Where a part of it cannot be known, the error
// says so and the rest is there: closed rather than open. The network has wait to come up.
func appliance(ctx context.Context, file string, wait time.Duration) (walls.Appliance, error) {
	var a walls.Appliance
	c, err := config.Load(file)
	if err != nil {
		return a, err
	}
	a.Time, a.Secrets = c.Time.Servers, map[string]string{}
	for name, path := range c.Secrets() {
		a.Secrets[name] = *path
	}
	if a.Hosts, err = os.ReadFile("/etc/hosts"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return a, err
	}
	var own sync.WaitGroup // what this board knows, while the network is asked
	own.Go(func() { a.Systemd = systemdVersion(ctx) })
	own.Go(func() { a.Memory = plannedMemory(c) })
	serves(ctx, &a, c, wait)
	err = resolveBroker(ctx, &a, c.MQTT.URL, wait)
	lamps(ctx, &a, c)
	own.Wait()
	e := c.Engine
	a.EngineArgs = []string{"--slots", strconv.Itoa(e.Slots), "--ctx", strconv.Itoa(e.Context)}
	if e.Threads > 0 {
		a.EngineArgs = append(a.EngineArgs, "--threads", strconv.Itoa(e.Threads))
	}
	a.Model = e.Model
	return a, err
}

// systemdVersion is the service manager's, or 0 where there is none.
func systemdVersion(ctx context.Context) (n int) {
	out, err := exec.CommandContext(ctx, "systemctl", "--version").Output()
	if err == nil {
		_, _ = fmt.Sscanf(string(out), "systemd %d", &n) // other words are no version
	}
	return n
}

// serves is where the daemon listens, and who may come there.
func serves(ctx context.Context, a *walls.Appliance, c config.Config, wait time.Duration) {
	if at, err := netip.ParseAddrPort(c.Metrics.Listen); err == nil {
		a.Serves = append(a.Serves, at)
	}
	at, err := netip.ParseAddrPort(c.MQTT.EmbeddedListen)
	if err != nil || !c.MQTT.Embedded {
		return
	}
	a.Serves = append(a.Serves, at)
	if at.Addr().IsLoopback() {
		return
	}
	// Who they are, the interfaces say once they are up.
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	_ = command(ctx, "systemctl", "--no-ask-password", "start", "network-online.target") // else with what is there
	nets, err := net.InterfaceAddrs()
	if err != nil {
		return // then only this machine
	}
	for _, n := range nets { // those who share a net with the address: the plant's devices
		p, err := netip.ParsePrefix(n.String())
		if err == nil && !p.Addr().IsLoopback() && (at.Addr().IsUnspecified() || p.Contains(at.Addr())) {
			a.Clients = append(a.Clients, p)
		}
	}
}

// resolveBroker finds the broker's addresses. This is the only name that is ever looked up.
func resolveBroker(ctx context.Context, a *walls.Appliance, address string, wait time.Duration) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		return fmt.Errorf("mqtt.url: port: %w", err)
	}
	host := u.Hostname()
	ips := []netip.Addr{}
	if ip, err := netip.ParseAddr(host); err == nil {
		ips = append(ips, ip)
	} else {
		a.BrokerName = host
		if ips, err = lookup(ctx, net.DefaultResolver.LookupNetIP, host, wait); err != nil {
			return fmt.Errorf("the broker %s has no address: %w: nobody can be reached until it has", host, err)
		}
	}
	for _, ip := range ips {
		a.Brokers = append(a.Brokers, netip.AddrPortFrom(ip.Unmap().WithZone(""), uint16(port)))
	}
	return nil
}

// lookup asks for the addresses of host until they are found or wait has passed; without one it asks once.
func lookup(ctx context.Context, ask func(ctx context.Context, network, host string) ([]netip.Addr, error), host string, wait time.Duration) ([]netip.Addr, error) {
	if wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, wait)
		defer cancel()
	}
	for {
		ips, err := ask(ctx, "ip", host)
		if err == nil || wait <= 0 {
			return ips, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// lamps are the LEDs and device nodes that the daemon may touch.
func lamps(ctx context.Context, a *walls.Appliance, c config.Config) {
	lines := c.HW.Button != ""
	var names []string
	for _, light := range c.LEDs.Lights() {
		for _, place := range light.Lamps {
			name, ok := strings.CutPrefix(place, "sysfs:")
			if !ok {
				lines = true
				continue
			}
			names = append(names, name)
		}
	}
	a.Lamps = leds("/sys/class/leds", names, func() {
		_ = command(ctx, "udevadm", "settle", "--timeout=10") // what is missing after it is missing
	})
	if lines {
		a.Devices, _ = filepath.Glob("/dev/gpiochip*") // the pattern is good
	}
	if _, err := os.Stat("/dev/vcio"); err == nil { // the Pi's firmware: throttling, voltages
		a.Devices = append(a.Devices, "/dev/vcio")
	}
}

// leds are the real paths of the LEDs in dir. After a cold start one may come late: settle is waited for, once.
func leds(dir string, names []string, settle func()) []string {
	var all []string
	for _, name := range names {
		link, err := os.Readlink(filepath.Join(dir, name))
		if err != nil && settle != nil {
			settle()
			settle = nil
			link, err = os.Readlink(filepath.Join(dir, name))
		}
		if err == nil {
			all = append(all, walls.RealLamp(link))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// plannedMemory is what the engine needs with the model that is to run; 0 where there is none.
func plannedMemory(c config.Config) uint64 {
	path := c.Engine.Model
	if path == "" {
		path = filepath.Join(c.Licence.Dir, models.ActiveLink)
	}
	x, err := inspect(path)
	if err != nil || x.Problem != "" {
		return 0
	}
	return fit.Memory(fit.Request{Shape: x.shape, File: uint64(x.Bytes), Context: c.Engine.Context, Slots: c.Engine.Slots}).Engine()
}

// writeFiles writes what differs, and says what did. Files keep their inode: one of them is
// seen through a bind mount.
func writeFiles(root string, files []walls.File) (changed []string, err error) {
	for _, f := range files {
		path := filepath.Join(root, f.Path)
		old, err := os.ReadFile(path)
		if err == nil && bytes.Equal(old, f.Data) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			return nil, err
		}
		changed = append(changed, f.Path)
	}
	return changed, nil
}

// enforce has kernel and systemd take the files, at the same time.
func enforce(ctx context.Context, changed []string, stderr io.Writer) error {
	var both errgroup.Group
	both.Go(func() error { return firewall(ctx, stderr) })
	both.Go(func() error { return reload(ctx, changed) })
	return both.Wait()
}

// firewall loads the rules every time, since somebody may have flushed them.
func firewall(ctx context.Context, stderr io.Writer) error {
	if _, err := exec.LookPath("nft"); err != nil {
		fmt.Fprintln(stderr, "lineside: nft is not installed: the second wall is missing: apt-get install nftables")
		return nil
	}
	if err := command(ctx, "nft", "-f", "/"+walls.NFTFile); err != nil {
		return fmt.Errorf("the firewall does not take the rules: %w", err)
	}
	return nil
}

// reload has systemd read what changed.
func reload(ctx context.Context, changed []string) error {
	if _, err := os.Stat("/run/systemd/system"); err != nil || len(changed) == 0 {
		return nil
	}
	if err := command(ctx, "systemctl", "daemon-reload"); err != nil {
		return err
	}
	if slices.Contains(changed, walls.TimeFile) {
		return command(ctx, "systemctl", "--no-block", "try-restart", "systemd-timesyncd.service")
	}
	return nil
}

// command runs a program; its own words are the error.
func command(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
