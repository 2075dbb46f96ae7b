package inference

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// The wire: the part of the OpenAI chat API that the appliance speaks, with the
// appliance's own additions under "lineside". Source: OpenAI API reference,
// chat completions.

// ChatRequest is the body of POST /v1/chat/completions.
type ChatRequest struct {
	Model          string          `json:"model,omitempty"`
	Messages       []ChatMessage   `json:"messages"`
	Stream         bool            `json:"stream,omitempty"`
	StreamOptions  *StreamOptions  `json:"stream_options,omitempty"`
	Temperature    *float32        `json:"temperature,omitempty"`
	TopP           float32         `json:"top_p,omitempty"`
	MinP           float32         `json:"min_p,omitempty"`
	TopK           int             `json:"top_k,omitempty"`
	Seed           uint64          `json:"seed,omitempty"`
	MaxTokens      int             `json:"max_tokens,omitempty"`
	MaxCompletion  int             `json:"max_completion_tokens,omitempty"`
	Stop           Texts           `json:"stop,omitempty"`
	ResponseFormat *ResponseFormat `json:"response_format,omitempty"`
	Grammar        string          `json:"grammar,omitempty"` // GBNF, as llama-server takes it
	User           string          `json:"user,omitempty"`
	Lineside       *Extras         `json:"lineside,omitempty"`

	// Fields of the OpenAI API that change the answer and that the appliance
	// does not have. They are read to be refused by name.
	N                int               `json:"n,omitempty"`
	Tools            []json.RawMessage `json:"tools,omitempty"`
	Functions        []json.RawMessage `json:"functions,omitempty"`
	Logprobs         bool              `json:"logprobs,omitempty"`
	LogitBias        map[string]any    `json:"logit_bias,omitempty"`
	PresencePenalty  float64           `json:"presence_penalty,omitempty"`
	FrequencyPenalty float64           `json:"frequency_penalty,omitempty"`
}

// Extras are the appliance's additions to a chat request.
type Extras struct {
	Priority      int    `json:"priority,omitempty"`
	DeadlineMS    int64  `json:"deadline_ms,omitempty"` // from arrival; 0 means none
	Deterministic bool   `json:"deterministic,omitempty"`
	Pin           bool   `json:"pin,omitempty"`
	Adapter       string `json:"adapter,omitempty"` // name of a LoRA adapter beside the model
}

// StreamOptions asks for a last event that carries the usage.
type StreamOptions struct {
	IncludeUsage bool `json:"include_usage,omitempty"`
}

// ResponseFormat holds the answer to a shape.
type ResponseFormat struct {
	Type       FormatKind  `json:"type"`
	JSONSchema *JSONSchema `json:"json_schema,omitempty"`
}

// JSONSchema names the schema of a ResponseFormat.
type JSONSchema struct {
	Name   string          `json:"name"`
	Strict bool            `json:"strict,omitempty"`
	Schema json.RawMessage `json:"schema"`
}

// ChatMessage is Message whose content may also come as a list of text parts.
type ChatMessage Message

// UnmarshalJSON reads content as text or as a list of text parts; any other
// kind of part is refused by name.
func (m *ChatMessage) UnmarshalJSON(b []byte) error {
	var raw struct {
		Role    string          `json:"role"`
		Content json.RawMessage `json:"content"`
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	m.Role = raw.Role
	if len(raw.Content) == 0 || bytes.Equal(raw.Content, []byte("null")) {
		return nil
	}
	if raw.Content[0] != '[' {
		return json.Unmarshal(raw.Content, &m.Content)
	}
	var parts []struct{ Type, Text string }
	if err := json.Unmarshal(raw.Content, &parts); err != nil {
		return err
	}
	for _, p := range parts {
		if p.Type != "text" {
			return fmt.Errorf("message part of type %q: only text can be asked", p.Type)
		}
		m.Content += p.Text
	}
	return nil
}

// Texts is a list of texts that may also be written as one text.
type Texts []string

// UnmarshalJSON reads a text or a list of texts.
func (t *Texts) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*t = Texts{s}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(t))
}

// refused names the first field that would change the answer in a way the
// appliance cannot give.
func (c *ChatRequest) refused() string {
	switch {
	case c.N > 1:
		return "n"
	case len(c.Tools) > 0:
		return "tools"
	case len(c.Functions) > 0:
		return "functions"
	case c.Logprobs:
		return "logprobs"
	case len(c.LogitBias) > 0:
		return "logit_bias"
	case c.PresencePenalty != 0:
		return "presence_penalty"
	case c.FrequencyPenalty != 0:
		return "frequency_penalty"
	}
	return ""
}

// Request turns the body into a checked request that arrived at now. A missing temperature is
// greedy: a plant wants the same answer twice. Errors wrap ErrBadRequest.
func (c *ChatRequest) Request(now time.Time) (*Request, error) {
	if f := c.refused(); f != "" {
		return nil, fmt.Errorf("%w: %q is not supported: leave it out", ErrBadRequest, f)
	}
	r := &Request{
		Client:    c.User,
		Sampling:  Sampling{TopP: c.TopP, MinP: c.MinP, TopK: c.TopK, Seed: c.Seed},
		MaxTokens: max(c.MaxTokens, c.MaxCompletion),
		Stop:      c.Stop,
	}
	if c.Temperature != nil {
		r.Sampling.Temperature = *c.Temperature
	}
	for _, m := range c.Messages {
		r.Messages = append(r.Messages, Message(m))
	}
	if x := c.Lineside; x != nil {
		r.Priority, r.Deterministic, r.Pin, r.Adapter = x.Priority, x.Deterministic, x.Pin, x.Adapter
		if x.DeadlineMS < 0 || x.DeadlineMS > math.MaxInt64/int64(time.Millisecond) {
			return nil, fmt.Errorf("%w: lineside.deadline_ms is %d: want 0 or more", ErrBadRequest, x.DeadlineMS)
		}
		if x.DeadlineMS > 0 {
			r.Deadline = now.Add(time.Duration(x.DeadlineMS) * time.Millisecond)
		}
	}
	var err error
	if r.Format, err = c.format(); err != nil {
		return nil, err
	}
	return r, r.Validate()
}

func (c *ChatRequest) format() (Format, error) {
	f := Format{}
	if c.ResponseFormat != nil {
		f.Kind = c.ResponseFormat.Type
		if s := c.ResponseFormat.JSONSchema; s != nil {
			f.Schema = s.Schema
		}
	}
	if c.Grammar == "" {
		return f, nil
	}
	if f.Kind != "" && f.Kind != FormatText {
		return f, fmt.Errorf("%w: both grammar and response_format are given: leave one out", ErrBadRequest)
	}
	return Format{Kind: FormatGrammar, Grammar: c.Grammar}, nil
}

// chatRequest is Request's way onto the wire, at now.
func chatRequest(r *Request, now time.Time) *ChatRequest {
	t := r.Sampling.Temperature
	c := &ChatRequest{
		Stream: true, StreamOptions: &StreamOptions{IncludeUsage: true},
		Temperature: &t, TopP: r.Sampling.TopP, MinP: r.Sampling.MinP, TopK: r.Sampling.TopK, Seed: r.Sampling.Seed,
		MaxTokens: r.MaxTokens, Stop: r.Stop, User: r.Client,
	}
	for _, m := range r.Messages {
		c.Messages = append(c.Messages, ChatMessage(m))
	}
	x := Extras{Priority: r.Priority, Deterministic: r.Deterministic, Pin: r.Pin, Adapter: r.Adapter}
	if !r.Deadline.IsZero() {
		x.DeadlineMS = max(1, r.Deadline.Sub(now).Milliseconds())
	}
	if x != (Extras{}) {
		c.Lineside = &x
	}
	switch r.Format.Kind {
	case FormatGrammar:
		c.Grammar = r.Format.Grammar
	case FormatJSONSchema:
		c.ResponseFormat = &ResponseFormat{Type: FormatJSONSchema, JSONSchema: &JSONSchema{Name: "answer", Strict: true, Schema: r.Format.Schema}}
	case FormatJSONObject:
		c.ResponseFormat = &ResponseFormat{Type: FormatJSONObject}
	}
	return c
}

// ChatResponse is a whole answer, or one event of a streamed one (Object says which).
type ChatResponse struct {
	ID       string      `json:"id"`
	Object   string      `json:"object"` // "chat.completion" or "chat.completion.chunk"
	Created  int64       `json:"created"`
	Model    string      `json:"model"`
	Choices  []Choice    `json:"choices"`
	Usage    *ChatUsage  `json:"usage,omitempty"`
	Lineside *ChatExtras `json:"lineside,omitempty"` // with the usage
	Error    *WireError  `json:"error,omitempty"`    // an answer that failed after it had begun
}

// Choice is the answer, or a piece of it.
type Choice struct {
	Index        int          `json:"index"`
	Message      *ChatMessage `json:"message,omitempty"`
	Delta        *Delta       `json:"delta,omitempty"`
	FinishReason *string      `json:"finish_reason"`
}

// Delta is a piece of a streamed answer.
type Delta struct {
	Role    string `json:"role,omitempty"`
	Content string `json:"content,omitempty"`
}

// ChatUsage counts tokens as the OpenAI API does.
type ChatUsage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
	PromptDetails    struct {
		CachedTokens int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
	CompletionDetails struct {
		AcceptedPredictionTokens int `json:"accepted_prediction_tokens"`
		RejectedPredictionTokens int `json:"rejected_prediction_tokens"`
	} `json:"completion_tokens_details"`
}

// ChatExtras carries what the OpenAI API has no place for.
type ChatExtras struct {
	Finish  Finish  `json:"finish"`   // finish_reason without OpenAI's narrower list
	QueueMS float64 `json:"queue_ms"` // waiting for a slot
	FirstMS float64 `json:"first_ms"` // from arrival to the first text
	TotalMS float64 `json:"total_ms"` // from arrival to the end
	Forced  int     `json:"forced_tokens"`
}

// Wire puts the result's counts and times into OpenAI's terms.
func (r *Result) Wire() (*ChatUsage, *ChatExtras) {
	u := &ChatUsage{PromptTokens: r.Usage.Prompt, CompletionTokens: r.Usage.Completion, TotalTokens: r.Usage.Prompt + r.Usage.Completion}
	u.PromptDetails.CachedTokens = r.Usage.Cached
	u.CompletionDetails.AcceptedPredictionTokens = r.Usage.Accepted
	u.CompletionDetails.RejectedPredictionTokens = r.Usage.Drafted - r.Usage.Accepted
	return u, &ChatExtras{
		Finish:  r.Finish,
		QueueMS: millis(r.Timings.Queue), FirstMS: millis(r.Timings.First), TotalMS: millis(r.Timings.Total),
		Forced: r.Usage.Forced,
	}
}

// absorb is the way back from Wire.
func (r *Result) absorb(u *ChatUsage, x *ChatExtras) {
	if u != nil {
		r.Usage = Usage{
			Prompt: u.PromptTokens, Cached: u.PromptDetails.CachedTokens, Completion: u.CompletionTokens,
			Accepted: u.CompletionDetails.AcceptedPredictionTokens,
			Drafted:  u.CompletionDetails.AcceptedPredictionTokens + u.CompletionDetails.RejectedPredictionTokens,
		}
	}
	if x != nil {
		r.Usage.Forced = x.Forced
		r.Finish = x.Finish
		r.Timings = Timings{Queue: duration(x.QueueMS), First: duration(x.FirstMS), Total: duration(x.TotalMS)}
	}
}

func millis(d time.Duration) float64    { return float64(d.Microseconds()) / 1000 }
func duration(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

// ReasonOnWire is the OpenAI word for a finish: its list has no deadline.
func (f Finish) ReasonOnWire() string {
	if f == FinishStop {
		return "stop"
	}
	return "length"
}
