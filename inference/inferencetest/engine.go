package inferencetest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"lineside/inference"
)

// Engine answers from a script instead of a model. A token is a word, and the
// same ask gets the same answer. The zero value is ready.
type Engine struct {
	// Answer gives the words; nil echoes the last message.
	Answer func(r *inference.Request) string
	// Step is called before each word, and its error ends the answer: a test
	// can wait in it, count, or fail there. ctx is the ask's.
	Step func(ctx context.Context) error
	// Context is the number of tokens that fit; 0 means 4096.
	Context int
}

// Generate answers as a model would, word by word.
func (e *Engine) Generate(ctx context.Context, r *inference.Request, emit func(string) error) (*inference.Result, error) {
	start := time.Now()
	if err := r.Validate(); err != nil {
		return nil, err
	}
	words, err := e.words(r)
	if err != nil {
		return nil, err
	}
	res := &inference.Result{Model: "scripted", Finish: inference.FinishStop}
	for _, m := range r.Messages {
		res.Usage.Prompt += 4 + len(strings.Fields(m.Content))
	}
	size := e.Context
	if size == 0 {
		size = 4096
	}
	if res.Usage.Prompt+r.MaxTokens > size {
		return nil, &inference.TooLongError{Prompt: res.Usage.Prompt, Answer: r.MaxTokens, Context: size}
	}
	out := writer{emit: emit, stops: r.Stop}
	for _, w := range words {
		if r.MaxTokens > 0 && res.Usage.Completion == r.MaxTokens {
			res.Finish = inference.FinishLength
			break
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if e.Step != nil {
			if err := e.Step(ctx); err != nil {
				return nil, err
			}
		}
		if !r.Deadline.IsZero() && late(ctx, r.Deadline) {
			res.Finish = inference.FinishDeadline
			break
		}
		res.Usage.Completion++
		if res.Timings.First == 0 {
			res.Timings.First = max(1, time.Since(start))
		}
		stopped, err := out.write(w)
		if err != nil {
			return nil, err
		}
		if stopped {
			break
		}
	}
	if err := out.flush(); err != nil {
		return nil, err
	}
	if r.Format.Kind == inference.FormatJSONSchema && !json.Valid([]byte(out.sent)) {
		return nil, fmt.Errorf("%w: cut after %d tokens", inference.ErrSchema, res.Usage.Completion)
	}
	res.Text = out.sent
	res.Timings.Total = max(res.Timings.First, time.Since(start), 1)
	return res, nil
}

// late waits out the last moments before a deadline, so that a script of no
// length can still be late.
func late(ctx context.Context, deadline time.Time) bool {
	left := time.Until(deadline)
	if left > 50*time.Millisecond {
		return false
	}
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return true
}

// words is the whole answer in tokens.
func (e *Engine) words(r *inference.Request) ([]string, error) {
	switch r.Format.Kind {
	case inference.FormatJSONSchema:
		var s node
		if err := json.Unmarshal(r.Format.Schema, &s); err != nil {
			return nil, fmt.Errorf("%w: schema: %w", inference.ErrBadRequest, err)
		}
		if s.PatternProperties != nil {
			return nil, fmt.Errorf("%w: /patternProperties", inference.ErrUnsupported)
		}
		return strings.SplitAfter(s.instance(), ":"), nil
	case inference.FormatJSONObject:
		return []string{"{", "}"}, nil
	}
	if e.Answer != nil {
		return strings.SplitAfter(e.Answer(r), " "), nil
	}
	return strings.SplitAfter("You said: "+r.Messages[len(r.Messages)-1].Content, " "), nil
}

// node is as much of a JSON Schema as the script can give an instance of.
type node struct {
	Type              string            `json:"type"`
	Enum              []json.RawMessage `json:"enum"`
	Properties        map[string]node   `json:"properties"`
	PatternProperties map[string]node   `json:"patternProperties"`
	Required          []string          `json:"required"`
	Minimum           *float64          `json:"minimum"`
	Const             json.RawMessage   `json:"const"`
}

func (n node) instance() string {
	switch {
	case n.Const != nil:
		return string(n.Const)
	case len(n.Enum) > 0:
		return string(n.Enum[0])
	}
	switch n.Type {
	case "object":
		var b strings.Builder
		for i, k := range slices.Sorted(slices.Values(n.Required)) {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, "%q:%s", k, n.Properties[k].instance())
		}
		return "{" + b.String() + "}"
	case "array":
		return "[]"
	case "integer", "number":
		if n.Minimum != nil {
			return fmt.Sprint(*n.Minimum)
		}
		return "0"
	case "boolean":
		return "true"
	case "null":
		return "null"
	}
	return `"text"`
}

// writer holds back what may be the beginning of a stop text.
type writer struct {
	emit  func(string) error
	stops []string
	held  string
	sent  string
}

func (w *writer) write(text string) (stopped bool, err error) {
	w.held += text
	for _, s := range w.stops {
		if head, _, found := strings.Cut(w.held, s); found {
			w.held = head
			return true, nil
		}
	}
	keep := 0
	for _, s := range w.stops {
		for n := min(len(s)-1, len(w.held)); n > keep; n-- {
			if strings.HasSuffix(w.held, s[:n]) {
				keep = n
				break
			}
		}
	}
	out := w.held[:len(w.held)-keep]
	w.held = w.held[len(out):]
	return false, w.send(out)
}

func (w *writer) flush() error { return w.send(w.held) }

func (w *writer) send(text string) error {
	if text == "" {
		return nil
	}
	w.sent += text
	if w.emit == nil {
		return nil
	}
	return w.emit(text)
}
