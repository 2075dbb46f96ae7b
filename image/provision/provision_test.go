package provision_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"lineside/image/layout"
	"lineside/image/provision"
)

// pair makes a certificate and its key.
func pair(t testing.TB) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "b03"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	b, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b}))
}

// policy stands in for linesided's own check: the part must name no [bad] table.
var policy = provision.Policy{
	Files: map[string]provision.Kind{
		"mqtt.ca_file": provision.Certificate, "mqtt.cert_file": provision.Certificate,
		"mqtt.key_file": provision.Key, "mqtt.password_file": provision.Secret,
	},
	Check: func(b []byte) error {
		if i := bytes.Index(b, []byte("[bad]")); i >= 0 {
			return &provision.Problem{Line: 1 + bytes.Count(b[:i], []byte("\n")), Column: 1, Key: "bad", Text: "unknown key"}
		}
		return nil
	},
	Default: []byte("# default\n"),
}

const sshKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJhc2U2NGJhc2U2NGJhc2U2NGJhc2U2NGJhc2U2 mia@laptop"

const full = `# the press hall
[board]
id = "b03"

[system]
timezone = "Europe/Berlin"
[system.network]
address = "10.0.3.7/24"
gateway = "10.0.3.1"
dns = ["10.0.3.1"]
vlan = 30
[system.wifi]
ssid = "Hall \"3\""
country = "DE"
password_file = "wifi.txt"
[system.ssh]
keys = ["` + sshKey + `"]

[mqtt]
url = "mqtts://broker.plant:8883"
ca_file = "ca.pem"    # the plant's
cert_file = "b03.pem"
key_file = "b03.key"
username = "b03"
password_file = "broker password.txt"
`

// world is a card and a board in folders.
type world struct {
	t    *testing.T
	dir  string
	opts provision.Options
	rw   int
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir()}
	for _, d := range []string{"boot", "data", "root"} {
		if err := os.Mkdir(filepath.Join(w.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.opts = provision.Options{
		Boot: filepath.Join(w.dir, "boot"), Data: filepath.Join(w.dir, "data"), Root: filepath.Join(w.dir, "root"),
		Policy: policy, Board: "Board b03, version 1.0",
		Writable: func() (func() error, error) { w.rw++; return func() error { return nil }, nil },
	}
	return w
}

func (w *world) write(name, content string) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) read(name string) string {
	b, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		return ""
	}
	return string(b)
}

func (w *world) run() provision.Result {
	w.t.Helper()
	r, err := provision.Run(w.opts)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) fill() {
	cert, key := pair(w.t)
	w.write("boot/lineside.toml", full)
	w.write("boot/ca.pem", cert)
	w.write("boot/b03.pem", cert)
	w.write("boot/b03.key", key)
	w.write("boot/broker password.txt", "s3cret\r\n")
	w.write("boot/wifi.txt", "correct horse\n")
	w.write("boot/owner.pub", "untrusted comment: owner\nRWQ\n")
	w.write("boot/skills/alarm.toml", "version = 1\n")
}

func TestImport(t *testing.T) {
	w := newWorld(t)
	w.fill()
	witness := filepath.Join(w.dir, "witness") // shares the key's blocks
	if err := os.Link(filepath.Join(w.dir, "boot/b03.key"), witness); err != nil {
		t.Fatal(err)
	}
	key := w.read("boot/b03.key")
	r := w.run()
	if r.State != provision.InUse || len(r.Removed) != 3 {
		t.Fatalf("%+v\n%s", r, w.read("boot/STATUS.txt"))
	}
	const etc = "data/config/current/"
	daemon := w.read(etc + "lineside.toml")
	for _, want := range []string{`ca_file = "/etc/lineside/ca.pem"    # the plant's`, `key_file = "/etc/lineside/b03.key"`,
		`password_file = "/etc/lineside/broker password.txt"`, "# the press hall\n", `id = "b03"`} {
		if !strings.Contains(daemon, want) {
			t.Errorf("linesided's part lacks %s:\n%s", want, daemon)
		}
	}
	if strings.Contains(daemon, "system") || strings.Contains(daemon, "wifi") {
		t.Errorf("linesided's part has the card's:\n%s", daemon)
	}
	if got, want := strings.Count(daemon, "\n"), strings.Count(full, "\n"); got != want {
		t.Errorf("linesided's part has %d lines, the file %d: its errors would name wrong ones", got, want)
	}
	if w.read(etc+"b03.key") != key || w.read(etc+"owner.pub") == "" || w.read(etc+"skills/alarm.toml") == "" {
		t.Error("not everything was imported")
	}
	for _, name := range []string{"b03.key", "broker password.txt", "wifi.txt"} {
		if _, err := os.Stat(filepath.Join(w.opts.Boot, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still on the card: %v", name, err)
		}
	}
	if b := w.read("witness"); len(b) != len(key) || strings.Trim(b, "\x00") != "" {
		t.Errorf("the key was not overwritten: %.30q", b)
	}
	if w.read("boot/ca.pem") == "" {
		t.Error("a certificate, which is no secret, was taken off the card")
	}
	status := w.read("boot/STATUS.txt")
	if !strings.Contains(status, "GOOD\r\n") || !strings.Contains(status, "b03.key\r\n") || strings.Contains(strings.ReplaceAll(status, "\r\n", ""), "\n") {
		t.Errorf("%q", status)
	}

	// the next start finds the secrets where they were imported to, and writes nothing
	was, rw := w.read(etc+"lineside.toml"), w.rw
	if r := w.run(); r.State != provision.InUse || r.Removed != nil || w.rw != rw || w.read(etc+"lineside.toml") != was {
		t.Errorf("the second start: %+v, %d times writable\n%s", r, w.rw-rw, w.read("boot/STATUS.txt"))
	}
}

func TestApply(t *testing.T) {
	w := newWorld(t)
	w.fill()
	w.run()
	for name, want := range map[string]string{
		"run/systemd/network/20-lineside.network":      "Type=ether\n\n[Network]\nVLAN=lineside-vlan\n",
		"run/systemd/network/20-lineside-vlan.netdev":  "Id=30",
		"run/systemd/network/10-lineside-vlan.network": "Address=10.0.3.7/24\nGateway=10.0.3.1\nDNS=10.0.3.1\n",
		"run/systemd/network/20-lineside-wifi.network": "Type=wlan\n\n[Network]\nDHCP=yes\n",
		"run/lineside-image/wpa_supplicant.conf":       "country=DE\nnetwork={\n\tssid=48616c6c20223322\n",
		"run/lineside-image/authorized_keys":           sshKey + "\n",
	} {
		if got := w.read("root/" + name); !strings.Contains(got, want) {
			t.Errorf("%s lacks %q:\n%s", name, want, got)
		}
	}
	if to, err := os.Readlink(filepath.Join(w.dir, "root/run/lineside-image/localtime")); err != nil || to != "/usr/share/zoneinfo/Europe/Berlin" {
		t.Error(to, err)
	}
	if i, err := os.Stat(filepath.Join(w.dir, "root/run/lineside-image/wpa_supplicant.conf")); err != nil || i.Mode().Perm() != 0o600 {
		t.Error(i.Mode(), err)
	}

	// what is no longer asked for goes
	w.write("boot/lineside.toml", "[board]\nid = \"b03\"\n")
	w.run()
	if w.read("root/run/lineside-image/authorized_keys") != "" || w.read("root/run/lineside-image/wpa_supplicant.conf") != "" {
		t.Error("SSH or Wi-Fi stays on")
	}
	if got := w.read("root/run/systemd/network/20-lineside.network"); !strings.Contains(got, "DHCP=yes") {
		t.Errorf("no DHCP by default:\n%s", got)
	}
	if list, _ := os.ReadDir(filepath.Join(w.opts.Data, "config")); len(list) != 2 {
		t.Errorf("old configurations, with their secrets, stay: %v", list)
	}
}

// TestWrong keeps what was in use, and says what to mend.
func TestWrong(t *testing.T) {
	w := newWorld(t)
	w.write("boot/lineside.toml", "[board]\nid = \"b03\"\n[bad]\n")
	w.write("boot/client.key", "secret")
	r := w.run()
	if r.State != provision.Default || w.read("data/config/current/lineside.toml") != "# default\n" {
		t.Fatalf("%+v", r)
	}
	if s := w.read("boot/STATUS.txt"); !strings.Contains(s, "WRONG\r\n") || !strings.Contains(s, "1. line 3, column 1: bad: unknown key") || !strings.Contains(s, "answers nobody") {
		t.Errorf("%s", s)
	}

	w.fill()
	w.run()
	good := w.read("data/config/current/lineside.toml")
	w.write("boot/lineside.toml", "[board\n")
	if r := w.run(); r.State != provision.Kept || w.read("data/config/current/lineside.toml") != good {
		t.Errorf("%+v", r)
	}
	if s := w.read("boot/STATUS.txt"); !strings.Contains(s, "line 1, column") || !strings.Contains(s, "from before") {
		t.Errorf("%s", s)
	}
	if got := w.read("root/run/systemd/network/10-lineside-vlan.network"); !strings.Contains(got, "10.0.3.7") {
		t.Error("the network from before is not in effect")
	}
	rw := w.rw
	if w.run(); w.rw != rw {
		t.Error("the same mistake is written to the card again")
	}
	if err := os.Remove(filepath.Join(w.opts.Boot, "lineside.toml")); err != nil {
		t.Fatal(err)
	}
	if r := w.run(); r.State != provision.Kept || !strings.Contains(w.read("boot/STATUS.txt"), "MISSING") {
		t.Errorf("%+v\n%s", r, w.read("boot/STATUS.txt"))
	}
}

// TestSecretsStayUntilSafe takes nothing off the card that could not be imported.
func TestSecretsStayUntilSafe(t *testing.T) {
	w := newWorld(t)
	w.fill()
	w.write("data/config", "a file where the folder should be")
	r, err := provision.Run(w.opts)
	if err == nil || r.State == provision.InUse {
		t.Fatalf("%+v, %v", r, err)
	}
	if w.read("boot/b03.key") == "" {
		t.Error("the key is gone")
	}
	if s := w.read("boot/STATUS.txt"); !strings.Contains(s, "TROUBLE") {
		t.Error(s)
	}
}

func TestReset(t *testing.T) {
	for text, models := range map[string]bool{"": true, "Everything, please\r\n": false} {
		w := newWorld(t)
		w.fill()
		w.run()
		w.write("data/lineside/audit/a.jsonl", "x")
		w.write("data/lineside/store.db", "x")
		w.write("data/lineside/models/m.gguf", "x")
		w.write("data/slots/state.json", "{}")
		w.write("boot/FACTORY-RESET.txt", text)
		r := w.run()
		if !r.Reset || r.State != provision.Default {
			t.Errorf("%+v", r)
		}
		if w.read("data/lineside/audit/a.jsonl")+w.read("data/lineside/store.db") != "" || w.read("data/slots/state.json") == "" {
			t.Error("the plant is not forgotten, or the slots are")
		}
		if got := w.read("data/lineside/models/m.gguf") != ""; got != models {
			t.Errorf("%q: models stay: %v", text, got)
		}
		s := w.read("boot/STATUS.txt")
		if _, err := os.Stat(filepath.Join(w.opts.Boot, "FACTORY-RESET.txt")); err == nil || !strings.Contains(s, "RESET DONE") || !strings.Contains(s, "b03.key is not on the card") {
			t.Errorf("file still there: %v\n%s", err == nil, s)
		}
	}
}

// TestButton resets once, while the button is held.
func TestButton(t *testing.T) {
	w := newWorld(t)
	w.fill()
	w.run()
	held := true
	w.opts.Pressed = func() bool { return held }
	if r := w.run(); !r.Reset || r.State != provision.Default {
		t.Errorf("%+v", r)
	}
	held = false
	if r := w.run(); r.Reset {
		t.Errorf("%+v", r)
	}
}

// TestMistakes has one row for each thing that a technician gets wrong.
func TestMistakes(t *testing.T) {
	cert, key := pair(t)
	_, other := pair(t)
	for name, c := range map[string]struct {
		toml  string
		files map[string]string
		want  string
	}{
		"UTF-16":           {"\xff\xfe[\x00", nil, "save it as UTF-8"},
		"syntax":           {"[board]\nid = b03\n", nil, "line 2, column 6"},
		"unknown key":      {"[system]\ntime_zone = \"UTC\"\n", nil, "line 2, column 1: system.time_zone: unknown key"},
		"zone":             {"[system]\ntimezone = \"Berlin\"\n", nil, `line 2, column 1: system.timezone: "Berlin"`},
		"zone upwards":     {"[system]\ntimezone = \"../../etc/passwd\"\n", nil, "system.timezone"},
		"address":          {"[system.network]\naddress = \"10.0.3.7\"\n", nil, "line 2, column 1: system.network.address"},
		"network address":  {"[system.network]\naddress = \"10.0.3.0/24\"\n", nil, "network's own address"},
		"gateway outside":  {"[system.network]\naddress = \"10.0.3.7/24\"\ngateway = \"10.0.4.1\"\n", nil, "cannot be reached"},
		"gateway and DHCP": {"[system.network]\ngateway = \"10.0.4.1\"\n", nil, "DHCP gives"},
		"dns by name":      {"[system.network]\ndns = [\"ns.plant\"]\n", nil, "by number"},
		"vlan":             {"[system.network]\nvlan = 5000\n", nil, "no VLAN"},
		"wrong type":       {"[system.network]\nvlan = \"30\"\n", nil, "line 2, column"},
		"open wifi":        {"[system.wifi]\nssid = \"x\"\ncountry = \"DE\"\n", nil, "open wireless"},
		"wifi country":     {"[system.wifi]\nssid = \"x\"\npassword_file = \"w.txt\"\n", map[string]string{"w.txt": "12345678"}, "two capital letters"},
		"wifi password":    {"[system.wifi]\nssid = \"x\"\ncountry = \"DE\"\npassword_file = \"w.txt\"\n", map[string]string{"w.txt": "short"}, "8 to 63"},
		"no ssid":          {"[system.wifi]\ncountry = \"DE\"\n", nil, "name of the wireless network is missing"},
		"ssh private key":  {"[system.ssh]\nkeys = [\"-----BEGIN OPENSSH PRIVATE KEY-----\"]\n", nil, "no public key"},
		"ssh options":      {"[system.ssh]\nkeys = ['command=\"sh\" " + sshKey + "']\n", nil, "no public key"},
		"ssh two lines":    {"[system.ssh]\nkeys = [\"" + sshKey + "\\n" + sshKey + "\"]\n", nil, "no public key"},
		"missing file":     {"[mqtt]\nca_file = \"ca.pem\"\n", nil, "line 2, column 1: mqtt.ca_file: the file ca.pem is not on the card"},
		"folder":           {"[mqtt]\nca_file = \"../x.pem\"\n", nil, "no name of a file"},
		"own file":         {"[mqtt]\npassword_file = \"lineside.toml\"\n", nil, "no name of a file"},
		"no PEM":           {"[mqtt]\nca_file = \"ca.pem\"\n", map[string]string{"ca.pem": "\x30\x82"}, "no certificate in PEM form"},
		"key for cert":     {"[mqtt]\nca_file = \"ca.pem\"\n", map[string]string{"ca.pem": key}, "no certificate in PEM form"},
		"cert for key":     {"[mqtt]\nkey_file = \"k.pem\"\n", map[string]string{"k.pem": cert}, "no key in PEM form"},
		"locked key":       {"[mqtt]\nkey_file = \"k.pem\"\n", map[string]string{"k.pem": "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"}, "the key has a password"},
		"strange key":      {"[mqtt]\ncert_file = \"c.pem\"\nkey_file = \"k.pem\"\n", map[string]string{"c.pem": cert, "k.pem": other}, "do not belong together"},
		"empty password":   {"[mqtt]\npassword_file = \"p.txt\"\n", map[string]string{"p.txt": " \r\n"}, "it is empty"},
		"linesided's":      {"[system]\ntimezone = \"UTC\"\n[bad]\n", nil, "line 3, column 1: bad"},
	} {
		t.Run(name, func(t *testing.T) {
			card := fstest.MapFS{"lineside.toml": {Data: []byte(c.toml)}}
			for n, b := range c.files {
				card[n] = &fstest.MapFile{Data: []byte(b)}
			}
			_, err := provision.Read(card, nil, policy)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestGood(t *testing.T) {
	for name, toml := range map[string]string{
		"empty": "", "BOM": "\ufeff[board]\nid = \"b\"\n", "CRLF": "[board]\r\nid = \"b\"\r\n[system]\r\ntimezone = \"UTC\"\r\n",
		"dotted keys": "system.network.vlan = 3\nsystem.timezone = \"UTC\"\nboard.id = \"x\"\n", "IPv6": "[system.network]\naddress = \"fd00::7/64\"\ngateway = \"fd00::1\"\n",
		"system last": "[mqtt]\nurl = \"x\"\n[system.ssh]\nkeys = [\n  \"" + sshKey + "\",\n]", "inline": "system = { timezone = \"UTC\" }\n",
	} {
		p, err := provision.Read(fstest.MapFS{"lineside.toml": {Data: []byte(toml)}}, nil, policy)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if b := string(p.Files["lineside.toml"]); strings.Contains(b, "system") || strings.Contains(b, "ssh-") || strings.Contains(b, "UTC") {
			t.Errorf("%s: linesided gets the card's part:\n%s", name, b)
		}
	}
	_, err := provision.Read(fstest.MapFS{"lineside.toml.txt": {}}, nil, policy)
	if !errors.Is(err, provision.ErrNone) || !strings.Contains(err.Error(), "rename it") {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(full)
	f.Add("[system]\n[system.wifi]\nssid=\"x\"\n")
	f.Add("\ufeffmqtt.ca_file = '''ca.pem'''\nsystem.timezone=\"UTC\"\n")
	cert, key := pair(f)
	f.Fuzz(func(t *testing.T, toml string) {
		p, err := provision.Read(fstest.MapFS{
			"lineside.toml": {Data: []byte(toml)}, "ca.pem": {Data: []byte(cert)}, "b03.pem": {Data: []byte(cert)},
			"b03.key": {Data: []byte(key)}, "wifi.txt": {Data: []byte("correct horse")}, "broker password.txt": {Data: []byte("x")},
		}, nil, policy)
		if err == nil && p == nil {
			t.Error("neither plan nor error")
		}
		if err != nil && err.Error() == "" {
			t.Error("an error without words")
		}
	})
}

// TestLost: STATUS.txt says what became of a damaged data partition, also after the next start.
func TestLost(t *testing.T) {
	w := newWorld(t)
	w.write("boot/lineside.toml", "[board]\nid = \"b03\"\n")
	w.run()
	note := "root" + layout.DataNote
	w.write(note, "the data partition was made anew: models are lost\n")
	for start := range 2 {
		r := w.run()
		if s := w.read("boot/STATUS.txt"); !strings.Contains(s, "DATA: the data partition was made anew: models are lost.\r\nCONFIGURATION: GOOD") {
			t.Errorf("start %d: %+v\n%s", start, r, s)
		}
		if err := os.RemoveAll(filepath.Join(w.dir, note)); err != nil { // as a restart does
			t.Fatal(err)
		}
	}
}
