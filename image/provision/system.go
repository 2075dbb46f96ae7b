package provision

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // time zones are checked on laptops that have none
)

// System is the card's own part of lineside.toml, its table [system].
type System struct {
	TimeZone string  `toml:"timezone"`
	Network  Network `toml:"network"`
	WiFi     WiFi    `toml:"wifi"`
	SSH      SSH     `toml:"ssh"`
}

// Network is how a port gets its address.
type Network struct {
	Address string   `toml:"address"` // "dhcp", or as in "10.0.3.7/24"
	Gateway string   `toml:"gateway"`
	DNS     []string `toml:"dns"`
	VLAN    int      `toml:"vlan"` // 0: untagged
}

// WiFi is a wireless network. Empty SSID: the radio stays off.
type WiFi struct {
	SSID         string   `toml:"ssid"`
	Country      string   `toml:"country"` // two letters: what the radio may do
	PasswordFile string   `toml:"password_file"`
	Address      string   `toml:"address"`
	Gateway      string   `toml:"gateway"`
	DNS          []string `toml:"dns"`
}

// SSH is off until it has a key. There is no password to log in with.
type SSH struct {
	Keys []string `toml:"keys"`
}

// defaults of an empty file.
func defaults() System {
	return System{TimeZone: "UTC", Network: Network{Address: "dhcp"}, WiFi: WiFi{Address: "dhcp"}}
}

// system reads and checks the card's own part.
func (d *document) system() (System, []error) {
	file := struct {
		System System `toml:"system"`
	}{defaults()}
	if errs := d.decode(&file); errs != nil {
		return System{}, errs
	}
	s := file.System
	var errs []error
	reject := func(key, format string, args ...any) { errs = append(errs, d.at("system."+key, format, args...)) }
	if _, err := time.LoadLocation(s.TimeZone); err != nil || s.TimeZone == "" || s.TimeZone == "Local" {
		reject("timezone", "%q is no time zone: write one as in \"Europe/Berlin\"", s.TimeZone)
	}
	checkAddress(reject, "network", s.Network.Address, s.Network.Gateway, s.Network.DNS)
	if s.Network.VLAN < 0 || s.Network.VLAN > 4094 {
		reject("network.vlan", "%d is no VLAN: 1 to 4094, or 0 for none", s.Network.VLAN)
	}
	s.WiFi.check(reject)
	for _, k := range s.SSH.Keys {
		if !validKey(k) {
			reject("ssh.keys", "%.40q is no public key: write the whole line of a file such as id_ed25519.pub", k)
		}
	}
	return s, errs
}

func checkAddress(reject func(string, string, ...any), table, address, gateway string, dns []string) {
	prefix, err := netip.ParsePrefix(address)
	static := err == nil
	if address != "dhcp" && !static {
		reject(table+".address", "%q is no address: write \"dhcp\", or the address with its network's size as in \"10.0.3.7/24\"", address)
	}
	if static && prefix.Addr() == prefix.Masked().Addr() && prefix.Bits() < prefix.Addr().BitLen()-1 {
		reject(table+".address", "%s is the network's own address: give the board one inside it", address)
	}
	if gateway != "" {
		g, err := netip.ParseAddr(gateway)
		switch {
		case err != nil:
			reject(table+".gateway", "%q is no address", gateway)
		case !static:
			reject(table+".gateway", "DHCP gives the gateway: remove it, or write the board's address too")
		case !prefix.Contains(g):
			reject(table+".gateway", "%s cannot be reached from %s", gateway, address)
		}
	}
	for _, s := range dns {
		if _, err := netip.ParseAddr(s); err != nil {
			reject(table+".dns", "%q is no address: name servers are given by number", s)
		}
	}
}

var country = regexp.MustCompile(`^[A-Z]{2}$`)

func (w *WiFi) check(reject func(string, string, ...any)) {
	if w.SSID == "" {
		if w.PasswordFile+w.Country+w.Gateway != "" || w.Address != "dhcp" {
			reject("wifi.ssid", "the name of the wireless network is missing")
		}
		return
	}
	if len(w.SSID) > 32 {
		reject("wifi.ssid", "%q is too long: at most 32 bytes", w.SSID)
	}
	if !country.MatchString(w.Country) {
		reject("wifi.country", "%q is no country: write two capital letters, as in \"DE\"; the radio's permitted channels depend on it", w.Country)
	}
	if w.PasswordFile == "" {
		reject("wifi.password_file", "an open wireless network is refused: write the password into a file on the card and name it here")
	}
	checkAddress(reject, "wifi", w.Address, w.Gateway, w.DNS)
}

// passphrase checks the contents of a Wi-Fi password file: its first line.
func passphrase(b []byte) (string, bool) {
	line, _, _ := strings.Cut(strings.TrimPrefix(string(b), "\ufeff"), "\n")
	line = strings.TrimRight(line, "\r")
	outside := func(r rune) bool { return r < 0x20 || r > 0x7e }
	return line, len(line) >= 8 && len(line) <= 63 && !strings.ContainsFunc(line, outside)
}

var keyTypes = []string{"ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
	"sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"}

// validKey reports whether a line is a public key without options, which could run commands.
func validKey(line string) bool {
	if strings.ContainsAny(line, "\r\n\x00") {
		return false
	}
	f := strings.Fields(line)
	if len(f) < 2 || !slices.Contains(keyTypes, f[0]) {
		return false
	}
	b, err := base64.StdEncoding.DecodeString(f[1])
	return err == nil && len(b) > 4+len(f[0]) && binary.BigEndian.Uint32(b) == uint32(len(f[0])) && bytes.HasPrefix(b[4:], []byte(f[0]))
}
