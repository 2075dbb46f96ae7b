package machine

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
)

// console keeps what the machine shows on its serial line.
type console struct {
	log io.Writer

	mu      sync.Mutex
	text    []byte
	seen    int           // where the next expect looks
	changed chan struct{} // closed at the next change, then replaced
	closed  bool
}

func newConsole(log io.Writer) *console {
	return &console{log: log, changed: make(chan struct{})}
}

func (c *console) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.log != nil {
		_, _ = c.log.Write(b)
	}
	c.text = append(c.text, bytes.ReplaceAll(b, []byte("\r"), nil)...)
	c.wake()
	return len(b), nil
}

func (c *console) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.wake()
}

func (c *console) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.text)
}

func (c *console) expect(ctx context.Context, text string) (string, error) {
	for {
		line, changed, closed := c.find(text)
		if line != "" {
			return line, nil
		}
		if closed {
			return "", fmt.Errorf("the machine ended without %q on its console", text)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", fmt.Errorf("no %q on the console: %w; it ends with:\n%s", text, context.Cause(ctx), c.tail(10))
		}
	}
}

// find looks for the next whole line with the text.
func (c *console) find(text string) (line string, changed <-chan struct{}, closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for pos := c.seen; ; {
		n := bytes.IndexByte(c.text[pos:], '\n')
		if n < 0 {
			return "", c.changed, c.closed
		}
		line := string(c.text[pos : pos+n])
		pos += n + 1
		if strings.Contains(line, text) {
			c.seen = pos
			return line, nil, false
		}
	}
}

func (c *console) tail(lines int) string {
	all := strings.Split(strings.TrimSpace(c.String()), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
