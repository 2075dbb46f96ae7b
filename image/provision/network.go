package provision

import (
	"encoding/hex"
	"fmt"
	"strings"

	"lineside/image/layout"
)

// Files below the root that a System is put into effect by, all under /run.
const (
	networkDir  = "/run/systemd/network/"
	wifiFile    = layout.RunDir + "/wpa_supplicant.conf" // 0600: the password stands in it
	sshFile     = layout.RunDir + "/authorized_keys"     // absent: SSH stays off
	zoneFile    = layout.RunDir + "/localtime"           // a link; /etc/localtime leads to it
	vlanName    = "lineside-vlan"
	headOfFiles = "# Made by lineside from lineside.toml at every start.\n"
)

// files are those that the system configuration asks for, by path. password is that of
// the wireless network.
func (s *System) files(password string) map[string]string {
	f := map[string]string{}
	wired := "[Match]\nType=ether\n\n[Network]\n"
	if s.Network.VLAN == 0 {
		f[networkDir+"20-lineside.network"] = headOfFiles + wired + addresses(s.Network.Address, s.Network.Gateway, s.Network.DNS)
	} else {
		f[networkDir+"20-lineside.network"] = headOfFiles + wired + "VLAN=" + vlanName + "\nLinkLocalAddressing=no\n"
		f[networkDir+"20-lineside-vlan.netdev"] = headOfFiles + fmt.Sprintf("[NetDev]\nName=%s\nKind=vlan\n\n[VLAN]\nId=%d\n", vlanName, s.Network.VLAN)
		f[networkDir+"10-lineside-vlan.network"] = headOfFiles + "[Match]\nName=" + vlanName + "\n\n[Network]\n" + addresses(s.Network.Address, s.Network.Gateway, s.Network.DNS)
	}
	if s.WiFi.SSID != "" {
		f[networkDir+"20-lineside-wifi.network"] = headOfFiles + "[Match]\nType=wlan\n\n[Network]\n" + addresses(s.WiFi.Address, s.WiFi.Gateway, s.WiFi.DNS)
		f[wifiFile] = s.WiFi.supplicant(password)
	}
	if len(s.SSH.Keys) > 0 {
		f[sshFile] = strings.Join(s.SSH.Keys, "\n") + "\n"
	}
	return f
}

// addresses is what systemd.network(5) calls [Network] and its friends.
func addresses(address, gateway string, dns []string) string {
	var b strings.Builder
	if address == "dhcp" {
		b.WriteString("DHCP=yes\n")
	} else {
		fmt.Fprintf(&b, "Address=%s\n", address)
	}
	if gateway != "" {
		fmt.Fprintf(&b, "Gateway=%s\n", gateway)
	}
	for _, d := range dns {
		fmt.Fprintf(&b, "DNS=%s\n", d)
	}
	if address == "dhcp" {
		b.WriteString("\n[DHCPv4]\nClientIdentifier=mac\n") // plants give addresses by the label on the board
		if len(dns) > 0 {
			b.WriteString("UseDNS=no\n")
		}
	}
	return b.String()
}

// supplicant is the configuration of wpa_supplicant. The name goes in as hex and the
// password is printable ASCII, so that neither can say more than it is.
func (w *WiFi) supplicant(password string) string {
	return headOfFiles + fmt.Sprintf("country=%s\nnetwork={\n\tssid=%s\n\tscan_ssid=1\n\tkey_mgmt=WPA-PSK WPA-PSK-SHA256 SAE\n\tieee80211w=1\n\tpsk=\"%s\"\n}\n",
		w.Country, hex.EncodeToString([]byte(w.SSID)), password)
}
