package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"lineside/inference"
)

// Engine is a running lineside-engine.
type Engine struct {
	*inference.Client
	Load   time.Duration // from the start to being ready
	cmd    *exec.Cmd
	stderr bytes.Buffer
	ended  chan struct{}
}

// Start runs program with a model and waits until it is ready.
func Start(ctx context.Context, program, model, dir string, flags ...string) (*Engine, error) {
	socket := "unix:" + filepath.Join(dir, "engine.sock")
	c, err := inference.NewClient(socket)
	if err != nil {
		return nil, err
	}
	e := &Engine{Client: c, ended: make(chan struct{})}
	e.cmd = exec.CommandContext(ctx, program, append([]string{"--model", model, "--listen", socket}, flags...)...)
	e.cmd.Stderr = &e.stderr
	begun := time.Now()
	if err := e.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w: run make build", program, err)
	}
	go func() { _ = e.cmd.Wait(); close(e.ended) }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if h, err := c.Health(ctx); err == nil && h.State == "ok" {
			e.Load = time.Since(begun)
			return e, nil
		}
		select {
		case <-tick.C:
		case <-e.ended:
			return nil, fmt.Errorf("the engine ended: %s", strings.TrimSpace(e.stderr.String()))
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), e.Stop())
		}
	}
}

// Peak is the most memory that the engine has used, in bytes (proc(5), VmHWM).
func (e *Engine) Peak() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", e.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmHWM:" {
			kb, err := strconv.ParseInt(f[1], 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("no VmHWM in the kernel's status file")
}

// Stop ends the engine.
func (e *Engine) Stop() error {
	e.Client.Close()
	if err := e.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-e.ended
	return nil
}

// Decode is the speed of plain decoding, in tokens a second of all streams
// together: free text, no format, from the first text to the last.
func (e *Engine) Decode(ctx context.Context, streams, tokens int) (float64, error) {
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		count   int
		failed  error
		longest time.Duration
	)
	for i := range streams {
		wg.Go(func() {
			res, err := e.Generate(ctx, &inference.Request{
				Client: strconv.Itoa(i), MaxTokens: tokens,
				Messages: []inference.Message{{Role: inference.RoleUser, Content: fmt.Sprintf("Story %d of the press line.", i)}},
			}, nil)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
				return
			}
			count += res.Usage.Completion - 1
			longest = max(longest, res.Timings.Total-res.Timings.First)
		})
	}
	wg.Wait()
	if failed != nil {
		return 0, failed
	}
	return float64(count) / longest.Seconds(), nil
}

// RawLoop is the speed of the bare decode loop, in tokens a second of all streams together.
func RawLoop(ctx context.Context, program, model string, streams int) (float64, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program, "--model", model, "--raw-loop", strconv.Itoa(streams))
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("raw loop: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	var v struct {
		Speed float64 `json:"tok_per_s"`
	}
	return v.Speed, json.Unmarshal(out, &v)
}
