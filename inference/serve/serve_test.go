package serve_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lineside/inference"
	"lineside/inference/inferencetest"
	"lineside/inference/serve"
)

// backend is a scripted engine with the calls that the daemon steers by.
type backend struct {
	inferencetest.Engine
	limits inference.Limits
	pinned []inference.Message
}

func (b *backend) Pin(_ context.Context, m []inference.Message) error { b.pinned = m; return nil }
func (b *backend) SetLimits(l inference.Limits) error                 { b.limits = l; return nil }
func (b *backend) Health() inference.Health {
	return inference.Health{Model: "scripted", Context: 4096}
}

// start serves s on a unix socket until the test ends and returns a client of it.
func start(t *testing.T, s *serve.Server) (*inference.Client, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "e.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, ln) }()
	c, err := inference.NewClient("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return c, path
}

func ready(b serve.Backend) *serve.Server {
	s := &serve.Server{}
	s.Ready(b)
	return s
}

// TestConformance holds client and server together to the engine's contract.
func TestConformance(t *testing.T) {
	inferencetest.Suite(t, func(t *testing.T) inferencetest.Generator {
		c, _ := start(t, ready(&backend{}))
		return c
	})
}

// post sends a raw body and returns the status and the text of the answer.
func post(t *testing.T, path, target, body string) (int, string) {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	req, _ := http.NewRequest("POST", "http://engine"+target, strings.NewReader(body))
	// The server may answer and close before it has read a body that is too large.
	_ = req.Write(conn)
	res, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(b)
}

func TestBodies(t *testing.T) {
	_, path := start(t, ready(&backend{}))
	for _, tt := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"plain", `{"messages":[{"role":"user","content":"hi"}]}`, 200, `"content":"You said: hi"`},
		{"text parts", `{"messages":[{"role":"user","content":[{"type":"text","text":"hi "},{"type":"text","text":"you"}]}]}`, 200, `You said: hi you`},
		{"one stop text", `{"messages":[{"role":"user","content":"a b c"}],"stop":"b"}`, 200, `"content":"You said: a "`},
		{"not JSON", `hello`, 400, `not the JSON expected`},
		{"empty", ``, 400, `bad_request`},
		{"no messages", `{}`, 400, `messages is empty`},
		{"picture", `{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}`, 400, `image_url`},
		{"tools", `{"messages":[{"role":"user","content":"hi"}],"tools":[{}]}`, 400, `\"tools\" is not supported`},
		{"several answers", `{"messages":[{"role":"user","content":"hi"}],"n":2}`, 400, `\"n\" is not supported`},
		{"negative deadline", `{"messages":[{"role":"user","content":"hi"}],"lineside":{"deadline_ms":-1}}`, 400, `deadline_ms`},
		{"huge", `{"messages":[{"role":"user","content":"` + strings.Repeat("x", 2<<20) + `"}]}`, 400, `larger than`},
		{"two formats", `{"messages":[{"role":"user","content":"hi"}],"grammar":"root ::= \"a\"","response_format":{"type":"json_object"}}`, 400, `leave one out`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, body := post(t, path, "/v1/chat/completions", tt.body)
			if status != tt.status || !strings.Contains(body, tt.want) {
				t.Errorf("got %d %.300s, want %d with %s", status, body, tt.status, tt.want)
			}
		})
	}
	if status, body := post(t, path, "/v1/embeddings", "{}"); status != 404 || !strings.Contains(body, "no POST /v1/embeddings here") {
		t.Errorf("unknown path: %d %s", status, body)
	}
}

// TestStream reads the wire as OpenAI's clients do.
func TestStream(t *testing.T) {
	_, path := start(t, ready(&backend{}))
	status, body := post(t, path, "/v1/chat/completions", `{"stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hi"}]}`)
	if status != 200 {
		t.Fatalf("status %d: %s", status, body)
	}
	var data []string
	for line := range strings.SplitSeq(body, "\n") {
		if d, ok := strings.CutPrefix(line, "data: "); ok {
			data = append(data, d)
		}
	}
	last := len(data) - 1
	switch {
	case last < 3:
		t.Fatalf("only %d events: %s", len(data), body)
	case data[last] != "[DONE]":
		t.Errorf("last event %q", data[last])
	case !strings.Contains(data[0], `"role":"assistant"`) || strings.Contains(data[1], `"role"`):
		t.Errorf("the role belongs in the first event alone: %s", body)
	case !strings.Contains(data[last-2], `"finish_reason":"stop"`):
		t.Errorf("finish event %q", data[last-2])
	case !strings.Contains(data[last-1], `"choices":[]`) || !strings.Contains(data[last-1], `"prompt_tokens":`):
		t.Errorf("usage event %q", data[last-1])
	}
}

func TestBeforeAndWithoutModel(t *testing.T) {
	s := &serve.Server{}
	c, path := start(t, s)
	ask := &inference.Request{Messages: []inference.Message{{Role: inference.RoleUser, Content: "hi"}}}

	s.Loading(0.42)
	if _, err := c.Generate(t.Context(), ask, nil); !errors.Is(err, inference.ErrNotReady) || !strings.Contains(err.Error(), "42%") {
		t.Errorf("while loading: %v", err)
	}
	if h, err := c.Health(t.Context()); err != nil || h.State != "loading" || h.Progress != 0.42 {
		t.Errorf("health while loading: %+v, %v", h, err)
	}
	s.Failed(errors.New("model.gguf is cut short"))
	if _, err := c.Generate(t.Context(), ask, nil); !errors.Is(err, inference.ErrNotReady) || !strings.Contains(err.Error(), "cut short") {
		t.Errorf("after failure: %v", err)
	}
	s.Ready(&backend{})
	if h, err := c.Health(t.Context()); err != nil || h.State != "ok" || h.Model != "scripted" {
		t.Errorf("health when ready: %+v, %v", h, err)
	}
	if status, _ := post(t, path, "/lineside/limits", `{"slots":"many"}`); status != 400 {
		t.Errorf("bad limits: status %d", status)
	}
}

func TestSteering(t *testing.T) {
	b := &backend{}
	c, _ := start(t, ready(b))
	if err := c.SetLimits(t.Context(), inference.Limits{DecodeThreads: 1, PacePercent: 50}); err != nil {
		t.Fatal(err)
	}
	if b.limits.DecodeThreads != 1 || b.limits.PacePercent != 50 {
		t.Errorf("limits %+v", b.limits)
	}
	if err := c.Pin(t.Context(), []inference.Message{{Role: inference.RoleSystem, Content: "skill"}}); err != nil {
		t.Fatal(err)
	}
	if len(b.pinned) != 1 || b.pinned[0].Content != "skill" {
		t.Errorf("pinned %+v", b.pinned)
	}
}

// TestClientGone ends an answer that is under way when its reader goes away.
func TestClientGone(t *testing.T) {
	begun, ended := make(chan struct{}, 1), make(chan error, 1)
	b := &backend{}
	b.Step = func(ctx context.Context) error {
		begun <- struct{}{}
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	}
	_, path := start(t, ready(b))
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequest("POST", "http://engine/v1/chat/completions",
		strings.NewReader(`{"stream":true,"messages":[{"role":"user","content":"hi"}]}`))
	if err := req.Write(conn); err != nil {
		t.Fatal(err)
	}
	<-begun // an ask whose reader goes before that is never begun
	conn.Close()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the answer went on without a reader")
	}
}

// TestFailureInMidAnswer reaches the client as the same sentinel, after text has flowed.
func TestFailureInMidAnswer(t *testing.T) {
	b := &backend{}
	steps := 0
	b.Step = func(context.Context) error {
		if steps++; steps > 2 {
			return inference.ErrSchema
		}
		return nil
	}
	c, _ := start(t, ready(b))
	text := ""
	_, err := c.Generate(t.Context(), &inference.Request{Messages: []inference.Message{{Role: inference.RoleUser, Content: "one two three"}}},
		func(s string) error { text += s; return nil })
	if !errors.Is(err, inference.ErrSchema) || text == "" {
		t.Errorf("error %v after %q", err, text)
	}
}

// TestEngineGone is what the daemon sees of a killed engine.
func TestEngineGone(t *testing.T) {
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "e.sock"))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		_, _ = conn.Read(make([]byte, 1024))
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"half\"},\"finish_reason\":null}]}\n\n")
		conn.Close()
	}()
	c, err := inference.NewClient("unix:" + ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ask := &inference.Request{Messages: []inference.Message{{Role: inference.RoleUser, Content: "hi"}}}
	if _, err := c.Generate(t.Context(), ask, nil); !errors.Is(err, inference.ErrUnavailable) {
		t.Errorf("cut in mid-answer: %v, want ErrUnavailable", err)
	}
	ln.Close()
	if _, err := c.Generate(t.Context(), ask, nil); !errors.Is(err, inference.ErrUnavailable) {
		t.Errorf("nobody listens: %v, want ErrUnavailable", err)
	}
}

func FuzzChatBody(f *testing.F) {
	f.Add(`{"messages":[{"role":"user","content":"hi"}],"stop":["a"],"response_format":{"type":"json_schema","json_schema":{"schema":{}}}}`)
	f.Add(`{"messages":[{"role":"user","content":[{"type":"text","text":"x"}]}],"lineside":{"deadline_ms":9223372036854775807}}`)
	h := ready(&backend{}).Handler()
	f.Fuzz(func(t *testing.T, body string) {
		w := &recorder{header: http.Header{}}
		req, err := http.NewRequestWithContext(t.Context(), "POST", "/v1/chat/completions", strings.NewReader(body))
		if err != nil {
			t.Skip("no request can carry this body: " + err.Error())
		}
		h.ServeHTTP(w, req)
		if w.status >= 500 && w.status != 503 {
			t.Errorf("body %q made status %d", body, w.status)
		}
	})
}

// recorder is a ResponseWriter that keeps the status.
type recorder struct {
	header http.Header
	status int
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(s int)           { r.status = s }
func (r *recorder) Write(b []byte) (int, error) { return len(b), nil }
func (r *recorder) FlushError() error           { return nil }
