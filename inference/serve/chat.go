package serve

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"lineside/inference"
)

// writeTimeout is how long a client may refuse to take one piece of its answer
// before it counts as gone.
const writeTimeout = 10 * time.Second

func (s *Server) chat(w http.ResponseWriter, r *http.Request) {
	b, err := s.backend()
	if err != nil {
		refuseErr(w, err)
		return
	}
	var in inference.ChatRequest
	if err := decode(w, r, &in); err != nil {
		refuseErr(w, err)
		return
	}
	now := time.Now()
	req, err := in.Request(now)
	if err != nil {
		refuseErr(w, err)
		return
	}
	req.ID = "chatcmpl-" + rand.Text()
	head := inference.ChatResponse{ID: req.ID, Created: now.Unix(), Model: b.Health().Model}
	if in.Stream {
		usage := in.StreamOptions != nil && in.StreamOptions.IncludeUsage
		stream(w, r, b, req, head, usage)
		return
	}
	res, err := b.Generate(r.Context(), req, nil)
	if err != nil {
		if r.Context().Err() == nil {
			refuseErr(w, err)
		}
		return
	}
	head.Object = "chat.completion"
	reason := res.Finish.ReasonOnWire()
	head.Choices = []inference.Choice{{
		Message: &inference.ChatMessage{Role: inference.RoleAssistant, Content: res.Text}, FinishReason: &reason,
	}}
	head.Usage, head.Lineside = res.Wire()
	reply(w, http.StatusOK, head)
}

// stream sends the answer as server-sent events. Until the first text nothing
// is sent, so that a refusal still has its own HTTP status.
func stream(w http.ResponseWriter, r *http.Request, b Backend, req *inference.Request, head inference.ChatResponse, usage bool) {
	head.Object = "chat.completion.chunk"
	out := &events{w: w, rc: http.NewResponseController(w), head: head}
	defer out.rc.SetWriteDeadline(time.Time{}) // the connection may carry another ask
	res, err := b.Generate(r.Context(), req, func(text string) error {
		return out.delta(inference.Delta{Content: text}, nil)
	})
	if err != nil {
		out.fail(r, err)
		return
	}
	reason := res.Finish.ReasonOnWire()
	if out.delta(inference.Delta{}, &reason) != nil {
		return
	}
	if usage {
		end := head
		end.Choices = []inference.Choice{}
		end.Usage, end.Lineside = res.Wire()
		if out.send(end) != nil {
			return
		}
	}
	_ = out.raw("[DONE]")
}

// events writes server-sent events.
type events struct {
	w     http.ResponseWriter
	rc    *http.ResponseController
	head  inference.ChatResponse
	begun bool
}

// delta sends a piece of the answer; the first one names the role too.
func (e *events) delta(d inference.Delta, finish *string) error {
	if !e.begun {
		d.Role = inference.RoleAssistant
	}
	ev := e.head
	ev.Choices = []inference.Choice{{Delta: &d, FinishReason: finish}}
	return e.send(ev)
}

func (e *events) send(ev inference.ChatResponse) error {
	data, err := json.Marshal(ev)
	if err != nil {
		return err
	}
	return e.raw(string(data))
}

func (e *events) raw(data string) error {
	if !e.begun {
		e.begun = true
		e.w.Header().Set("Content-Type", "text/event-stream")
		e.w.Header().Set("Cache-Control", "no-store")
		e.w.WriteHeader(http.StatusOK)
	}
	if err := e.rc.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := fmt.Fprintf(e.w, "data: %s\n\n", data); err != nil {
		return err
	}
	return e.rc.Flush()
}

// fail tells the client: with an HTTP status while nothing was sent, with an error event after.
func (e *events) fail(r *http.Request, err error) {
	if r.Context().Err() != nil {
		return
	}
	if !e.begun {
		refuseErr(e.w, err)
		return
	}
	ev := e.head
	ev.Choices = []inference.Choice{}
	ev.Error, _ = inference.ToWire(err)
	_ = e.send(ev)
}
