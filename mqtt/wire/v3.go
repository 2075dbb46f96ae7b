package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	paho3 "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

// conn3 speaks MQTT 3.1.1. The library's own reconnecting is off.
type conn3 struct {
	client    paho3.Client
	net       *netConn
	onMessage func(Message)
	timeout   time.Duration
	ended     chan error
	gone      chan struct{} // closed with ended: tokens of a lost connection may never be done
	endOnce   sync.Once
}

func open3(ctx context.Context, nc *netConn, o Options, password []byte) (Conn, error) {
	c := &conn3{net: nc, onMessage: o.OnMessage, timeout: o.Timeout, ended: make(chan error, 1), gone: make(chan struct{})}
	opt := paho3.NewClientOptions().
		AddBroker("tcp://broker"). // never dialled: the connection is open already
		SetCustomOpenConnectionFn(func(*url.URL, paho3.ClientOptions) (net.Conn, error) { return nc, nil }).
		SetProtocolVersion(4).
		SetClientID(o.ClientID).
		SetCleanSession(!o.Persistent).
		SetKeepAlive(o.KeepAlive).
		SetPingTimeout(o.Timeout).
		SetConnectTimeout(o.Timeout).
		SetWriteTimeout(o.Timeout).
		SetAutoReconnect(false).
		SetConnectRetry(false).
		SetAutoAckDisabled(true).
		SetOrderMatters(true). // safe, for OnMessage only enqueues; without it messages overtake each other
		SetDefaultPublishHandler(c.received).
		SetConnectionLostHandler(func(_ paho3.Client, err error) { c.end(fmt.Errorf("connection lost: %w", err)) }).
		SetUsername(o.Username).
		SetPassword(string(password))
	if w := o.Will; w != nil {
		opt.SetBinaryWill(w.Topic, w.Payload, w.QoS, w.Retain)
	}
	c.client = paho3.NewClient(opt)
	token := c.client.Connect()
	select {
	case <-token.Done():
	case <-ctx.Done():
		return nil, fmt.Errorf("the broker did not answer: %w", ctx.Err())
	}
	if err := token.Error(); err != nil {
		return nil, refused3(token.(*paho3.ConnectToken).ReturnCode(), err)
	}
	return c, nil
}

func refused3(rc byte, err error) error {
	switch rc {
	case packets.ErrRefusedBadProtocolVersion:
		return fmt.Errorf("%w (3.1.1)", ErrVersion)
	case packets.ErrRefusedIDRejected:
		return &RefusedError{What: "connect", Reason: rc, Text: textClientID}
	case packets.ErrRefusedServerUnavailable:
		return &RefusedError{What: "connect", Reason: rc, Text: "it is not available now"}
	case packets.ErrRefusedBadUsernameOrPassword, packets.ErrRefusedNotAuthorised:
		return &RefusedError{What: "connect", Reason: rc, Text: textLogin}
	}
	return fmt.Errorf("connect: %w", err)
}

func (c *conn3) Protocol() string { return Version311 }

func (c *conn3) received(_ paho3.Client, p paho3.Message) {
	m := Message{Topic: p.Topic(), Payload: p.Payload(), QoS: p.Qos(), Retained: p.Retained(), Duplicate: p.Duplicate(), Ack: func() {}}
	if m.QoS > 0 {
		m.Ack = func() {
			select {
			case <-c.gone: // the broker sends it again
			default:
				p.Ack()
			}
		}
	}
	c.onMessage(m)
}

// wait is token.Wait that ends with the connection and the caller's patience.
func (c *conn3) wait(ctx context.Context, t paho3.Token) error {
	select {
	case <-t.Done():
		if err := t.Error(); err != nil {
			return fmt.Errorf("%w: %w", ErrDown, err)
		}
		return nil
	case <-c.gone:
		return fmt.Errorf("%w: connection lost before the broker confirmed", ErrDown)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *conn3) Subscribe(ctx context.Context, subs []Subscription) error {
	filters := make(map[string]byte, len(subs))
	for _, s := range subs {
		filters[s.Filter] = s.QoS
	}
	t := c.client.SubscribeMultiple(filters, nil).(*paho3.SubscribeToken)
	err := c.wait(ctx, t)
	select {
	case <-t.Done(): // else the library may still be writing the result
	default:
		return err
	}
	for filter, qos := range t.Result() {
		if qos >= 0x80 {
			return &RefusedError{What: "subscribe to " + filter, Reason: qos, Text: textACLRead}
		}
	}
	return err
}

func (c *conn3) Unsubscribe(ctx context.Context, filters []string) error {
	return c.wait(ctx, c.client.Unsubscribe(filters...))
}

func (c *conn3) Publish(ctx context.Context, m Outgoing) error {
	return c.wait(ctx, c.client.Publish(m.Topic, m.QoS, m.Retain, m.Payload))
}

func (c *conn3) end(err error) {
	c.endOnce.Do(func() {
		close(c.gone)
		c.ended <- err
	})
}

func (c *conn3) Down() <-chan error { return c.ended }

func (c *conn3) Close() {
	c.net.proper.Store(true)
	c.client.Disconnect(uint(c.timeout / time.Millisecond)) // returns when it is done
	c.end(errors.New("closed"))
}
