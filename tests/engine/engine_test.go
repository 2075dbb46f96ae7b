// Package engine_test runs the engine over the real runtime and a tiny model:
// what the fake cannot show. It needs cgo.
package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"

	"lineside/inference"
	"lineside/inference/chat"
	"lineside/inference/engine"
	"lineside/inference/llama"
	"lineside/inference/model/gguf"
	"lineside/inference/model/modeltest"
	"lineside/inference/model/shape"
)

const schema = `{"type":"object","additionalProperties":false,"required":["severity","minutes","note"],
 "properties":{"severity":{"enum":["info","warning","critical"]},"minutes":{"type":"integer","minimum":0,"maximum":480},
  "note":{"type":"string","maxLength":20},"parts":{"type":"array","maxItems":3,"items":{"enum":["pump","valve"]}}}}`

// open runs an engine over a tiny model until the test ends.
func open(t *testing.T, o engine.Options) *engine.Engine {
	t.Helper()
	return openFile(t, modeltest.Tiny(t, "tiny", shape.Q4_0), llama.Options{}, o)
}

func openFile(t *testing.T, path string, lo llama.Options, o engine.Options) *engine.Engine {
	t.Helper()
	lo.Cells, lo.Sequences, lo.Batch, lo.Chunk, lo.Threads = 1024, 16, 128, 64, 2
	rt, err := llama.Open(t.Context(), path, lo)
	if errors.Is(err, llama.ErrNoCgo) {
		t.Skip("built without cgo")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rt.Close)
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	meta, err := chat.ReadMetadata(f.Header)
	if err != nil {
		t.Fatal(err)
	}
	template, err := chat.New(meta, rt.Vocabulary())
	if err != nil {
		t.Fatal(err)
	}
	o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	e, err := engine.New(rt, rt.Vocabulary(), template, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return e
}

func request(system, user string) *inference.Request {
	return &inference.Request{MaxTokens: 60, Messages: []inference.Message{
		{Role: inference.RoleSystem, Content: system}, {Role: inference.RoleUser, Content: user}}}
}

const manual = "You answer for line 4. E100: pump valve conveyor. E101: spindle coolant pressure. E102: drive axis sensor."

// TestDeterministicUnderLoad: the same bytes alone and among others, on real arithmetic.
func TestDeterministicUnderLoad(t *testing.T) {
	e := open(t, engine.Options{})
	if err := e.Pin(t.Context(), []inference.Message{{Role: inference.RoleSystem, Content: manual}}); err != nil {
		t.Fatal(err)
	}
	exact := func(i int) string {
		r := request(manual, fmt.Sprint("exact ", i))
		r.Deterministic = true
		if i == 1 {
			r.Sampling = inference.Sampling{Temperature: 1, Seed: 7}
		}
		res, err := e.Generate(t.Context(), r, nil)
		if err != nil {
			t.Error(err)
			return ""
		}
		return res.Text
	}
	want := []string{exact(0), exact(1)}
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			if _, err := e.Generate(t.Context(), request(manual, fmt.Sprint("noise ", i)), nil); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if got := exact(i % 2); got != want[i%2] {
				t.Errorf("under load %q, alone %q", got, want[i%2])
			}
		})
	}
	wg.Wait()
}

// TestRestart: a pinned prefix is found again by the next engine, and used.
func TestRestart(t *testing.T) {
	o := engine.Options{StateDir: t.TempDir(), StateKey: "tiny"}
	skill := []inference.Message{{Role: inference.RoleSystem, Content: manual}}
	var want string
	t.Run("before", func(t *testing.T) {
		e := open(t, o)
		if err := e.Pin(t.Context(), skill); err != nil {
			t.Fatal(err)
		}
		res, err := e.Generate(t.Context(), request(manual, "what now?"), nil)
		if err != nil {
			t.Fatal(err)
		}
		want = res.Text
	})
	t.Run("after", func(t *testing.T) {
		e := open(t, o)
		res, err := e.Generate(t.Context(), request(manual, "what now?"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if res.Text != want || res.Usage.Cached*2 < res.Usage.Prompt {
			t.Errorf("%q with %d of %d tokens cached, before %q", res.Text, res.Usage.Cached, res.Usage.Prompt, want)
		}
	})
}
