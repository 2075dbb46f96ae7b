package mqtt_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lineside/mqtt/mqtttest"
	"lineside/mqtt/wire"
)

// startDocs starts Mosquitto with a configuration of docs/mosquitto as it
// stands there, except for folders, the port and the user.
func startDocs(t *testing.T, conf string, files map[string]string) *mqtttest.Mosquitto {
	t.Helper()
	m := mqtttest.NewMosquitto(t)
	text, err := os.ReadFile(filepath.Join("../docs/mosquitto", conf))
	if err != nil {
		t.Fatal(err)
	}
	acl, err := os.ReadFile("../docs/mosquitto/acl")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(m.Dir, "acl"), acl, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, from := range files {
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(m.Dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	host, port, _ := strings.Cut(m.Addr, ":")
	s := strings.NewReplacer("/etc/mosquitto/lineside/", m.Dir+"/", "/var/lib/mosquitto/", m.Dir+"/", "listener 8883", "listener "+port+" "+host).Replace(string(text))
	m.ConfigureWhole(s)
	m.Start()
	return m
}

// TestDocsMosquitto: the configurations that the documentation offers keep
// devices apart.
func TestDocsMosquitto(t *testing.T) {
	for _, version := range []string{wire.Version5, wire.Version311} {
		t.Run("mtls/"+version, func(t *testing.T) {
			t.Parallel()
			ca := mqtttest.NewAuthority(t)
			server := ca.IssueNow("broker")
			m := startDocs(t, "mosquitto-mtls.conf", map[string]string{"ca.crt": ca.CA, "broker.crt": server.CertFile, "broker.key": server.KeyFile})
			mqtttest.AccessSuite(t, version, mqtttest.Guarded{URL: "mqtts://" + m.Addr, Login: mqtttest.LoginByCertificate(ca)})
		})
		t.Run("password/"+version, func(t *testing.T) {
			t.Parallel()
			ca := mqtttest.NewAuthority(t)
			server := ca.IssueNow("broker")
			login, passwords := mqtttest.LoginByPassword(t)
			m := startDocs(t, "mosquitto-password.conf", map[string]string{"passwd": passwords, "broker.crt": server.CertFile, "broker.key": server.KeyFile})
			mqtttest.AccessSuite(t, version, mqtttest.Guarded{URL: "mqtts://" + m.Addr, Login: func(user string, o *wire.Options) {
				login(user, o)
				o.TLS.CAFile = ca.CA
			}})
		})
	}
}
