// Package broker is the MQTT broker inside the appliance, for plants that have
// none and for the demo: mochi with every limit set, users and access lists
// from the same files that Mosquitto reads, and TLS.
//
// It keeps nothing on disk: asks that wait when the power goes are asked again
// by their devices. Plants that cannot have that run Mosquitto
// (docs/mosquitto/). It never lets anybody in without a name, except over
// loopback where the demo says so.
package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync/atomic"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
)

// Config says who may connect and how. A broker without AnonymousLoopback needs
// a PasswordFile or a ClientCAFile, and an ACLFile.
type Config struct {
	Listen       string // host:port
	PasswordFile string // made with mosquitto_passwd
	ACLFile      string // Mosquitto's format: user, topic, pattern with %u and %c
	CertFile     string // PEM; TLS is on where it is set
	KeyFile      string
	ClientCAFile string // PEM; clients must show a certificate of these authorities, and its common name is their username
	// AnonymousLoopback lets everybody do everything, for the demo. Listen must
	// be a loopback address.
	AnonymousLoopback bool
	Limits            Limits
	Log               *slog.Logger // default: none
}

// Limits bounds what clients may cost. Zero values mean the defaults.
type Limits struct {
	Clients       int // connected at once; default 200
	PacketBytes   int // largest packet; default 128 KiB
	Inflight      int // messages kept for one client that is away or slow; default 256
	WritesPending int // packets that wait to be written to one client; default 1024
	ReceiveMax    int // unacknowledged messages from one client; default 64
	SessionHours  int // how long a client that is away is remembered; default 24
}

func (l Limits) defaults() Limits {
	for _, f := range []struct {
		v *int
		d int
	}{{&l.Clients, 200}, {&l.PacketBytes, 128 << 10}, {&l.Inflight, 256}, {&l.WritesPending, 1024}, {&l.ReceiveMax, 64}, {&l.SessionHours, 24}} {
		if *f.v <= 0 {
			*f.v = f.d
		}
	}
	return l
}

// Broker is a running broker, or one about to run.
type Broker struct {
	cfg    Config
	server *mochi.Server
	addr   string
	access atomic.Pointer[access]
	tls    atomic.Pointer[tls.Config]
}

// New reads the files and opens the listener. Nobody is served before Run.
func New(cfg Config) (*Broker, error) {
	b := &Broker{cfg: cfg}
	if b.cfg.Log == nil {
		b.cfg.Log = slog.New(slog.DiscardHandler)
	}
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	if err := b.Reload(); err != nil {
		return nil, err
	}
	l := cfg.Limits.defaults()
	caps := mochi.NewDefaultServerCapabilities()
	caps.MaximumClients = int64(l.Clients)
	caps.MaximumPacketSize = uint32(l.PacketBytes)
	caps.MaximumInflight = uint16(min(l.Inflight, 65535))
	caps.MaximumClientWritesPending = int32(l.WritesPending)
	caps.ReceiveMaximum = uint16(min(l.ReceiveMax, 65535))
	caps.MaximumSessionExpiryInterval = uint32(l.SessionHours * 3600)
	caps.MaximumMessageExpiryInterval = int64(l.SessionHours * 3600)
	caps.TopicAliasMaximum = 16
	b.server = mochi.New(&mochi.Options{Capabilities: caps, Logger: slog.New(slog.DiscardHandler)})
	if err := b.server.AddHook(&guard{broker: b}, nil); err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	lc := listeners.Config{ID: "plant", Type: listeners.TypeTCP, Address: cfg.Listen}
	if cfg.CertFile != "" {
		lc.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return b.tls.Load(), nil }}
	}
	tcp := listeners.NewTCP(lc)
	if err := b.server.AddListener(tcp); err != nil {
		return nil, fmt.Errorf("embedded broker: listen on %s: %w", cfg.Listen, err)
	}
	b.addr = tcp.Address()
	return b, nil
}

func (c Config) check() error {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("listen %q: want host:port: %w", c.Listen, err)
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		return errors.New("a certificate and its key belong together: give both or neither")
	}
	if c.AnonymousLoopback {
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return fmt.Errorf("anonymous access is for loopback only, not for %q: give users and an access list", c.Listen)
		}
		return nil
	}
	switch {
	case c.PasswordFile == "" && c.ClientCAFile == "":
		return errors.New("nobody could log in: give a password file (mosquitto_passwd makes one) or the authority of client certificates")
	case c.ACLFile == "":
		return errors.New("there is no access list: give one, docs/mosquitto/ has an example")
	case c.ClientCAFile != "" && c.CertFile == "":
		return errors.New("client certificates need TLS: give the broker a certificate and its key")
	}
	return nil
}

// Reload reads users, access list and certificates again. Where one of them is
// bad, everything stays as it was. Clients that are connected stay connected.
func (b *Broker) Reload() error {
	a := &access{anonymous: b.cfg.AnonymousLoopback}
	if !a.anonymous {
		var err error
		if a.users, err = readUsers(b.cfg.PasswordFile); err != nil {
			return fmt.Errorf("embedded broker: %w", err)
		}
		if a.acl, err = readACL(b.cfg.ACLFile); err != nil {
			return fmt.Errorf("embedded broker: %w", err)
		}
	}
	if b.cfg.CertFile != "" {
		t, err := b.readTLS()
		if err != nil {
			return fmt.Errorf("embedded broker: %w", err)
		}
		b.tls.Store(t)
	}
	b.access.Store(a)
	return nil
}

func (b *Broker) readTLS() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(b.cfg.CertFile, b.cfg.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", b.cfg.CertFile, b.cfg.KeyFile, err)
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if b.cfg.ClientCAFile != "" {
		pem, err := os.ReadFile(b.cfg.ClientCAFile)
		if err != nil {
			return nil, fmt.Errorf("authority of client certificates: %w", err)
		}
		t.ClientCAs = x509.NewCertPool()
		if !t.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("authority of client certificates: %s holds no PEM certificate", b.cfg.ClientCAFile)
		}
		t.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return t, nil
}

// Addr is where the broker listens, with the port that the system chose for 0.
func (b *Broker) Addr() string { return b.addr }

// URL is the broker's address for a board on the same machine.
func (b *Broker) URL() string {
	if b.cfg.CertFile != "" {
		return "mqtts://" + b.addr
	}
	return "mqtt://" + b.addr
}

// Run serves until ctx ends, then disconnects everybody and returns nil.
func (b *Broker) Run(ctx context.Context) error {
	if err := b.server.Serve(); err != nil {
		return fmt.Errorf("embedded broker: %w", err)
	}
	b.cfg.Log.Info("embedded broker serves", "addr", b.addr, "tls", b.cfg.CertFile != "", "anonymous", b.cfg.AnonymousLoopback)
	<-ctx.Done()
	if err := b.server.Close(); err != nil {
		return fmt.Errorf("embedded broker: %w", err)
	}
	return nil
}
