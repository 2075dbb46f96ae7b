package mqtt_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"lineside/mqtt"
	"lineside/mqtt/mqtttest"
	"lineside/mqtt/wire"
)

func TestMosquitto(t *testing.T) {
	for _, version := range []string{wire.Version5, wire.Version311, wire.VersionAuto} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			mqtttest.Suite(t, version, func(t *testing.T) mqtttest.Broker {
				return mqtttest.Broker{URL: mqtttest.StartMosquitto(t).URL()}
			})
		})
	}
}

// TestOldBroker: auto comes to 3.1.1 where a broker does not speak 5, whether
// it says so or hangs up.
func TestOldBroker(t *testing.T) {
	for name, hangUp := range map[string]bool{"refuses": false, "hangs up": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mqtttest.Suite(t, wire.VersionAuto, func(t *testing.T) mqtttest.Broker {
				return mqtttest.Broker{URL: mqtttest.StartOld(t, mqtttest.StartMosquitto(t).Addr, hangUp), Protocol: wire.Version311}
			})
		})
	}
}

// TestBrokerRestarts kills the broker again and again while a device asks; with
// its persistence on, every ask is answered and the board's status is back.
func TestBrokerRestarts(t *testing.T) {
	for _, version := range []string{wire.Version5, wire.Version311} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			m := mqtttest.StartMosquitto(t)
			b := mqtttest.StartBoard(t, m.URL(), version, "b03", nil)
			b.WaitUp(t)
			o := mqtttest.Observe(t, m.URL(), version, "acme/l2", "plc1", []string{b.Topics.Status()}, nil)
			served := make(chan struct{})
			serving, stop := context.WithCancel(ctx)
			go func() {
				defer close(served)
				serve(serving, b)
			}()
			var ids []string
			for round := range 4 {
				for i := range 10 {
					id := fmt.Sprintf("k%d-%d", round, i)
					ids = append(ids, id)
					o.Ask(b.Topics.AskText("plc1"), `{"id":"`+id+`","prompt":"x"}`)
				}
				if round < 3 {
					m.Kill()
					m.Start()
				}
			}
			// Mosquitto acknowledges before it has written, so kill -9 may lose an
			// ask; a device that hears nothing sends the same ask again.
			patience, done := context.WithTimeout(ctx, 5*time.Second)
			defer done()
			for _, id := range ids {
				if _, err := o.Answer(patience, id); err != nil {
					o.Ask(b.Topics.AskText("plc1"), `{"id":"`+id+`","prompt":"x"}`)
				}
				if _, err := o.Answer(ctx, id); err != nil {
					t.Error(err)
				}
			}
			stop()
			<-served
			y := o.Tally(ids)
			t.Log(y)
			if y.Answered != len(ids) || len(y.Conflicts) > 0 {
				t.Error(y)
			}
			last, err := o.Message(ctx, b.Topics.Status(), func(m wire.Message) bool { return strings.Contains(string(m.Payload), mqtt.StateReady) })
			if err != nil {
				t.Errorf("status after the restarts: %s %v", last.Payload, err)
			}
		})
	}
}

// serve answers every ask, as often as it takes.
func serve(ctx context.Context, b *mqtttest.Board) {
	for {
		select {
		case <-ctx.Done():
			return
		case g := <-b.Got:
			for b.Reply(ctx, g, "yes") != nil && ctx.Err() == nil {
				select {
				case <-ctx.Done():
				case <-b.Ups:
				case <-time.After(20 * time.Millisecond):
				}
			}
		}
	}
}

// TestRunEndsWithoutABroker: a context ends Run, also while nothing answers.
func TestRunEndsWithoutABroker(t *testing.T) {
	down := make(chan error, 100)
	bus, err := mqtt.New(mqtt.Config{
		Topics: mqtt.Topics{Board: "b03"}, URL: "mqtt://" + mqtttest.FreeAddr(t), MinBackoff: time.Millisecond,
		Handler: func(mqtt.Address, mqtt.Message) {}, OnDown: func(err error) { down <- err },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- bus.Run(ctx) }()
	if err := <-down; err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("OnDown: %v", err)
	}
	if err := bus.Publish(ctx, mqtt.Outgoing{Topic: "llm/v1/b03/status", QoS: 1}); err == nil || bus.Up() {
		t.Errorf("Publish without a broker: %v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestConfigIsRefused(t *testing.T) {
	good := mqtt.Config{Topics: mqtt.Topics{Board: "b03"}, URL: "mqtt://broker", Handler: func(mqtt.Address, mqtt.Message) {}}
	for says, change := range map[string]func(*mqtt.Config){
		"board id":     func(c *mqtt.Config) { c.Board = "b/3" },
		"too long":     func(c *mqtt.Config) { c.Board = strings.Repeat("b", 62) },
		"prefix":       func(c *mqtt.Config) { c.Prefix = "a//b" },
		"want mqtt://": func(c *mqtt.Config) { c.URL = "http://broker" },
		"host and a":   func(c *mqtt.Config) { c.URL = "mqtt://user:secret@broker" },
		"want auto":    func(c *mqtt.Config) { c.Version = "4" },
		"pool":         func(c *mqtt.Config) { c.Pools = []string{"a b"} },
		"no handler":   func(c *mqtt.Config) { c.Handler = nil },
		"url \"mqtt:":  func(c *mqtt.Config) { c.URL = "mqtt://" },
	} {
		cfg := good
		change(&cfg)
		if _, err := mqtt.New(cfg); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", says, err)
		}
	}
	if _, err := mqtt.New(good); err != nil {
		t.Error(err)
	}
}
