package main

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestLookup asks for a name while the network comes up.
func TestLookup(t *testing.T) {
	found := []netip.Addr{netip.MustParseAddr("10.1.2.3")}
	for _, c := range []struct {
		name        string
		up          time.Duration // when the network is there
		wait, took  time.Duration
		wantAddress bool
	}{
		{"at once", 0, 20 * time.Second, 0, true},
		{"later", 1200 * time.Millisecond, 20 * time.Second, 1500 * time.Millisecond, true},
		{"too late", time.Minute, 20 * time.Second, 20 * time.Second, false},
		{"without waiting", time.Second, 0, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start, unknown := time.Now(), errors.New("no such host")
				got, err := lookup(t.Context(), func(_ context.Context, _, host string) ([]netip.Addr, error) {
					if host != "broker.plant" {
						t.Errorf("asked for %s", host)
					}
					if time.Since(start) < c.up {
						return nil, unknown
					}
					return found, nil
				}, "broker.plant", c.wait)
				if took := time.Since(start); took != c.took {
					t.Errorf("took %s, want %s", took, c.took)
				}
				if c.wantAddress && (err != nil || !slices.Equal(got, found)) || !c.wantAddress && !errors.Is(err, unknown) {
					t.Errorf("found %v, %v", got, err)
				}
			})
		})
	}
}

// TestLEDs waits for udev only where a lamp is missing, and once.
func TestLEDs(t *testing.T) {
	dir, settled := t.TempDir(), 0
	link := func(name string) {
		if err := os.Symlink("../../devices/platform/leds/leds/"+name, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("PWR")
	settle := func() {
		settled++
		link("ACT")
	}
	pwr, act := "/sys/devices/platform/leds/leds/PWR", "/sys/devices/platform/leds/leds/ACT"
	if got := leds(dir, []string{"PWR", "PWR"}, settle); !slices.Equal(got, []string{pwr}) || settled != 0 {
		t.Errorf("a lamp that is there: %v, settled %d times", got, settled)
	}
	if got := leds(dir, []string{"PWR", "ACT", "none", "neither"}, settle); !slices.Equal(got, []string{act, pwr}) || settled != 1 {
		t.Errorf("a lamp that comes late: %v, settled %d times", got, settled)
	}
}
