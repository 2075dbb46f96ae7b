// Package supervise keeps one child process running: it starts it, starts it
// again with growing pauses when it ends, and knows why it ended.
//
// It never speaks with the child and never decides what its end means.
package supervise

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Pauses between an end and the next start.
const (
	firstPause = 500 * time.Millisecond
	longPause  = time.Minute
	steady     = time.Minute     // a child that ran so long starts from the first pause again
	stopWait   = 3 * time.Second // from SIGTERM to SIGKILL
	maxLine    = 512             // bytes of a line that is kept as a reason
)

// Command is what to run.
type Command struct {
	Program string
	Args    []string
}

// Child is one supervised process. Its methods may be called from any goroutine.
type Child struct {
	command Command
	log     *slog.Logger

	mu      sync.Mutex
	process *exec.Cmd
	why     string // why it is down; empty while it runs
	at      time.Time
	last    string // last line of its stderr
}

// New makes a child that Run starts. Its stderr goes to log line by line.
func New(c Command, log *slog.Logger) *Child {
	return &Child{command: c, log: log}
}

// Down is why the child does not run and how long until it is started again;
// empty while it runs, and before it was started.
func (c *Child) Down() (why string, restart time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why == "" {
		return "", 0
	}
	return c.why, max(time.Until(c.at), 0)
}

// Restart kills the child, which Run then starts anew.
func (c *Child) Restart(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process != nil {
		c.log.Warn("the engine is killed and started again", "why", why)
		c.last = why
		_ = c.process.Process.Kill() // it may have ended meanwhile
	}
}

// Run keeps the child running until ctx ends, then stops it, and returns nil.
func (c *Child) Run(ctx context.Context) error {
	runtime.LockOSThread() // the child dies with the thread that started it
	defer runtime.UnlockOSThread()
	pause := firstPause
	for {
		began := time.Now()
		err := c.once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(began) >= steady {
			pause = firstPause
		}
		c.ended(err, pause)
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
		pause = min(2*pause, longPause)
	}
}

// once runs the child to its end.
func (c *Child) once(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, c.command.Program, c.command.Args...)
	cmd.SysProcAttr = attributes()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopWait
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	read := make(chan struct{})
	go func() {
		defer close(read)
		c.read(r)
	}()
	if err := c.start(cmd); err != nil {
		w.Close()
		<-read
		return fmt.Errorf("it cannot be started: %w", err)
	}
	err := cmd.Wait()
	w.Close()
	<-read
	c.mu.Lock()
	c.process = nil
	c.mu.Unlock()
	return err
}

// start starts the process. What it says at once, and who restarts it at once, waits until it
// is known here.
func (c *Child) start(cmd *exec.Cmd) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	c.process, c.why, c.last = cmd, "", ""
	return nil
}

// read logs what the child says and keeps the last line: it is the reason
// where the child ends with code 1.
func (c *Child) read(r io.Reader) {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 4096), 64<<10)
	sc.Split(splitLines)
	for sc.Scan() {
		line := strings.TrimSpace(sc.Text())
		if line == "" {
			continue
		}
		c.log.Info("engine", "says", line)
		c.mu.Lock()
		c.last = line[:min(len(line), maxLine)]
		c.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, r) // a line beyond the buffer must not block the child
}

// splitLines also ends a line at \r, which progress bars use.
func splitLines(data []byte, atEOF bool) (int, []byte, error) {
	for i, b := range data {
		if b == '\n' || b == '\r' {
			return i + 1, data[:i], nil
		}
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

// ended notes why the child is down.
func (c *Child) ended(err error, pause time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.why, c.at = reason(err, c.last), time.Now().Add(pause)
	c.log.Error("the engine ended", "why", c.why, "again_in", pause)
}

// reason makes one line of how a child ended. With code 1 it gave its own.
func reason(err error, last string) string {
	last = strings.TrimPrefix(last, "lineside-engine: ")
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "the engine ended by itself"
	case !errors.As(err, &exit):
		return err.Error()
	case exit.ExitCode() == 1 && last != "":
		return last
	}
	why := "the engine ended with " + exit.Error()
	if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		why = "the engine was ended by signal " + ws.Signal().String()
	}
	return why // what it said last is in the log, and may be C's own words
}
