package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"lineside/mqtt"
	"lineside/mqtt/wire"
)

// adminWait is how long a board may take to answer an operator.
const adminWait = 10 * time.Second

// startUpdate asks the board for the update on its stick.
func (b *brokerFlags) startUpdate(c *cobra.Command) error {
	if err := b.find(c.Context()); err != nil {
		return err
	}
	a, err := b.admin(c.Context(), "update")
	if err != nil {
		return err
	}
	if a.Code != mqtt.OK {
		return fmt.Errorf("%d %s: %s", a.Code, a.Status, a.Text)
	}
	fmt.Fprintf(c.OutOrStdout(), "%s: %s (topic %s)\n", b.board, a.Text, b.topics().Event())
	return nil
}

// admin sends an operator's verb and waits for the outcome.
func (b *brokerFlags) admin(ctx context.Context, verb string) (mqtt.AdminAnswer, error) {
	var a mqtt.AdminAnswer
	b.who()
	replies := make(chan wire.Message, 16)
	c, err := b.connect(ctx, func(m wire.Message) {
		m.Ack()
		select {
		case replies <- m:
		default: // somebody else's, in numbers
		}
	}, b.topics().AdminReply(b.client))
	if err != nil {
		return a, err
	}
	defer c.Close()
	id := newID()
	payload, err := json.Marshal(mqtt.AdminAsk{ID: id})
	if err != nil {
		return a, err
	}
	if err := c.Publish(ctx, wire.Outgoing{Topic: b.topics().Admin(b.client, verb), Payload: payload, QoS: 1, Expiry: adminWait}); err != nil {
		return a, err
	}
	late := time.NewTimer(adminWait)
	defer late.Stop()
	for {
		select {
		case <-ctx.Done():
			return a, ctx.Err()
		case err := <-c.Down():
			return a, fmt.Errorf("the broker went away: %w", err)
		case <-late.C:
			return a, fmt.Errorf("%s did not answer within %s: do mqtt.operators of the board and the broker's access list name %q?", b.board, adminWait, b.client)
		case m := <-replies:
			if json.Unmarshal(m.Payload, &a) == nil && a.ID == id {
				return a, nil
			}
		}
	}
}
