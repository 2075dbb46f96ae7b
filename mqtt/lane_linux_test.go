package mqtt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestNoNetwork: a board that is up before its network tries often, says so once, and
// after a while no longer tries so often.
func TestNoNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		start := time.Now()
		var tries []time.Duration // of both lanes
		failed := make(chan error, 1000)
		bus, err := New(Config{
			Topics: Topics{Board: "b03"}, URL: "mqtt://255.255.255.255", // which Linux cannot reach for TCP, on any machine
			MinBackoff: 20 * time.Second, MaxBackoff: 20 * time.Second,
			Handler: func(Address, Message) {}, OnDown: func(err error) { failed <- err }, Log: slog.New(slog.NewTextHandler(&said, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		go func() {
			_ = bus.Run(ctx)
			close(failed)
		}()
		for err := range failed {
			if !errors.Is(err, syscall.ENETUNREACH) {
				t.Fatal(err)
			}
			tries = append(tries, time.Since(start))
		}
		early := 0
		for _, at := range tries {
			if at <= noNetworkFor {
				early++
			}
		}
		if least := int(2 * noNetworkFor / noNetworkEvery); early < least {
			t.Errorf("%d tries of two lanes in the first %v, want %d and more", early, noNetworkFor, least)
		}
		if late, most := len(tries)-early, 2*28; late > most {
			t.Errorf("%d tries after %v, want at most %d", late, noNetworkFor, most)
		}
		if lines := strings.Count(said.String(), "no connection to the broker"); lines > 2+len(tries)-early {
			t.Errorf("%d lines in the journal of %d tries", lines, len(tries))
		}
	})
}

func TestPauses(t *testing.T) {
	unreachable := fmt.Errorf("dial: %w", &net.OpError{Op: "dial", Err: syscall.ENETUNREACH})
	lookup := &net.DNSError{Err: "network is unreachable", Name: "broker", IsTemporary: true}
	unknown := &net.DNSError{Err: "no such host", Name: "broker", IsNotFound: true}
	slow := &net.DNSError{Err: "i/o timeout", Name: "broker", IsTemporary: true, IsTimeout: true}
	refused := syscall.ECONNREFUSED
	p := pauses{least: 10 * time.Second, most: 40 * time.Second}
	start := time.Unix(1000, 0)
	for _, step := range []struct {
		at    time.Duration
		err   error
		up    bool
		most  time.Duration // the least is half of it
		again bool
	}{
		{0, unreachable, false, noNetworkEvery, false},
		{time.Second, lookup, false, noNetworkEvery, true},
		{2 * time.Second, refused, false, 10 * time.Second, false},
		{10 * time.Second, unreachable, false, noNetworkEvery, true},
		{noNetworkFor, unreachable, false, 20 * time.Second, false}, // long enough
		{noNetworkFor + time.Minute, unreachable, false, 40 * time.Second, false},
		{time.Hour, errors.New("the connection ended"), true, 10 * time.Second, false},
		{2 * time.Hour, unreachable, false, noNetworkEvery, false}, // a cable that was pulled
		{3 * time.Hour, unknown, false, 20 * time.Second, false},
		{4 * time.Hour, slow, false, 40 * time.Second, false},
	} {
		wait, again := p.next(step.err, step.up, start.Add(step.at))
		if wait > step.most || wait < step.most/2 || again != step.again {
			t.Errorf("%v, %v: %v, again %v; want at most %v, %v", step.at, step.err, wait, again, step.most, step.again)
		}
	}
}
