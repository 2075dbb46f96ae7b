package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lineside/inference"
	"lineside/inference/engine"
	"lineside/inference/engine/enginetest"
)

// house is an engine over the fake, running until the test ends.
type house struct {
	*engine.Engine
	fake *enginetest.Fake
	voc  *enginetest.Vocabulary
	stop func() // ends Run and waits for it
}

var voc = enginetest.NewVocabulary()

func open(t testing.TB, cfg enginetest.Config, o engine.Options) *house {
	t.Helper()
	h := &house{fake: enginetest.New(voc, cfg), voc: voc}
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	var err error
	if h.Engine, err = engine.New(h.fake, voc, enginetest.Template{Voc: voc}, o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
		if n := h.fake.Used(); n != 0 {
			t.Errorf("%d cells taken after the end", n)
		}
	})
	t.Cleanup(h.stop)
	return h
}

// text asks for free text.
func text(system, user string) *inference.Request {
	r := &inference.Request{MaxTokens: 40}
	if system != "" {
		r.Messages = append(r.Messages, inference.Message{Role: inference.RoleSystem, Content: system})
	}
	r.Messages = append(r.Messages, inference.Message{Role: inference.RoleUser, Content: user})
	return r
}

// ask answers and makes sure that what was streamed is what came out.
func (h *house) ask(t testing.TB, r *inference.Request) *inference.Result {
	t.Helper()
	var streamed strings.Builder
	res, err := h.Generate(t.Context(), r, func(s string) error { streamed.WriteString(s); return nil })
	if err != nil {
		t.Fatalf("ask %q: %v", r.Messages[len(r.Messages)-1].Content, err)
	}
	if streamed.String() != res.Text {
		t.Errorf("streamed %q, result %q", streamed.String(), res.Text)
	}
	return res
}

// idle waits until the books are closed on all that was asked.
func (h *house) idle(t testing.TB) engine.Stats {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		if s := h.Stats(); s.Running == 0 && s.Waiting == 0 {
			return s
		}
		if time.Now().After(end) {
			t.Fatalf("still at work: %+v", h.Stats())
		}
	}
}

func TestAnswer(t *testing.T) {
	h := open(t, enginetest.Config{}, engine.Options{Model: "fake"})
	res := h.ask(t, text("You answer for line 4.", "What now?"))
	if res.Text == "" || res.Finish == "" || res.Model != "fake" || res.Usage.Completion == 0 || res.Usage.Prompt == 0 {
		t.Errorf("result %+v", res)
	}
	again := h.ask(t, text("You answer for line 4.", "What now?"))
	if again.Text != res.Text {
		t.Errorf("the same ask gave %q, then %q", res.Text, again.Text)
	}
	if again.Usage.Cached < again.Usage.Prompt-1 {
		t.Errorf("%d of %d prompt tokens were cached", again.Usage.Cached, again.Usage.Prompt)
	}
}

func TestMaxTokens(t *testing.T) {
	h := open(t, enginetest.Config{EndOneIn: -1}, engine.Options{})
	r := text("", "go on")
	r.MaxTokens = 7
	if res := h.ask(t, r); res.Finish != inference.FinishLength || res.Usage.Completion != 7 {
		t.Errorf("result %+v", res)
	}
}

// TestContextEnd: without max_tokens the answer goes on to the end of the context.
func TestContextEnd(t *testing.T) {
	h := open(t, enginetest.Config{EndOneIn: -1, Cells: 600}, engine.Options{})
	r := text("", "go on")
	r.MaxTokens = 0
	res := h.ask(t, r)
	if res.Finish != inference.FinishLength || res.Usage.Completion+res.Usage.Prompt != 600 {
		t.Errorf("finish %s, %d tokens of prompt, %d of answer", res.Finish, res.Usage.Prompt, res.Usage.Completion)
	}
}

func TestTooLong(t *testing.T) {
	h := open(t, enginetest.Config{Cells: 256}, engine.Options{})
	r := text("", strings.Repeat("x y ", 200))
	_, err := h.Generate(t.Context(), r, nil)
	var long *inference.TooLongError
	if !errors.As(err, &long) || long.Context != 256 || long.Prompt < 256 || long.Answer != 40 {
		t.Errorf("error %v", err)
	}
}

func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, enginetest.Config{EndOneIn: -1, PassTime: every(10 * time.Millisecond)}, engine.Options{Slots: 1, Queue: 2})
		var wg sync.WaitGroup
		var mu sync.Mutex
		busy := 0
		for i := range 6 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				_, err := h.Generate(t.Context(), text("", fmt.Sprint("ask ", i)), nil)
				var b *inference.BusyError
				if errors.As(err, &b) {
					mu.Lock()
					busy++
					mu.Unlock()
					if b.Retry <= 0 {
						t.Errorf("retry in %s", b.Retry)
					}
				} else if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if busy != 3 {
			t.Errorf("%d of 6 asks were turned away, want 3: one runs, two wait", busy)
		}
		h.stop()
	})
}

// every gives each pass the same time.
func every(d time.Duration) func([]engine.Token) time.Duration {
	return func([]engine.Token) time.Duration { return d }
}

func TestAfterTheEnd(t *testing.T) {
	h := open(t, enginetest.Config{}, engine.Options{})
	h.stop()
	if _, err := h.Generate(t.Context(), text("", "hello"), nil); !errors.Is(err, inference.ErrUnavailable) {
		t.Errorf("error %v, want ErrUnavailable", err)
	}
}

// TestStopInMidAnswer: the end of Run gives every ask its answer.
func TestStopInMidAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t, enginetest.Config{EndOneIn: -1, PassTime: every(time.Second)}, engine.Options{Slots: 1})
		for i := range 3 {
			go func() {
				if _, err := h.Generate(t.Context(), text("", fmt.Sprint(i)), nil); !errors.Is(err, inference.ErrUnavailable) {
					t.Errorf("error %v, want ErrUnavailable", err)
				}
			}()
		}
		time.Sleep(3500 * time.Millisecond)
		h.stop()
	})
}

func TestFaults(t *testing.T) {
	fail := 0
	h := open(t, enginetest.Config{Fault: func([]engine.Token) error {
		if fail > 0 {
			fail--
			return errors.New("cosmic ray")
		}
		return nil
	}}, engine.Options{})
	want := h.ask(t, text("A system.", "What now?")).Text
	fail = 1
	if _, err := h.Generate(t.Context(), text("A system.", "Another?"), nil); !errors.Is(err, inference.ErrUnavailable) {
		t.Errorf("error %v, want ErrUnavailable", err)
	}
	if got := h.ask(t, text("A system.", "What now?")).Text; got != want {
		t.Errorf("after a fault %q, before %q", got, want)
	}
}

func TestGivesUp(t *testing.T) {
	fake := enginetest.New(voc, enginetest.Config{Fault: func([]engine.Token) error { return errors.New("broken memory") }})
	e, err := engine.New(fake, voc, enginetest.Template{Voc: voc}, engine.Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- e.Run(t.Context()) }()
	for range 3 {
		if _, err := e.Generate(t.Context(), text("", "hello"), nil); !errors.Is(err, inference.ErrUnavailable) {
			t.Errorf("error %v", err)
		}
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "broken memory") {
		t.Errorf("run ended with %v", err)
	}
}
