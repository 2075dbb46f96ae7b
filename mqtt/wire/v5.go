package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/session/state"
)

// Reason codes of MQTT 5 that are decided by.
const (
	reasonBadVersion = 0x84
	reasonTakenOver  = 0x8e
)

// conn5 speaks MQTT 5.
type conn5 struct {
	client    *paho.Client
	net       *netConn
	session   *state.State
	onMessage func(Message)
	ended     chan error
	endOnce   sync.Once
	maxServer uint32 // largest packet the broker takes; 0 means any
}

// manualAck keeps paho from acknowledging when a handler returns: Message.Ack
// does it, each message on its own. paho's own manual mode would hold every
// acknowledgement behind the slowest ask, and so the window behind one answer.
type manualAck struct{ *state.State }

func (manualAck) Ack(*packets.Publish) error { return nil }

func open5(ctx context.Context, nc *netConn, o Options, password []byte) (Conn, error) {
	c := &conn5{net: nc, session: state.NewInMemory(), onMessage: o.OnMessage, ended: make(chan error, 1)}
	c.client = paho.NewClient(paho.ClientConfig{
		ClientID:           o.ClientID,
		Conn:               packets.NewThreadSafeConn(nc),
		Session:            manualAck{c.session},
		PacketTimeout:      time.Hour, // none: every call brings a context that ends
		OnPublishReceived:  []func(paho.PublishReceived) (bool, error){c.received},
		OnServerDisconnect: func(d *paho.Disconnect) { c.end(disconnected(d)) },
		OnClientError:      func(err error) { c.end(fmt.Errorf("connection lost: %w", err)) },
	})
	ack, err := c.client.Connect(ctx, connect5(o, password))
	switch {
	case err == nil:
		if p := ack.Properties; p != nil && p.MaximumPacketSize != nil {
			c.maxServer = *p.MaximumPacketSize
		}
		return c, nil
	case ack == nil && ctx.Err() == nil:
		// A broker that knows only 3.1.1 hangs up, or sends an acknowledgement
		// that MQTT 5 cannot read.
		return nil, fmt.Errorf("%w (5): %w", ErrVersion, err)
	case ack == nil:
		return nil, fmt.Errorf("the broker did not answer: %w", err)
	case ack.ReasonCode == reasonBadVersion || ack.ReasonCode == 0x01:
		return nil, fmt.Errorf("%w (5)", ErrVersion)
	}
	return nil, &RefusedError{What: "connect", Reason: ack.ReasonCode, Text: connackText(ack)}
}

func connect5(o Options, password []byte) *paho.Connect {
	expiry, window, maxPacket := uint32(0), uint16(o.Window), uint32(o.MaxPacket)
	if o.Persistent {
		expiry = seconds(o.SessionExpiry)
	}
	p := &paho.Connect{
		ClientID:     o.ClientID,
		CleanStart:   !o.Persistent,
		KeepAlive:    uint16(o.KeepAlive / time.Second),
		Username:     o.Username,
		UsernameFlag: o.Username != "",
		Password:     password,
		PasswordFlag: len(password) > 0,
		Properties: &paho.ConnectProperties{
			SessionExpiryInterval: &expiry,
			ReceiveMaximum:        &window,
			MaximumPacketSize:     &maxPacket,
			RequestProblemInfo:    true, // else some brokers strip properties from publishes, too
		},
	}
	if w := o.Will; w != nil {
		p.WillMessage = &paho.WillMessage{Topic: w.Topic, Payload: w.Payload, QoS: w.QoS, Retain: w.Retain}
		format := byte(1)
		p.WillProperties = &paho.WillProperties{PayloadFormat: &format, ContentType: contentType(*w)}
	}
	return p
}

func (c *conn5) Protocol() string { return Version5 }

func (c *conn5) received(r paho.PublishReceived) (bool, error) {
	p := r.Packet
	m := Message{Topic: p.Topic, Payload: p.Payload, QoS: p.QoS, Retained: p.Retain, Duplicate: p.Duplicate(), Ack: func() {}}
	if q := p.Properties; q != nil {
		m.ResponseTopic, m.CorrelationData, m.ContentType = q.ResponseTopic, q.CorrelationData, q.ContentType
		if q.MessageExpiry != nil {
			m.Expiry = max(time.Duration(*q.MessageExpiry)*time.Second, 1) // 0 s left is not "none"
		}
	}
	if p.QoS > 0 {
		ack := &packets.Publish{QoS: p.QoS, PacketID: p.PacketID}
		m.Ack = sync.OnceFunc(func() { _ = c.session.Ack(ack) }) // after the connection's end it goes nowhere; the broker sends again
	}
	c.onMessage(m)
	return true, nil
}

func (c *conn5) Subscribe(ctx context.Context, subs []Subscription) error {
	s := &paho.Subscribe{}
	for _, sub := range subs {
		s.Subscriptions = append(s.Subscriptions, paho.SubscribeOptions{Topic: sub.Filter, QoS: sub.QoS})
	}
	ack, err := c.client.Subscribe(ctx, s)
	if ack != nil {
		for i, reason := range ack.Reasons {
			if reason >= 0x80 && i < len(subs) {
				return &RefusedError{What: "subscribe to " + subs[i].Filter, Reason: reason, Text: textACLRead}
			}
		}
	}
	return c.lost(err)
}

func (c *conn5) Unsubscribe(ctx context.Context, filters []string) error {
	_, err := c.client.Unsubscribe(ctx, &paho.Unsubscribe{Topics: filters})
	return c.lost(err)
}

func (c *conn5) Publish(ctx context.Context, m Outgoing) error {
	if size := len(m.Topic) + len(m.Payload) + len(m.CorrelationData) + 64; c.maxServer > 0 && uint32(size) > c.maxServer {
		return fmt.Errorf("publish %d bytes: %w (%d bytes)", len(m.Payload), ErrPacketSize, c.maxServer)
	}
	format := byte(1) // UTF-8 text
	p := &paho.Publish{
		Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, Retain: m.Retain,
		Properties: &paho.PublishProperties{ContentType: contentType(m), PayloadFormat: &format, CorrelationData: m.CorrelationData, ResponseTopic: m.ResponseTopic},
	}
	if m.Expiry > 0 {
		expiry := seconds(m.Expiry)
		p.Properties.MessageExpiry = &expiry
	}
	ack, err := c.client.Publish(ctx, p)
	if ack != nil && ack.ReasonCode >= 0x80 {
		return &RefusedError{What: "publish to " + m.Topic, Reason: ack.ReasonCode, Text: textACLWrite}
	}
	return c.lost(err)
}

// lost makes the library's many words for a lost connection one.
func (c *conn5) lost(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, paho.ErrInvalidArguments) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDown, err)
}

func (c *conn5) end(err error) {
	c.endOnce.Do(func() {
		_ = c.session.Close() // releases who waits for an acknowledgement
		c.ended <- err
	})
}

func (c *conn5) Down() <-chan error { return c.ended }

func (c *conn5) Close() {
	c.net.proper.Store(true)
	_ = c.client.Disconnect(&paho.Disconnect{ReasonCode: 0}) // it may be gone already
	c.end(net.ErrClosed)
}

func disconnected(d *paho.Disconnect) error {
	if d.ReasonCode == reasonTakenOver {
		return ErrTakenOver
	}
	text := ""
	if d.Properties != nil {
		text = d.Properties.ReasonString
	}
	return &RefusedError{What: "keep the connection", Reason: d.ReasonCode, Text: text}
}

func connackText(ack *paho.Connack) string {
	switch ack.ReasonCode {
	case 0x86, 0x87:
		return textLogin
	case 0x85:
		return textClientID
	}
	if ack.Properties != nil && ack.Properties.ReasonString != "" {
		return ack.Properties.ReasonString
	}
	return "see the broker's log"
}
