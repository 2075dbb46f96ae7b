package inference

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// maxLine bounds one event of a stream, in bytes.
const maxLine = 1 << 20

// Client asks an OpenAI-compatible server: lineside-engine on its socket, or
// any other. It is safe for concurrent use.
type Client struct {
	http *http.Client
	base string
	addr string
}

// NewClient names the server: unix:PATH, tcp:HOST:PORT or http://HOST:PORT. It
// does not connect yet.
func NewClient(addr string) (*Client, error) {
	tr := &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute, DisableCompression: true}
	c := &Client{http: &http.Client{Transport: tr}, addr: addr}
	kind, rest, _ := strings.Cut(addr, ":")
	switch {
	case kind == "unix" && rest != "":
		tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", rest)
		}
		c.base = "http://engine"
	case kind == "tcp" && rest != "":
		c.base = "http://" + rest
	case kind == "http" && strings.HasPrefix(rest, "//"):
		c.base = strings.TrimSuffix(addr, "/")
	default:
		return nil, fmt.Errorf("engine address %q: want unix:PATH, tcp:HOST:PORT or http://HOST:PORT", addr)
	}
	return c, nil
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Generate asks and calls emit for every piece of the answer, in order, from
// the caller's goroutine. An error of emit, or the end of ctx, ends the answer
// at the server within one step. Errors answer errors.Is with this package's sentinels.
func (c *Client) Generate(ctx context.Context, r *Request, emit func(text string) error) (*Result, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	start := time.Now()
	res, err := c.do(ctx, http.MethodPost, "/v1/chat/completions", chatRequest(r, start))
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	out := &Result{}
	var text strings.Builder
	ended := false
	err = events(res.Body, func(data []byte) error {
		if string(data) == "[DONE]" {
			ended = true
			return io.EOF
		}
		var ev ChatResponse
		if err := json.Unmarshal(data, &ev); err != nil {
			return fmt.Errorf("%w: unreadable event: %w", ErrUnavailable, err)
		}
		if ev.Error != nil {
			return ev.Error.Err()
		}
		return out.take(&ev, &text, emit, start)
	})
	switch {
	case ended:
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	default:
		return nil, fmt.Errorf("%w: it went away in mid-answer", ErrUnavailable)
	}
	out.Text = text.String()
	return out, nil
}

// take adds one event to the result.
func (r *Result) take(ev *ChatResponse, text *strings.Builder, emit func(string) error, start time.Time) error {
	if ev.Model != "" {
		r.Model = ev.Model
	}
	for _, ch := range ev.Choices {
		if ch.Delta != nil && ch.Delta.Content != "" {
			if r.Timings.First == 0 {
				r.Timings.First = time.Since(start)
			}
			text.WriteString(ch.Delta.Content)
			if emit != nil {
				if err := emit(ch.Delta.Content); err != nil {
					return err
				}
			}
		}
		if ch.FinishReason != nil {
			r.Finish = Finish(*ch.FinishReason)
			r.Timings.Total = time.Since(start)
		}
	}
	r.absorb(ev.Usage, ev.Lineside)
	return nil
}

// events calls fn with the data of every server-sent event until it errs.
func events(r io.Reader, fn func(data []byte) error) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 4096), maxLine)
	for sc.Scan() {
		data, ok := bytes.CutPrefix(sc.Bytes(), []byte("data:"))
		if !ok {
			continue
		}
		if err := fn(bytes.TrimSpace(data)); err != nil {
			return err
		}
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return io.EOF
}

// do sends one call and turns every answer but 200 into an error.
func (c *Client) do(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var rd io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBadRequest, err)
		}
		rd = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, rd)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w at %s: %w", ErrUnavailable, c.addr, err)
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(res.Body, maxLine))
	var e struct {
		Error *WireError `json:"error"`
	}
	if json.Unmarshal(b, &e) == nil && e.Error != nil {
		return nil, e.Error.Err()
	}
	return nil, fmt.Errorf("%w: HTTP %s", ErrUnavailable, res.Status)
}

// Health is what the engine says of itself.
type Health struct {
	State    string  `json:"status"`             // "loading", "ok" or "failed"
	Progress float64 `json:"progress,omitempty"` // 0 to 1, while loading
	Why      string  `json:"why,omitempty"`      // with "failed"
	Model    string  `json:"model,omitempty"`    // name of the model file's model
	File     string  `json:"file,omitempty"`     // path of the model file, links resolved
	Context  int     `json:"ctx,omitempty"`      // tokens
	Slots    int     `json:"slots,omitempty"`    // asks answered at once
	Steps    uint64  `json:"steps,omitempty"`    // passes computed since start: grows while the engine lives
	Running  int     `json:"running,omitempty"`  // asks in slots
	Waiting  int     `json:"waiting,omitempty"`  // asks in the queue
	TokenSec float64 `json:"tokens_per_second,omitempty"`
	Limits   Limits  `json:"limits,omitzero"` // as they stand
}

// Health asks how the engine is. While it loads this is no error.
func (c *Client) Health(ctx context.Context) (*Health, error) {
	var h Health
	return &h, c.call(ctx, http.MethodGet, "/lineside/health", nil, &h)
}

// Limits are what may be changed while the engine runs, all at once or one by
// one. Zero leaves a value as it is. More than the engine was started with
// means as much as it was started with, so a large value takes a limit back.
type Limits struct {
	DecodeThreads  int   `json:"decode_threads,omitempty"`
	PrefillThreads int   `json:"prefill_threads,omitempty"`
	Slots          int   `json:"slots,omitempty"`        // asks answered at once; running ones go on
	PacePercent    int   `json:"pace_percent,omitempty"` // share of time spent computing, 1 to 100
	Batch          int   `json:"batch,omitempty"`        // most prompt tokens of a pass
	PrefixBytes    int64 `json:"prefix_bytes,omitempty"` // of the KV cache that ended asks may keep, pinned prefixes aside; 1 keeps none
}

// SetLimits changes the engine's limits from its next pass on.
func (c *Client) SetLimits(ctx context.Context, l Limits) error {
	return c.call(ctx, http.MethodPost, "/lineside/limits", l, nil)
}

// Pin computes the prefix that these messages begin and keeps it until the engine ends.
func (c *Client) Pin(ctx context.Context, messages []Message) error {
	return c.call(ctx, http.MethodPost, "/lineside/pin", struct {
		Messages []Message `json:"messages"`
	}{messages}, nil)
}

// Exit asks the engine to finish what it answers and to end. Whoever started it starts
// it again, maybe with another model.
func (c *Client) Exit(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/lineside/exit", nil, nil)
}

func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	res, err := c.do(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, io.LimitReader(res.Body, maxLine))
		return err
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxLine)).Decode(out); err != nil {
		return fmt.Errorf("%w: unreadable answer to %s: %w", ErrUnavailable, path, err)
	}
	return nil
}
