package inference

import (
	"errors"
	"fmt"
	"time"
)

// Sentinels for callers that decide by the kind of failure.
var (
	// ErrBadRequest: the request itself is wrong; sending it again is useless.
	ErrBadRequest = errors.New("bad request")
	// ErrTooLong: prompt and answer do not fit the context. See TooLongError.
	ErrTooLong = errors.New("too long for the context")
	// ErrUnsupported: a schema or grammar uses something the engine cannot hold an answer to.
	ErrUnsupported = errors.New("unsupported format")
	// ErrSchema: the answer could not be brought to the format before it was cut.
	ErrSchema = errors.New("answer does not fit its format")
	// ErrBusy: queue or slots are full; try again later. See BusyError.
	ErrBusy = errors.New("busy")
	// ErrNotReady: no model is loaded yet.
	ErrNotReady = errors.New("not ready")
	// ErrUnavailable: the engine could not be reached or went away in mid-answer.
	ErrUnavailable = errors.New("engine unavailable")
)

// TooLongError refuses an ask that cannot fit, with its numbers in tokens.
type TooLongError struct {
	Prompt  int // tokens of the prompt
	Answer  int // tokens asked for
	Context int // tokens that fit in all
}

func (e *TooLongError) Error() string {
	return fmt.Sprintf("prompt of %d tokens and answer of %d do not fit the context of %d: shorten the prompt or raise engine.ctx",
		e.Prompt, e.Answer, e.Context)
}

func (e *TooLongError) Unwrap() error { return ErrTooLong }

// BusyError refuses an ask for now and says when to come back.
type BusyError struct {
	Retry time.Duration
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("all slots and places are taken: try again in %s", e.Retry.Round(time.Millisecond))
}

func (e *BusyError) Unwrap() error { return ErrBusy }
