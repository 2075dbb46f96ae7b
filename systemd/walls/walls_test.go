package walls

import (
	"bytes"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

func at(s ...string) (all []netip.AddrPort) {
	for _, a := range s {
		all = append(all, netip.MustParseAddrPort(a))
	}
	return all
}

var appliances = map[string]Appliance{
	"closed": {},
	"plant": {
		Brokers: at("10.1.2.3:8883", "[fd00::5]:8883"), BrokerName: "broker.plant", Hosts: []byte("127.0.0.1 localhost\n"),
		Serves: at("127.0.0.1:9464"), Secrets: map[string]string{"mqtt.password_file": "/etc/lineside/password"},
		Lamps: []string{"/sys/devices/platform/leds/leds/ACT"}, Devices: []string{"/dev/gpiochip0", "/dev/vcio"},
		Time: []string{"10.1.2.1"}, EngineArgs: []string{"--slots", "4"}, Memory: 1_000_000_000,
	},
	"newest": {Systemd: 999},
	"own-broker": {
		Brokers: at("127.0.0.1:1883"), Serves: at("0.0.0.0:1883"), Clients: []netip.Prefix{netip.MustParsePrefix("192.168.7.20/24")},
		Model: "/srv/models/a.gguf",
	},
}

// TestFiles holds everything that is written to golden files.
func TestFiles(t *testing.T) {
	for name, a := range appliances {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			for _, f := range Files(a) {
				fmt.Fprintf(&b, "==> /%s <==\n%s\n", f.Path, f.Data)
			}
			path := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestLoopbackIsNoNet keeps name servers and proxies of this machine out of reach.
func TestLoopbackIsNoNet(t *testing.T) {
	for name, a := range appliances {
		for _, s := range a.Allowed() {
			p, err := netip.ParsePrefix(s)
			if err == nil && p.Contains(netip.MustParseAddr("127.0.0.53")) {
				t.Errorf("%s: %s lets the daemon ask the resolver of this machine", name, s)
			}
		}
	}
}

// TestRulesetLoads has nft read the rules.
func TestRulesetLoads(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil || os.Geteuid() != 0 {
		t.Skip("nft is not installed, or this is not root")
	}
	for name, a := range appliances {
		// The users may not exist here: numbers do.
		rules := strings.NewReplacer(`"`+DaemonUser+`"`, "996", `"`+EngineUser+`"`, "995").Replace(string(Ruleset(a)))
		c := exec.Command("nft", "--check", "-f", "-")
		c.Stdin = strings.NewReader(rules)
		if out, err := c.CombinedOutput(); err != nil {
			if strings.Contains(string(out), "Operation not") {
				t.Skip("this kernel or container has no nftables")
			}
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}
