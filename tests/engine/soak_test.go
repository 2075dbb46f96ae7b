package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"lineside/inference"
	"lineside/inference/constraint/constrainttest"
	"lineside/inference/engine"
	"lineside/inference/engine/enginetest"
	"lineside/inference/serve"
)

// soakAsks is how many asks a soak sends; `make soak` sets it to 10,000.
const soakAsks = "LINESIDE_SOAK_ASKS"

// soakClients ask at once: more than there are slots and places in the queue.
const soakClients = 24

// TestSoak sends asks of all kinds over the engine's socket, from clients that
// cancel, vanish and send garbage, and then looks for what they left behind:
// cells, slots, goroutines, memory, files.
func TestSoak(t *testing.T) {
	asks := 480
	if n, err := strconv.Atoi(os.Getenv(soakAsks)); err == nil {
		asks = n
	}
	options := engine.Options{Slots: 6, Queue: 12}
	for name, open := range map[string]func(*testing.T) *engine.Engine{
		"fake": func(t *testing.T) *engine.Engine { return openFake(t, options) },
		"tiny": func(t *testing.T) *engine.Engine {
			e := open(t, options)
			if err := e.SetLimits(inference.Limits{DecodeThreads: 1}); err != nil { // other tests may want the cores
				t.Fatal(err)
			}
			return e
		},
	} {
		t.Run(name, func(t *testing.T) {
			routines, files := runtime.NumGoroutine(), openFiles(t)
			t.Run("asks", func(t *testing.T) { newSoak(t, open(t)).run(asks) })
			settle(t, "goroutines", routines, runtime.NumGoroutine)
			settle(t, "open files", files, func() int { return openFiles(t) })
		})
	}
}

// openFake runs an engine over the fake runtime, which counts cells by itself.
func openFake(t *testing.T, o engine.Options) *engine.Engine {
	voc := enginetest.NewVocabulary()
	fake := enginetest.New(voc, enginetest.Config{Cells: 1024, Sequences: 16, Batch: 128})
	o.Log = slog.New(slog.DiscardHandler)
	e, err := engine.New(fake, voc, enginetest.Template{Voc: voc}, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil || fake.Used() != 0 {
			t.Errorf("%v, and %d cells are taken after the end", err, fake.Used())
		}
	})
	return e
}

// soak is one engine behind its socket, and the figures of what it was sent.
type soak struct {
	*testing.T
	engine *engine.Engine
	client *inference.Client
	socket string
	ends   sync.Map // how asks ended, and how often: *atomic.Int64
}

func newSoak(t *testing.T, e *engine.Engine) *soak {
	dir, err := os.MkdirTemp("", "soak") // t.TempDir is too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	s := &soak{T: t, engine: e, socket: filepath.Join(dir, "s")}
	ln, err := net.Listen("unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &serve.Server{}
	server.Ready(e)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, ln) }()
	if s.client, err = inference.NewClient("unix:" + s.socket); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.client.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		os.RemoveAll(dir)
	})
	return s
}

// run sends the asks and looks for what is left.
func (s *soak) run(asks int) {
	s.burst(asks / 4) // fills what is remembered on purpose: prefixes, formats
	memory := resident(s.T)
	s.burst(asks)
	settle(s.T, "asks at work", 0, func() int { st := s.engine.Stats(); return st.Running + st.Waiting })
	st := s.engine.Stats()
	if st.CellsUsed != st.PrefixTokens || st.Faults != 0 {
		s.Errorf("%d cells used, %d of the tree, %d faults", st.CellsUsed, st.PrefixTokens, st.Faults)
	}
	const slack = 48 << 20 // of the collectors and the C library
	settle(s.T, "resident bytes", memory+slack, func() int { runtime.GC(); return resident(s.T) })
	for _, want := range []string{"stop", "length", "deadline", "cancelled", "busy", "too long", "no answer fits", "unsupported", "bad schema", "bad body", "gone"} {
		if n, ok := s.ends.Load(want); asks >= 1000 && !ok {
			s.Errorf("no ask ended with %q", want)
		} else if ok {
			s.Logf("%-15s %d", want, n.(*atomic.Int64).Load())
		}
	}
}

func (s *soak) burst(asks int) {
	var wg sync.WaitGroup
	for c := range soakClients {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(c), uint64(asks)))
			for range asks / soakClients {
				s.end(s.ask(rng))
			}
		})
	}
	wg.Wait()
}

func (s *soak) end(how string) {
	n, _ := s.ends.LoadOrStore(how, &atomic.Int64{})
	n.(*atomic.Int64).Add(1)
}

// ask does one thing that clients do and says how it ended.
func (s *soak) ask(rng *rand.Rand) string {
	switch rng.IntN(12) {
	case 0:
		return s.garbage(rng)
	case 1:
		return s.vanish(rng)
	case 2:
		_ = s.client.Pin(s.Context(), request(strings.Repeat(manual, rng.IntN(3)), "").Messages[:1])
		return "pinned, or not"
	case 3:
		l := inference.Limits{Slots: 3 + rng.IntN(4), Batch: 16 + rng.IntN(120), PrefixBytes: 1 + rng.Int64N(1<<20)}
		if err := s.client.SetLimits(s.Context(), l); err != nil {
			s.Error(err)
		}
		return "limits"
	}
	return s.generate(rng)
}

// generate asks as the daemon does.
func (s *soak) generate(rng *rand.Rand) string {
	r := request(strings.Repeat(manual, rng.IntN(3)), fmt.Sprint("ask ", rng.IntN(100)))
	r.Client, r.Priority, r.MaxTokens = fmt.Sprint(rng.IntN(9)), rng.IntN(3)*5, 1+rng.IntN(80)
	ctx, cancel := context.WithCancel(s.Context())
	defer cancel()
	switch rng.IntN(9) {
	case 0:
		defer time.AfterFunc(time.Duration(rng.IntN(30))*time.Millisecond, cancel).Stop()
	case 1:
		r.Deadline = time.Now().Add(time.Duration(1+rng.IntN(40)) * time.Millisecond)
	case 2:
		r.Sampling = inference.Sampling{Temperature: 1, TopP: .9, Seed: rng.Uint64N(1 << 40)}
	case 3:
		r.Messages[1].Content = strings.Repeat("far too long ", 500)
	case 4:
		r.Deterministic = rng.IntN(4) == 0
	case 5:
		r.Pin = true
	case 6:
		r.MaxTokens = 0
	}
	doc := ""
	switch rng.IntN(8) {
	case 0, 1:
		doc = schema
	case 2, 3:
		doc = constrainttest.Schema(rng)
	case 4:
		r.Format = inference.Format{Kind: inference.FormatGrammar, Grammar: `root ::= "yes" | "no" | [0-9]{1,3}`}
	case 5:
		r.Format.Kind = inference.FormatJSONObject
		r.MaxTokens = 40
	case 6:
		doc = `{"type":"object","patternProperties":{"^a":{"if":{"type":"string"}}}}`
	}
	if doc != "" {
		r.Format = inference.Format{Kind: inference.FormatJSONSchema, Schema: json.RawMessage(doc)}
	}
	var emit func(string) error
	if rng.IntN(2) == 0 {
		emit = func(string) error { return nil }
	}
	res, err := s.client.Generate(ctx, r, emit)
	return s.judge(doc, res, err)
}

// judge checks that an ask came to a legal end.
func (s *soak) judge(doc string, res *inference.Result, err error) string {
	for name, is := range map[string]error{"cancelled": context.Canceled, "busy": inference.ErrBusy, "too long": inference.ErrTooLong,
		"no answer fits": inference.ErrSchema, "unsupported": inference.ErrUnsupported} {
		if errors.Is(err, is) {
			return name
		}
	}
	if errors.Is(err, inference.ErrBadRequest) && doc != "" { // a random schema may contradict itself
		return "bad schema"
	}
	if err != nil {
		s.Errorf("an ask ended with %v", err)
		return "wrong"
	}
	if doc != "" {
		s.validate(doc, res.Text)
	}
	return string(res.Finish)
}

func (s *soak) validate(doc, answer string) {
	parsed, err := jsonschema.UnmarshalJSON(strings.NewReader(doc))
	if err != nil {
		s.Error(err)
		return
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("a.json", parsed); err != nil {
		s.Error(err)
		return
	}
	compiled, err := c.Compile("a.json")
	if err != nil {
		s.Errorf("schema %s: %v", doc, err)
		return
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(answer))
	if err == nil {
		err = compiled.Validate(value)
	}
	if err != nil {
		s.Errorf("schema %s: answer %q: %v", doc, answer, err)
	}
}

// garbage sends a body that is none, and wants to be told.
func (s *soak) garbage(rng *rand.Rand) string {
	conn, err := net.Dial("unix", s.socket)
	if err != nil {
		s.Error(err)
		return "wrong"
	}
	defer conn.Close()
	good := []byte(`{"messages":[{"role":"user","content":"hello"}],"max_tokens":4}`)
	good[rng.IntN(len(good)/3)] = byte(rng.IntN(32)) // never legal in JSON
	req, _ := http.NewRequest("POST", "http://engine/v1/chat/completions", strings.NewReader(string(good)))
	if err := req.Write(conn); err != nil {
		s.Error(err)
		return "wrong"
	}
	b, err := io.ReadAll(io.LimitReader(conn, 12))
	if err != nil || string(b) != "HTTP/1.1 400" {
		s.Errorf("a body that is no JSON: %q, %v", b, err)
	}
	return "bad body"
}

// vanish asks and goes away: in the middle of its request, at once, or while text comes.
func (s *soak) vanish(rng *rand.Rand) string {
	conn, err := net.Dial("unix", s.socket)
	if err != nil {
		s.Error(err)
		return "wrong"
	}
	defer conn.Close()
	body := fmt.Sprintf(`{"stream":true,"messages":[{"role":"user","content":"story %d"}]}`, rng.IntN(1000))
	text := fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: engine\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	if rng.IntN(3) == 0 {
		text = text[:rng.IntN(len(text))]
	}
	if _, err := io.WriteString(conn, text); err != nil {
		s.Error(err)
	}
	if rng.IntN(2) == 0 {
		_ = conn.SetReadDeadline(time.Now().Add(time.Duration(rng.IntN(60)) * time.Millisecond))
		_, _ = io.ReadAll(conn)
	}
	return "gone"
}

// settle waits until something has come down to what it should be.
func settle(t *testing.T, what string, most int, now func() int) {
	t.Helper()
	n := now()
	for end := time.Now().Add(20 * time.Second); n > most && time.Now().Before(end); n = now() {
		runtime.Gosched()
	}
	if n > most {
		stacks := make([]byte, 1<<16)
		t.Errorf("%s: %d, want %d at most\n%s", what, n, most, stacks[:runtime.Stack(stacks, true)])
	}
}

// resident is the memory of this process in bytes.
func resident(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skipf("no /proc here to count memory in: %v", err)
	}
	var size, pages int
	if _, err := fmt.Sscan(string(b), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// openFiles is how many files this process has open.
func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("no /proc here to count open files in: %v", err)
	}
	return len(entries)
}
