package broker_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lineside/mqtt/broker"
	"lineside/mqtt/mqtttest"
	"lineside/mqtt/wire"
)

func start(t *testing.T, cfg broker.Config) *broker.Broker {
	t.Helper()
	b, err := broker.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return b
}

// TestSuite: a board does on the embedded broker what it does on Mosquitto.
func TestSuite(t *testing.T) {
	for _, version := range []string{wire.Version5, wire.Version311} {
		t.Run(version, func(t *testing.T) {
			mqtttest.Suite(t, version, func(t *testing.T) mqtttest.Broker {
				b := start(t, broker.Config{Listen: "127.0.0.1:0", AnonymousLoopback: true, Limits: broker.Limits{PacketBytes: 2 << 20}})
				return mqtttest.Broker{URL: b.URL()}
			})
		})
	}
}

const aclFile = "../../docs/mosquitto/acl"

// TestAccess holds the embedded broker to the same access list as Mosquitto.
func TestAccess(t *testing.T) {
	for _, version := range []string{wire.Version5, wire.Version311} {
		t.Run("certificates/"+version, func(t *testing.T) {
			ca := mqtttest.NewAuthority(t)
			server := ca.IssueNow("broker")
			b := start(t, broker.Config{Listen: "127.0.0.1:0", ACLFile: aclFile, CertFile: server.CertFile, KeyFile: server.KeyFile, ClientCAFile: ca.CA})
			mqtttest.AccessSuite(t, version, mqtttest.Guarded{URL: b.URL(), Login: mqtttest.LoginByCertificate(ca)})
		})
		t.Run("passwords/"+version, func(t *testing.T) {
			login, file := mqtttest.LoginByPassword(t)
			b := start(t, broker.Config{Listen: "127.0.0.1:0", ACLFile: aclFile, PasswordFile: file})
			mqtttest.AccessSuite(t, version, mqtttest.Guarded{URL: b.URL(), Login: login})
		})
	}
}

func TestConfigIsRefused(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		f := filepath.Join(dir, name)
		if err := os.WriteFile(f, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return f
	}
	passwd := write("passwd", "u:$7$101$IM1Jx+QvvghM2QDM$SjPkYGqK1aK57FM2pyq8zPNwFzEDg49CFKHHENWIaE01zUSRKse3Xf+iKy3ZCdA225F2jgWWvnUn5YsWSm891w==\n")
	for _, c := range []struct {
		name string
		cfg  broker.Config
		says string
	}{
		{"anonymous for all", broker.Config{Listen: "0.0.0.0:0", AnonymousLoopback: true}, "loopback only"},
		{"anonymous on every address", broker.Config{Listen: ":0", AnonymousLoopback: true}, "loopback only"},
		{"nobody", broker.Config{Listen: "127.0.0.1:0"}, "nobody could log in"},
		{"no list", broker.Config{Listen: "127.0.0.1:0", PasswordFile: passwd}, "no access list"},
		{"no such list", broker.Config{Listen: "127.0.0.1:0", PasswordFile: passwd, ACLFile: dir + "/none"}, "access list"},
		{"bad list", broker.Config{Listen: "127.0.0.1:0", PasswordFile: passwd, ACLFile: write("acl1", "user a\ntopik x\n")}, "line 2"},
		{"topic for nobody", broker.Config{Listen: "127.0.0.1:0", PasswordFile: passwd, ACLFile: write("acl2", "topic read x\n")}, "line 1"},
		{"clear password", broker.Config{Listen: "127.0.0.1:0", PasswordFile: write("clear", "u:secret\n"), ACLFile: aclFile}, "line 1"},
		{"certificates without TLS", broker.Config{Listen: "127.0.0.1:0", ClientCAFile: "x", ACLFile: aclFile}, "need TLS"},
		{"no port", broker.Config{Listen: "127.0.0.1"}, "host:port"},
	} {
		if _, err := broker.New(c.cfg); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q in it", c.name, err, c.says)
		}
	}
}

// TestReload: new users count at once, a bad file changes nothing.
func TestReload(t *testing.T) {
	if _, err := exec.LookPath("mosquitto_passwd"); err != nil {
		t.Skip("mosquitto_passwd is not installed: apt-get install mosquitto")
	}
	login, file := mqtttest.LoginByPassword(t)
	b := start(t, broker.Config{Listen: "127.0.0.1:0", ACLFile: aclFile, PasswordFile: file})
	dial := func(user string) error {
		o := wire.Options{URL: b.URL(), ClientID: user, OnMessage: func(wire.Message) {}}
		login(user, &o)
		c, err := wire.Dial(t.Context(), o)
		if err == nil {
			c.Close()
		}
		return err
	}
	if err := dial("plc1"); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.Reload(); err == nil {
		t.Error("a broken password file was taken")
	}
	if err := dial("plc1"); err != nil {
		t.Errorf("after a broken file: %v", err)
	}
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(good), "plc1:", "plc9:")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.Reload(); err != nil {
		t.Error(err)
	}
	if err := dial("plc1"); err == nil {
		t.Error("a removed user got in")
	}
}

// TestClientIDs: nobody throws a board out by taking its client id.
func TestClientIDs(t *testing.T) {
	login, file := mqtttest.LoginByPassword(t)
	b := start(t, broker.Config{Listen: "127.0.0.1:0", ACLFile: aclFile, PasswordFile: file})
	for id, ok := range map[string]bool{"plc2": true, "plc2-work": true, "anything": true, "b03": false, "b03-work": false, "plc1": false} {
		o := wire.Options{URL: b.URL(), ClientID: id, OnMessage: func(wire.Message) {}}
		login("plc2", &o)
		c, err := wire.Dial(t.Context(), o)
		if (err == nil) != ok {
			t.Errorf("plc2 as client id %s: %v", id, err)
		}
		if err == nil {
			c.Close()
		}
	}
}
