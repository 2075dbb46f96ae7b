package systemd

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func TestEnds(t *testing.T) {
	dir := t.TempDir()
	if e, err := ReadEnds(dir); err != nil || e.Last != "" || len(e.Counts) != 0 {
		t.Fatalf("before the first end: %+v, %v", e, err)
	}
	for _, result := range []string{"watchdog", "success", "watchdog"} {
		if err := NoteEnd(dir, result); err != nil {
			t.Fatal(err)
		}
	}
	e, err := ReadEnds(dir)
	if err != nil || e.Last != "watchdog" || e.Counts["watchdog"] != 2 || e.Counts["success"] != 1 {
		t.Errorf("got %+v, %v", e, err)
	}
	if fi, err := os.Stat(filepath.Join(dir, endsFile)); err != nil || fi.Mode().Perm() != 0o640 {
		t.Errorf("linesided must read the engine's: %v, %v", fi.Mode(), err)
	}
	if NoteEnd(dir, "") == nil {
		t.Error("an end without a result is counted")
	}
	if err := os.WriteFile(filepath.Join(dir, endsFile), []byte("torn"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := NoteEnd(dir, "signal"); err != nil {
		t.Errorf("a torn file must not stop the count: %v", err)
	}
}

func TestCredential(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mqtt.password_file"), []byte("x"), 0o400); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	if got := Credential("mqtt.password_file"); got != "" {
		t.Errorf("without systemd: %q", got)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	for name, want := range map[string]string{"mqtt.password_file": filepath.Join(dir, "mqtt.password_file"), "mqtt.key_file": "", "../x": ""} {
		if got := Credential(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// TestWatch starves the watchdog when work stands still, and only then.
func TestWatch(t *testing.T) {
	for name, tt := range map[string]struct {
		progress func(i uint64) (bool, uint64)
		want     int // pings within 10 looks
	}{
		"idle":   {func(uint64) (bool, uint64) { return false, 7 }, 10},
		"moving": {func(i uint64) (bool, uint64) { return true, i }, 10},
		"hung":   {func(i uint64) (bool, uint64) { return true, min(i, 3) }, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pings, looks := 0, uint64(0)
				n := &Notifier{interval: 40 * time.Second, send: func(string) error { pings++; return nil }}
				ctx, cancel := context.WithTimeout(t.Context(), 105*time.Second)
				defer cancel()
				if err := n.Watch(ctx, func() (bool, uint64) { looks++; return tt.progress(looks) }); err != nil {
					t.Error(err)
				}
				if pings != tt.want || looks != 10 {
					t.Errorf("%d pings in %d looks, want %d in 10", pings, looks, tt.want)
				}
			})
		})
	}
}

func TestWatchOutsideSystemd(t *testing.T) {
	if err := new(Notifier).Watch(context.Background(), nil); err != nil {
		t.Error(err)
	}
	broken := &Notifier{interval: time.Second, send: func(string) error { return errors.New("no socket") }}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if broken.Watch(ctx, func() (bool, uint64) { return false, 0 }) == nil {
			t.Error("a socket that takes nothing is not told of")
		}
	})
}
