package mqtt_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lineside/mqtt"
	"lineside/mqtt/mqtttest"
	"lineside/mqtt/wire"
)

// startTLS starts Mosquitto with TLS and the broker's certificate as given.
func startTLS(t *testing.T, server wire.TLS, more ...string) *mqtttest.Mosquitto {
	t.Helper()
	return mqtttest.StartMosquitto(t, append([]string{"cafile " + server.CAFile, "certfile " + server.CertFile, "keyfile " + server.KeyFile}, more...)...)
}

func dialTLS(t *testing.T, url, version string, change func(*wire.Options)) error {
	t.Helper()
	o := wire.Options{URL: url, Version: version, ClientID: "x", Timeout: 5 * time.Second, OnMessage: func(wire.Message) {}}
	change(&o)
	c, err := wire.Dial(t.Context(), o)
	if err == nil {
		c.Close()
	}
	return err
}

func TestServerIsVerified(t *testing.T) {
	ca, other := mqtttest.NewAuthority(t), mqtttest.NewAuthority(t)
	m := startTLS(t, ca.IssueNow("broker"), "require_certificate true")
	url := "mqtts://" + m.Addr
	good := ca.IssueNow("b03")
	_, port, _ := net.SplitHostPort(m.Addr)
	for _, version := range []string{wire.Version5, wire.Version311, wire.VersionAuto} {
		for _, c := range []struct {
			name string
			url  string
			tls  wire.TLS
			says string // empty: it works
		}{
			{"all right", url, good, ""},
			{"authority unknown", url, wire.TLS{CAFile: other.CA, CertFile: good.CertFile, KeyFile: good.KeyFile}, "mqtt.ca_file"},
			{"another host", "mqtts://127.0.0.2:" + port, good, "another host"},
			{"no certificate", url, wire.TLS{CAFile: ca.CA}, ""},
			{"certificate of nobody", url, wire.TLS{CAFile: ca.CA, CertFile: other.IssueNow("b03").CertFile, KeyFile: other.Dir + "/b03.key"}, ""},
			{"key missing", url, wire.TLS{CAFile: ca.CA, CertFile: good.CertFile}, "belong together"},
			{"no such file", url, wire.TLS{CAFile: ca.CA + "x"}, "mqtt.ca_file"},
			{"no PEM", url, wire.TLS{CAFile: "tls_test.go"}, "no PEM"},
			{"plain to a TLS port", "mqtt://" + m.Addr, wire.TLS{}, ""},
		} {
			err := dialTLS(t, c.url, version, func(o *wire.Options) { o.TLS = c.tls })
			if (err == nil) != (c.name == "all right") {
				t.Errorf("%s %s: %v", version, c.name, err)
			}
			if c.name == "another host" && strings.Contains(fmt.Sprint(err), "refused") {
				continue // the broker listens on 127.0.0.1 only
			}
			if err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s %s: %v, want %q in it", version, c.name, err, c.says)
			}
		}
	}
}

// TestTLSFloor: a broker that offers nothing newer than TLS 1.1 is refused.
func TestTLSFloor(t *testing.T) {
	ca := mqtttest.NewAuthority(t)
	files := ca.IssueNow("broker")
	pair, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, c) // the handshake fails in here
			_ = c.Close()
		}
	}()
	if err := dialTLS(t, "mqtts://"+l.Addr().String(), wire.Version5, func(o *wire.Options) { o.TLS.CAFile = ca.CA }); err == nil || !strings.Contains(err.Error(), "TLS") {
		t.Errorf("TLS 1.1: %v", err)
	}
}

// TestWrongClock: what a board sees that wakes up in the past, told by a
// certificate that lies in the future, and the same for an expired one.
func TestWrongClock(t *testing.T) {
	year := 365 * 24 * time.Hour
	for _, c := range []struct {
		name     string
		from, to time.Duration
	}{{"not yet valid", year, 2 * year}, {"expired", -2 * year, -year}} {
		t.Run(c.name, func(t *testing.T) {
			ca, other := mqtttest.NewAuthority(t), mqtttest.NewAuthority(t)
			m := startTLS(t, ca.Issue("broker", time.Now().Add(c.from), time.Now().Add(c.to)))
			url := "mqtts://" + m.Addr
			err := dialTLS(t, url, wire.Version5, func(o *wire.Options) { o.TLS.CAFile = ca.CA })
			if err == nil || !strings.Contains(err.Error(), "timedatectl") {
				t.Errorf("with a synced clock: %v", err)
			}
			if err := dialTLS(t, url, wire.Version5, func(o *wire.Options) { o.TLS.CAFile, o.ClockUnsynced = ca.CA, true }); err != nil {
				t.Errorf("with an unsynced clock: %v", err)
			}
			if err := dialTLS(t, url, wire.Version5, func(o *wire.Options) { o.TLS.CAFile, o.ClockUnsynced = other.CA, true }); err == nil {
				t.Error("with an unsynced clock, anybody may sign")
			}
			_, port, _ := net.SplitHostPort(m.Addr)
			if err := dialTLS(t, "mqtts://localhost:"+port, wire.Version5, func(o *wire.Options) { o.TLS.CAFile, o.ClockUnsynced = ca.CA, true }); err != nil && !strings.Contains(err.Error(), "refused") {
				t.Errorf("by its other name: %v", err)
			}
		})
	}
}

// TestCertificateReload renews the certificates of board and broker under load:
// no ask is lost.
func TestCertificateReload(t *testing.T) {
	for _, version := range []string{wire.Version5, wire.Version311} {
		t.Run(version, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			ca := mqtttest.NewAuthority(t)
			m := startTLS(t, ca.IssueNow("broker"), "require_certificate true")
			login := mqtttest.LoginByCertificate(ca)
			b := mqtttest.StartBoard(t, "mqtts://"+m.Addr, version, "b03", func(c *mqtt.Config) { c.TLS = ca.IssueNow("b03") })
			b.WaitUp(t)
			o := mqtttest.Observe(t, "mqtts://"+m.Addr, version, "acme/l2", "plc1", nil, func(w *wire.Options) { login("plc1", w) })
			var stop atomic.Bool
			answered := make(chan struct{})
			go func() {
				defer close(answered)
				for !stop.Load() {
					select {
					case g := <-b.Got:
						for b.Reply(ctx, g, "yes") != nil && ctx.Err() == nil { // as a daemon does after OnUp
							select {
							case <-b.Ups:
							case <-time.After(100 * time.Millisecond):
							}
						}
					case <-time.After(50 * time.Millisecond):
					}
				}
			}()
			var ids []string
			for i := range 200 {
				if i == 50 || i == 120 {
					ca.IssueNow("broker")
					m.Signal(syscall.SIGHUP)
					ca.IssueNow("b03")
					b.Reconnect()
				}
				id := fmt.Sprint("r", i)
				ids = append(ids, id)
				o.Ask(b.Topics.AskText("plc1"), `{"id":"`+id+`","prompt":"x"}`)
			}
			for _, id := range ids {
				if _, err := o.Answer(ctx, id); err != nil {
					t.Error(err)
				}
			}
			stop.Store(true)
			<-answered
			y := o.Tally(ids)
			t.Log(y)
			if y.Answered != 200 || len(y.Conflicts) > 0 {
				t.Error(y)
			}
			if b.Stats().Reconnects < 2 {
				t.Errorf("%d reconnects", b.Stats().Reconnects)
			}
		})
	}
}
