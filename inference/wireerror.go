package inference

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// WireError is the error object of the OpenAI API. Code is a stable word.
type WireError struct {
	Message string `json:"message"`
	Type    string `json:"type"`
	Code    string `json:"code"`
	RetryMS int64  `json:"retry_ms,omitempty"`

	// With code context_length_exceeded, in tokens.
	Prompt  int `json:"prompt_tokens,omitempty"`
	Answer  int `json:"answer_tokens,omitempty"`
	Context int `json:"context_tokens,omitempty"`
}

// wireCodes ties each sentinel to its word and HTTP status. Order matters:
// the first that an error wraps is sent.
var wireCodes = []struct {
	err    error
	code   string
	kind   string
	status int
}{
	{ErrTooLong, "context_length_exceeded", "invalid_request_error", http.StatusBadRequest},
	{ErrUnsupported, "unsupported_format", "invalid_request_error", http.StatusBadRequest},
	{ErrBadRequest, "bad_request", "invalid_request_error", http.StatusBadRequest},
	{ErrSchema, "schema_failed", "server_error", http.StatusUnprocessableEntity},
	{ErrBusy, "busy", "server_error", http.StatusServiceUnavailable},
	{ErrNotReady, "not_ready", "server_error", http.StatusServiceUnavailable},
	{ErrUnavailable, "unavailable", "server_error", http.StatusBadGateway},
}

// ToWire says an error in the API's terms, with its HTTP status.
func ToWire(err error) (*WireError, int) {
	w, status := &WireError{Message: err.Error(), Type: "server_error", Code: "internal"}, http.StatusInternalServerError
	for _, c := range wireCodes {
		if errors.Is(err, c.err) {
			w.Type, w.Code, status = c.kind, c.code, c.status
			break
		}
	}
	if long, ok := errors.AsType[*TooLongError](err); ok {
		w.Prompt, w.Answer, w.Context = long.Prompt, long.Answer, long.Context
	}
	if busy, ok := errors.AsType[*BusyError](err); ok {
		w.RetryMS = max(1, busy.Retry.Milliseconds())
	}
	return w, status
}

// Err is the way back from ToWire: the same sentinels answer errors.Is.
func (w *WireError) Err() error {
	switch {
	case w.Code == "context_length_exceeded" && w.Context > 0:
		return &TooLongError{Prompt: w.Prompt, Answer: w.Answer, Context: w.Context}
	case w.Code == "busy":
		return &BusyError{Retry: time.Duration(w.RetryMS) * time.Millisecond}
	}
	for _, c := range wireCodes {
		if c.code == w.Code {
			return &remoteError{w.Message, c.err}
		}
	}
	return fmt.Errorf("engine answered: %s", w.Message)
}

// remoteError keeps the words of the far side and the sentinel of this one.
type remoteError struct {
	text string
	kind error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.kind }
