package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"lineside/mqtt"
	"lineside/mqtt/homeassistant"
	"lineside/mqtt/wire"
)

// homeAssistantCommand shows a board to Home Assistant.
func homeAssistantCommand() *cobra.Command {
	var b brokerFlags
	var discovery string
	var remove bool
	cmd := &cobra.Command{
		Use:   "homeassistant",
		Short: "Show a board and its readings in Home Assistant",
		Long: `Publishes one retained discovery message, from which Home Assistant makes a
device with the board's state, its last event and its readings. The board itself
publishes nothing outside its own topics, so this command does it, under an
account that may write below the discovery prefix. Run it again when readings
are added; --remove takes the device away.`,
		Example: `  lineside homeassistant --broker mqtt://broker.plant --board b03 --username ha --password-file ha.secret
  lineside homeassistant --broker mqtt://broker.plant --board b03 --remove`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if b.board == "" {
				return fmt.Errorf("%w: --board is needed", errUsage)
			}
			if err := b.topics().Validate(); err != nil {
				return fmt.Errorf("%w: %w", errUsage, err)
			}
			return showBoard(c, &b, homeassistant.Topic(discovery, b.board), remove)
		},
	}
	b.register(cmd)
	cmd.Flags().StringVar(&discovery, "discovery-prefix", "homeassistant", "Home Assistant's discovery `prefix`")
	cmd.Flags().BoolVar(&remove, "remove", false, "take the device away again")
	return cmd
}

func showBoard(c *cobra.Command, b *brokerFlags, topic string, remove bool) error {
	ctx, cancel := context.WithTimeout(c.Context(), 10*time.Second)
	defer cancel()
	t := b.topics()
	found := make(chan wire.Message, 16)
	conn, err := b.connect(ctx, func(m wire.Message) {
		m.Ack()
		select {
		case found <- m:
		default: // more than the two it waits for
		}
	}, t.Info(), t.Health())
	if err != nil {
		return err
	}
	defer conn.Close()
	var payload []byte
	if !remove {
		var info mqtt.Info
		var health mqtt.Health
		for info.Board == "" || health.Board == "" {
			select {
			case m := <-found:
				if m.Topic == t.Info() {
					err = mqtt.Decode(m.Payload, &info)
				} else {
					err = mqtt.Decode(m.Payload, &health)
				}
				if err != nil {
					return fmt.Errorf("%s: %w", m.Topic, err)
				}
			case <-ctx.Done():
				return errors.New("board " + b.board + " has published no info or health: is it running, and is --prefix right?")
			}
		}
		if payload, err = homeassistant.Discovery(t, info, health); err != nil {
			return err
		}
	}
	if err := conn.Publish(ctx, wire.Outgoing{Topic: topic, Payload: payload, QoS: 1, Retain: true}); err != nil {
		return err
	}
	fmt.Fprintln(c.OutOrStdout(), topic)
	return nil
}
