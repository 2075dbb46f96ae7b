package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lineside/mqtt"
	"lineside/mqtt/wire"
)

// brokerFlags say how a command reaches a board.
type brokerFlags struct {
	url, version, username, passwordFile string
	tls                                  wire.TLS
	prefix, board, client                string
}

func (b *brokerFlags) register(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&b.url, "broker", "mqtt://127.0.0.1:1883", "the broker: mqtt://host:port or mqtts://host:port")
	f.StringVar(&b.version, "mqtt", "auto", "protocol: auto, 5 or 3.1.1")
	f.StringVar(&b.username, "username", "", "name at the broker")
	f.StringVar(&b.passwordFile, "password-file", "", "file with the password on its first line")
	f.StringVar(&b.tls.CAFile, "ca", "", "certificate of the authority that signed the broker's")
	f.StringVar(&b.tls.CertFile, "cert", "", "this client's certificate")
	f.StringVar(&b.tls.KeyFile, "key", "", "this client's key")
	f.StringVar(&b.prefix, "prefix", "", "levels in front of every topic")
	f.StringVar(&b.board, "board", "", "the board's id (default: the only one there is)")
	f.StringVar(&b.client, "client", "", "who asks, as the broker's access list knows it (default: the username, or lineside-tool)")
}

// who fills in the client's name.
func (b *brokerFlags) who() {
	if b.client == "" {
		b.client = b.username
	}
	if b.client == "" {
		b.client = "lineside-tool"
	}
}

// connect dials without a will and subscribes. The client's id has a number of its own,
// so that two calls at once do not throw each other out.
func (b *brokerFlags) connect(ctx context.Context, onMessage func(wire.Message), filters ...string) (wire.Conn, error) {
	b.who()
	if !mqtt.ValidID(b.client) {
		return nil, fmt.Errorf("%w: --client %q is no id: 1 to 64 of A-Z a-z 0-9 _ . -", errUsage, b.client)
	}
	c, err := wire.Dial(ctx, wire.Options{
		URL: b.url, Version: b.version, ClientID: b.client + "-" + strconv.Itoa(os.Getpid()),
		Username: b.username, PasswordFile: b.passwordFile, TLS: b.tls, Timeout: 5 * time.Second, OnMessage: onMessage,
	})
	if err != nil {
		return nil, err
	}
	var subs []wire.Subscription
	for _, f := range filters {
		subs = append(subs, wire.Subscription{Filter: f, QoS: 1})
	}
	if err := c.Subscribe(ctx, subs); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// topics of the board.
func (b *brokerFlags) topics() mqtt.Topics { return mqtt.Topics{Prefix: b.prefix, Board: b.board} }

// quietFor is how long to wait for another retained status.
const quietFor = 300 * time.Millisecond

// find fills in the board's id where there is only one that is not offline.
func (b *brokerFlags) find(ctx context.Context) error {
	if b.board != "" {
		if !mqtt.ValidBoard(b.board) {
			return fmt.Errorf("%w: --board %q is no board's id", errUsage, b.board)
		}
		return nil
	}
	all, err := b.boards(ctx)
	if err != nil {
		return err
	}
	var up []string
	for id, s := range all {
		if s.State != mqtt.StateOffline {
			up = append(up, id)
		}
	}
	switch len(up) {
	case 1:
		b.board = up[0]
		return nil
	case 0:
		return fmt.Errorf("no board is online at %s: is linesided running, and is --prefix right? Name one with --board", b.url)
	}
	return fmt.Errorf("%w: several boards are online, name one with --board: %s", errUsage, strings.Join(up, ", "))
}

// boards reads the status of every board.
func (b *brokerFlags) boards(ctx context.Context) (map[string]mqtt.Status, error) {
	found := make(chan wire.Message, 64)
	t := mqtt.Topics{Prefix: b.prefix, Board: "any"}
	c, err := b.connect(ctx, func(m wire.Message) {
		m.Ack()
		select {
		case found <- m:
		default:
		}
	}, t.Root()+"/+/status")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	all := map[string]mqtt.Status{}
	wait := time.NewTimer(2 * quietFor)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case err := <-c.Down():
			return nil, fmt.Errorf("the broker went away: %w", errors.Join(err, wire.ErrDown))
		case <-wait.C:
			return all, nil
		case m := <-found:
			a, err := t.Parse(m.Topic)
			var s mqtt.Status
			if err == nil && json.Unmarshal(m.Payload, &s) == nil {
				all[a.Board] = s
			}
			wait.Reset(quietFor)
		}
	}
}
