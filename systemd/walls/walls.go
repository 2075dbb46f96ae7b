// Package walls makes systemd's and the kernel's settings of what the appliance is
// configured to do: the one broker that linesided may reach, the secrets it is handed, the
// lamps it may touch, the memory that the engine may take, the time server. Each comes out
// as a file below /run, so that nothing of it outlives the configuration.
//
// It is pure: it resolves no name, writes no file and starts nothing.
package walls

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strings"
)

// The services and their users have the same names everywhere.
const (
	Daemon     = "linesided.service"
	Engine     = "lineside-engine.service"
	DaemonUser = "lineside"
	EngineUser = "lineside-engine"
)

// Where things stand below the root.
const (
	HostsFile  = "run/lineside-units/hosts"
	EngineFile = "run/lineside-units/engine.env"
	NFTFile    = "run/lineside-units/walls.nft"
	TimeFile   = "run/systemd/timesyncd.conf.d/90-lineside.conf"
	dropIn     = "50-lineside.conf"
)

// Appliance is what is known of the board, its configuration and its model.
type Appliance struct {
	Brokers    []netip.AddrPort  // addresses of the one broker; none: nobody is reached
	BrokerName string            // its name, where the configuration gives one
	Hosts      []byte            // the board's own /etc/hosts
	Serves     []netip.AddrPort  // where the daemon itself listens: embedded broker, metrics
	Clients    []netip.Prefix    // who may come to the embedded broker, beyond this machine
	Secrets    map[string]string // path by credential name
	Lamps      []string          // real paths of sysfs LEDs
	Devices    []string          // device nodes: /dev/gpiochip0, /dev/vcio
	Time       []string          // NTP servers, as the configuration has them
	EngineArgs []string
	Model      string // path of the model's file; empty: the store's active one
	Systemd    int    // version of the service manager; 0: the oldest that will do
	Memory     uint64 // that the engine's plan needs, in bytes; 0: not known
}

// File is one file to be written. Its path is relative to the root.
type File struct {
	Path string
	Data []byte
}

// Files are all files of an appliance, in the order in which they are written.
func Files(a Appliance) []File {
	files := []File{
		{"run/systemd/system/" + Daemon + ".d/" + dropIn, daemonDropIn(a)},
		{"run/systemd/system/" + Engine + ".d/" + dropIn, engineDropIn(a)},
		{EngineFile, engineEnvironment(a)},
		{NFTFile, Ruleset(a)},
		{TimeFile, timeServers(a)},
	}
	return append(files, File{HostsFile, hosts(a)})
}

// addresses are those of the broker, without their ports.
func (a Appliance) addresses() []string {
	var all []string
	for _, b := range a.Brokers {
		all = append(all, b.Addr().String())
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// local is what the daemon's own parts need of this machine: its broker and its metrics. It
// is no net: a name server on 127.0.0.53 stays out of reach.
func (a Appliance) local() []string {
	var all []string
	for _, s := range a.Serves {
		switch {
		case s.Addr().IsUnspecified() && s.Addr().Is4():
			all = append(all, "127.0.0.1")
		case s.Addr().IsUnspecified():
			all = append(all, "127.0.0.1", "::1")
		default:
			all = append(all, s.Addr().String())
		}
	}
	for _, c := range a.Clients {
		all = append(all, c.Masked().String())
	}
	return all
}

// Allowed is everybody that the daemon may exchange packets with.
func (a Appliance) Allowed() []string {
	all := append(a.addresses(), a.local()...)
	slices.Sort(all)
	return slices.Compact(all)
}

func daemonDropIn(a Appliance) []byte {
	var b bytes.Buffer
	b.WriteString("# Made of lineside.toml by `lineside units apply`.\n[Service]\nIPAddressAllow=\n")
	if all := a.Allowed(); len(all) > 0 {
		fmt.Fprintf(&b, "IPAddressAllow=%s\n", strings.Join(all, " "))
	}
	for _, s := range a.Serves { // without "tcp:", which 249 may not understand
		fmt.Fprintf(&b, "SocketBindAllow=%d\n", s.Port())
	}
	fmt.Fprintf(&b, "BindReadOnlyPaths=/%s:/etc/hosts\n", HostsFile)
	for _, name := range slices.Sorted(maps.Keys(a.Secrets)) {
		fmt.Fprintf(&b, "LoadCredential=%s:%s\n", name, a.Secrets[name])
	}
	for _, l := range a.Lamps {
		fmt.Fprintf(&b, "ReadWritePaths=%s\n", l)
	}
	for _, d := range a.Devices {
		fmt.Fprintf(&b, "BindPaths=%s\nDeviceAllow=%s rw\n", d, d)
	}
	b.WriteString(a.upToDate(Daemon))
	return b.Bytes()
}

func engineEnvironment(a Appliance) []byte {
	env := fmt.Appendf(nil, "LINESIDE_ENGINE_ARGS=%s\n", strings.Join(a.EngineArgs, " "))
	if a.Model != "" {
		env = fmt.Appendf(env, "LINESIDE_MODEL=%q\n", a.Model)
	}
	return env
}

// newer are settings that the base units must do without, by the version of systemd that they
// came with.
var newer = []struct {
	since         int
	unit, setting string
}{
	{251, Engine, "ProcSubset=pid"},                  // before, a unit with this and ProtectKernelTunables=, -Logs= or ProtectHostname= does not start
	{253, Daemon, "Type=notify-reload\nExecReload="}, // the manager sends SIGHUP itself, and waits for the end of the reload
	{254, Engine, "RestartSteps=5\nRestartMaxDelaySec=30"},
	{257, Daemon, "ProtectControlGroups=strict\nPrivateTmp=disconnected"},
	{257, Engine, "ProtectControlGroups=strict\nPrivateTmp=disconnected"},
}

// upToDate are the newer settings of a unit.
func (a Appliance) upToDate(unit string) string {
	var b strings.Builder
	for _, n := range newer {
		if n.unit == unit && n.since <= a.Systemd {
			fmt.Fprintln(&b, n.setting)
		}
	}
	return b.String()
}

// Memory above the plan: throttled first, then killed. The plan is exact to some percent; a
// limit that is too low makes the engine crawl.
const (
	highPercent = 115
	maxPercent  = 130
)

func engineDropIn(a Appliance) []byte {
	var b bytes.Buffer
	b.WriteString("# Made of lineside.toml and the model's plan by `lineside units apply`.\n[Service]\n")
	if a.Model != "" { // the one file of its own that it may see
		fmt.Fprintf(&b, "BindReadOnlyPaths=-%s\n", a.Model)
	}
	if a.Memory > 0 {
		fmt.Fprintf(&b, "MemoryHigh=%d\nMemoryMax=%d\n", a.Memory/100*highPercent, a.Memory/100*maxPercent)
	}
	b.WriteString(a.upToDate(Engine))
	return b.Bytes()
}

// hosts lets the daemon find the broker without a name server, which it cannot reach: a
// question for a name would be a way out.
func hosts(a Appliance) []byte {
	var b bytes.Buffer
	if a.BrokerName != "" {
		for _, ip := range a.addresses() {
			fmt.Fprintf(&b, "%s %s\n", ip, a.BrokerName)
		}
	}
	b.Write(a.Hosts)
	return b.Bytes()
}

func timeServers(a Appliance) []byte {
	return fmt.Appendf(nil, "# Made of lineside.toml by `lineside units apply`. No server of the internet is asked.\n[Time]\nNTP=%s\nFallbackNTP=\n",
		strings.Join(a.Time, " "))
}

// Ruleset is the second wall, for nft: what the two users may send, whatever systemd does.
func Ruleset(a Appliance) []byte {
	var b bytes.Buffer
	b.WriteString(`# Made of lineside.toml by ` + "`lineside units apply`" + `: the second wall, behind IPAddressDeny=.
table inet lineside
delete table inet lineside
table inet lineside {
	chain output {
		type filter hook output priority filter; policy accept;
		meta skuid "` + EngineUser + `" counter name engine_stopped drop
		meta skuid "` + DaemonUser + `" jump daemon
	}
	chain daemon {
`)
	for _, s := range a.Serves { // answers of what the daemon serves, and nothing new
		fmt.Fprintf(&b, "\t\ttcp sport %d ct state established accept\n", s.Port())
	}
	brokers := slices.Clone(a.Brokers)
	slices.SortFunc(brokers, func(x, y netip.AddrPort) int {
		return cmp.Or(x.Addr().Compare(y.Addr()), cmp.Compare(x.Port(), y.Port()))
	})
	for _, k := range slices.Compact(brokers) {
		family := "ip"
		if k.Addr().Is6() {
			family = "ip6"
		}
		fmt.Fprintf(&b, "\t\t%s daddr %s tcp dport %d accept\n", family, k.Addr(), k.Port())
	}
	b.WriteString(`		counter name daemon_stopped drop
	}
	counter engine_stopped { }
	counter daemon_stopped { }
}
`)
	return b.Bytes()
}

// RealLamp is the path that a LED of /sys/class/leds really has, given where its link leads.
func RealLamp(link string) string { return path.Clean(path.Join("/sys/class/leds", link)) }
