package engine

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lineside/inference"
	"lineside/inference/chat"
	"lineside/inference/constraint"
)

// ask is a request on its way through the engine: made and followed by the
// caller's goroutine, worked on by Run's.
type ask struct {
	chat.Prompt
	req     *inference.Request
	stops   []string
	format  *constraint.Constraint // nil for free text
	pinning bool                   // only the prompt is wanted, to be pinned
	arrived time.Time
	place   place // in the queue

	cut atomic.Pointer[inference.Finish] // why the caller wants it to end now

	news   chan struct{} // something to take
	done   chan struct{} // closed when result or err is there
	result *inference.Result
	err    error

	mu  sync.Mutex
	out strings.Builder // text that the caller has not taken
}

func newAsk(r *inference.Request, now time.Time) *ask {
	return &ask{req: r, arrived: now, news: make(chan struct{}, 1), done: make(chan struct{})}
}

// end asks the engine to end the ask at its next step. The first reason stays.
func (a *ask) end(why inference.Finish) { a.cut.CompareAndSwap(nil, &why) }

// over is why the ask is to end, or "".
func (a *ask) over() inference.Finish {
	if why := a.cut.Load(); why != nil {
		return *why
	}
	return ""
}

// say hands text to the caller without ever waiting for it.
func (a *ask) say(text string) {
	if text == "" {
		return
	}
	a.mu.Lock()
	a.out.WriteString(text)
	a.mu.Unlock()
	select {
	case a.news <- struct{}{}:
	default:
	}
}

func (a *ask) take() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	text := a.out.String()
	a.out.Reset()
	return text
}

// close ends the ask for good.
func (a *ask) close(result *inference.Result, err error) {
	a.result, a.err = result, err
	close(a.done)
}

// follow passes text on to emit until the ask is over. wake is called when the
// engine should look at the ask.
func (a *ask) follow(ctx context.Context, wake func(), emit func(string) error) (*inference.Result, error) {
	var deadline <-chan time.Time
	if !a.req.Deadline.IsZero() {
		timer := time.NewTimer(time.Until(a.req.Deadline))
		defer timer.Stop()
		deadline = timer.C
	}
	cancelled := ctx.Done()
	var broken error // of emit
	pass := func() {
		if text := a.take(); text != "" && broken == nil && emit != nil {
			if err := emit(text); err != nil {
				broken = fmt.Errorf("hand out the answer: %w", err)
				a.end(inference.FinishCancelled)
				wake()
			}
		}
	}
	for {
		select {
		case <-a.news:
			pass()
		case <-cancelled:
			cancelled = nil
			a.end(inference.FinishCancelled)
			wake()
		case <-deadline:
			deadline = nil
			a.end(inference.FinishDeadline)
			wake()
		case <-a.done:
			pass()
			switch {
			case a.err != nil:
				return a.result, a.err
			case broken != nil:
				return a.result, broken
			case a.over() == inference.FinishCancelled && a.result.Finish == inference.FinishCancelled:
				return a.result, context.Cause(ctx)
			}
			return a.result, nil
		}
	}
}
