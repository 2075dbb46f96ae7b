package supervise

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// run starts a shell script as the child; the returned function waits until cond holds.
func run(t *testing.T, script string) (*Child, func(cond func() bool)) {
	t.Helper()
	c := New(Command{Program: "/bin/sh", Args: []string{"-c", script}}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return c, func(cond func() bool) {
		t.Helper()
		limit := time.After(10 * time.Second)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for !cond() {
			select {
			case <-limit:
				why, _ := c.Down()
				t.Fatalf("not within 10 s; down: %q", why)
			case <-tick.C:
			}
		}
	}
}

func TestReasons(t *testing.T) {
	for name, tt := range map[string]struct{ script, want string }{
		"own reason": {`echo loading >&2; echo "lineside-engine: model.gguf is truncated" >&2; exit 1`, "model.gguf is truncated"},
		"killed":     {`echo half way >&2; kill -9 $$`, "the engine was ended by signal killed"},
		"other code": {`exit 3`, "the engine ended with exit status 3"},
		"by itself":  {`exit 0`, "the engine ended by itself"},
		"progress":   {`printf '10%%\r20%%\r' >&2; echo "bad file" >&2; exit 1`, "bad file"},
	} {
		t.Run(name, func(t *testing.T) {
			c, until := run(t, tt.script)
			var why string
			until(func() bool { why, _ = c.Down(); return strings.HasPrefix(why, tt.want) })
		})
	}
}

func TestStartsAgain(t *testing.T) {
	starts := filepath.Join(t.TempDir(), "starts")
	c, until := run(t, "echo >> "+starts+"; exec sleep 60")
	started := func(n int) func() bool {
		return func() bool {
			b, err := os.ReadFile(starts)
			why, _ := c.Down()
			return err == nil && len(b) == n && why == ""
		}
	}
	until(started(1))
	c.Restart("a test")
	until(started(2))
}

func TestMissingProgram(t *testing.T) {
	c := New(Command{Program: "/nonexistent/engine"}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := c.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if why, _ := c.Down(); !strings.Contains(why, "no such file") {
		t.Errorf("why: %q", why)
	}
}
