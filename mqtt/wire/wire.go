// Package wire is one connection to an MQTT broker, from dialling to its end,
// on MQTT 3.1.1 and 5 behind one interface, with TLS and its many ways to fail
// said in sentences.
//
// It never reconnects, never retries, and knows no topic: what is said over a
// connection, and where, is for package mqtt (a board) and mqtt/client (a device).
package wire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Versions that Options.Version may name.
const (
	VersionAuto = "auto"
	Version311  = "3.1.1"
	Version5    = "5"
)

// Errors of a connection, for callers that decide by them.
var (
	// ErrDown: the connection went away before the broker took the message.
	ErrDown = errors.New("not connected to the broker")
	// ErrRefused: the broker refused. See RefusedError.
	ErrRefused = errors.New("the broker refused")
	// ErrPacketSize: the message is larger than the broker takes.
	ErrPacketSize = errors.New("larger than the broker takes")
	// ErrVersion: the broker does not speak this version of MQTT.
	ErrVersion = errors.New("the broker does not speak this version of MQTT")
	// ErrTakenOver: another client connected with this one's id.
	ErrTakenOver = errors.New("another client connected with the same client id: two boards have the same id, or a tool uses a board's")
)

// RefusedError carries the broker's reason code (MQTT 5, 2.4) or 3.1.1 return code.
type RefusedError struct {
	What   string // what it refused: "connect", "publish to …", "subscribe to …"
	Reason byte
	Text   string // what to do about it, or what the broker said
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the broker refused to %s (0x%02x): %s", e.What, e.Reason, e.Text)
}

func (e *RefusedError) Unwrap() error { return ErrRefused }

// Message is one message from the broker.
type Message struct {
	Topic     string
	Payload   []byte
	QoS       byte
	Retained  bool
	Duplicate bool // the broker sent it before; whether it was seen then is unknown

	// MQTT 5 only; zero on 3.1.1.
	Expiry          time.Duration // what is left of the sender's expiry; 0 means none was given
	ResponseTopic   string
	CorrelationData []byte
	ContentType     string

	// Ack tells the broker that the message is done with. Until then the
	// broker keeps it and sends it again after a reconnect, so call it when
	// the answer is safe. It is never nil, does nothing for QoS 0 and after
	// its connection ended, and takes no longer than one write. Messages may
	// be acknowledged in any order.
	Ack func()
}

// Outgoing is one message to the broker.
type Outgoing struct {
	Topic   string
	Payload []byte
	QoS     byte // 0 or 1
	Retain  bool

	// MQTT 5 only; left out on 3.1.1.
	Expiry          time.Duration // whole seconds are sent, rounded up
	ResponseTopic   string
	CorrelationData []byte
	ContentType     string // default application/json
}

// Subscription is one filter to receive.
type Subscription struct {
	Filter string
	QoS    byte
}

// Conn is one connection. Its methods may be called from several goroutines.
type Conn interface {
	// Protocol is Version311 or Version5.
	Protocol() string
	// Subscribe returns when the broker has granted all filters.
	Subscribe(ctx context.Context, subs []Subscription) error
	// Unsubscribe returns when the broker has dropped the filters.
	Unsubscribe(ctx context.Context, filters []string) error
	// Publish returns when the broker has the message (QoS 1) or it is written (QoS 0).
	Publish(ctx context.Context, m Outgoing) error
	// Down gives the reason, once, when the connection has ended.
	Down() <-chan error
	// Close ends the connection properly, so that no will is sent.
	Close()
}

// Options says how to connect. URL, ClientID and OnMessage are needed.
type Options struct {
	URL          string // mqtt://host:1883 or mqtts://host:8883
	Version      string // auto (default): 5, and 3.1.1 where the broker does not speak 5
	ClientID     string
	Username     string
	PasswordFile string // its first line; read at every Dial, as are the files of TLS
	TLS          TLS

	Persistent    bool          // the broker keeps the session
	SessionExpiry time.Duration // for so long; MQTT 5 only, a 3.1.1 broker has its own setting
	Window        int           // most unacknowledged messages in flight to us; MQTT 5 only, likewise; default 64
	MaxPacket     int           // largest packet to take, in bytes; MQTT 5 only, likewise; default 1 MiB and a bit
	KeepAlive     time.Duration // default 30 s
	Timeout       time.Duration // of connecting and of one write; default 10 s
	Will          *Outgoing

	OnMessage func(Message) // called in order; must not block
	// ClockUnsynced: certificates' dates are not held against a broker.
	ClockUnsynced bool
	Log           *slog.Logger // default: none
}

// Check says what is wrong with the options, without dialling.
func (o Options) Check() error {
	if _, err := parseURL(o.URL); err != nil {
		return err
	}
	switch o.Version {
	case "", VersionAuto, Version311, Version5:
		return nil
	}
	return fmt.Errorf("version %q: want auto, 3.1.1 or 5", o.Version)
}

func (o Options) defaults() Options {
	set := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&o.KeepAlive, 30*time.Second)
	set(&o.Timeout, 10*time.Second)
	set(&o.SessionExpiry, 24*time.Hour)
	if o.Window <= 0 || o.Window > 65535 {
		o.Window = 64
	}
	if o.MaxPacket <= 0 {
		o.MaxPacket = 1<<20 + 64<<10
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Dial connects and returns when the broker has accepted. Messages of a kept
// session may arrive at OnMessage before it returns.
func Dial(ctx context.Context, o Options) (Conn, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	o = o.defaults()
	password, err := readPassword(o.PasswordFile)
	if err != nil {
		return nil, err
	}
	versions := []string{o.Version}
	if o.Version == "" || o.Version == VersionAuto {
		versions = []string{Version5, Version311}
	}
	var errs error
	for _, v := range versions {
		c, err := open(ctx, v, o, password)
		if err == nil {
			return c, nil
		}
		errs = errors.Join(errs, err)
		if !errors.Is(err, ErrVersion) {
			break
		}
	}
	return nil, fmt.Errorf("connect to %s as %s: %w", Redact(o.URL), o.ClientID, errs)
}

func open(ctx context.Context, version string, o Options, password []byte) (Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	raw, err := dial(ctx, o)
	if err != nil {
		return nil, err
	}
	nc := &netConn{Conn: raw, timeout: o.Timeout}
	var c Conn
	if version == Version311 {
		c, err = open3(ctx, nc, o, password)
	} else {
		c, err = open5(ctx, nc, o, password)
	}
	if err != nil {
		_ = nc.Close()
		return nil, err
	}
	return c, nil
}

// contentType is what a payload is unless the sender says otherwise.
func contentType(m Outgoing) string {
	if m.ContentType != "" {
		return m.ContentType
	}
	return "application/json"
}

// seconds rounds up, so that nothing becomes "no expiry".
func seconds(d time.Duration) uint32 {
	return uint32((d + time.Second - 1) / time.Second)
}

const (
	textACLRead  = "the broker's access list must let this user read it"
	textACLWrite = "the broker's access list must let this user write it"
	textLogin    = "check the username, the password file or the client certificate"
	textClientID = "the broker does not take this client id"
)
