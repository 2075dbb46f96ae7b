// Package arm64 lets the engine built for 64-bit Arm answer under emulation, and
// checks what it says on a CPU that it was not built for.
//
// `make test-arm64` builds it and names its folder in LINESIDE_BIN.
package arm64

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lineside/inference"
	"lineside/inference/model/demo"
)

const (
	emulator = "qemu-aarch64-static"
	sysroot  = "/usr/aarch64-linux-gnu" // Debian's cross libraries

	// system is what the daemon prefaces free prompts with.
	system = "You are the assistant of a factory. Answer briefly and plainly. Say so where you do not know."
)

// engine is the path of an arm64 engine.
func engine(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("LINESIDE_BIN")
	if dir == "" {
		t.Skip("LINESIDE_BIN names no folder of built programs: run make test-arm64")
	}
	if _, err := exec.LookPath(emulator); err != nil {
		t.Skip("no " + emulator + ": install qemu-user-static")
	}
	return filepath.Join(dir, "arm64", name)
}

// TestARM64Answers asks both engines one fixed ask and expects its words.
func TestARM64Answers(t *testing.T) {
	for _, name := range []string{"lineside-engine", "lineside-engine-dotprod"} {
		t.Run(name, func(t *testing.T) {
			bin := engine(t, name)
			model, err := demo.Write(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			addr := "unix:" + filepath.Join(t.TempDir(), "e.sock")
			cmd := exec.Command(emulator, "-L", sysroot, bin, "--model", model, "--listen", addr, "--slots", "1", "--ctx", "512", "--threads", "1")
			var log bytes.Buffer
			cmd.Stderr = &log
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
				if t.Failed() {
					t.Logf("the engine said:\n%s", &log)
				}
			})
			c, err := inference.NewClient(addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			wait(ctx, t, c)
			prompt, want := golden(t)
			res, err := c.Generate(ctx, &inference.Request{Messages: []inference.Message{
				{Role: inference.RoleSystem, Content: system}, {Role: inference.RoleUser, Content: prompt},
			}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if res.Text != want {
				t.Errorf("got  %q\nwant %q", res.Text, want)
			}
		})
	}
}

// golden is the first fixed ask in free words, and its answer.
func golden(t *testing.T) (prompt, answer string) {
	t.Helper()
	for _, g := range demo.Golden() {
		if g.Prompt != "" {
			return g.Prompt, g.Answer
		}
	}
	t.Fatal("no fixed ask in free words")
	return "", ""
}

// wait asks for the engine's health until it is well.
func wait(ctx context.Context, t *testing.T, c *inference.Client) {
	t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if h, err := c.Health(ctx); err == nil && h.State == "ok" {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the engine did not become ready")
		}
	}
}

// TestARM64OldCPU starts the engine for dot products on a CPU without them.
func TestARM64OldCPU(t *testing.T) {
	bin := engine(t, "lineside-engine-dotprod")
	var stderr bytes.Buffer
	cmd := exec.Command(emulator, "-cpu", "cortex-a53", "-L", sysroot, bin, "--version")
	cmd.Stderr = &stderr
	err := cmd.Run()
	if cmd.ProcessState.ExitCode() != 1 {
		t.Fatalf("ended with %v, want exit code 1: %s", err, &stderr)
	}
	said := strings.TrimSpace(stderr.String())
	if strings.Count(said, "\n") != 0 || !strings.Contains(said, "DOTPROD") {
		t.Errorf("want one line that names the missing feature, got:\n%s", said)
	}
}
