// Package serve offers a Backend as the OpenAI chat API over HTTP: chat
// completions with streaming and usage, models, health and metrics, and the
// few calls of our own by which the daemon steers an engine.
//
// It never opens a network of its own (the caller brings the listener), never
// decides who may ask, and keeps nothing of what was asked.
package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"lineside/inference"
)

// maxBody bounds a request body in bytes.
const maxBody = 1 << 20

// drain is how long running answers may finish after the end was asked for.
const drain = 5 * time.Second

// Backend is a loaded model that answers.
type Backend interface {
	Generate(ctx context.Context, r *inference.Request, emit func(text string) error) (*inference.Result, error)
	Pin(ctx context.Context, messages []inference.Message) error
	SetLimits(l inference.Limits) error
	Health() inference.Health
}

// Server answers while a model loads, when it is there, and when it could not
// be loaded. The zero value is loading.
type Server struct {
	// Metrics serves /metrics; nil means there is none.
	Metrics http.Handler
	// File is the path of the model, for the daemon to know which it is.
	File string
	// Exit ends the program, for the daemon to have another model loaded; nil: it cannot.
	Exit func()

	state atomic.Pointer[state]
}

type state struct {
	backend  Backend // nil until the model is there
	progress float64
	failed   error
}

// Loading shows how far the model is, 0 to 1.
func (s *Server) Loading(progress float64) { s.state.Store(&state{progress: progress}) }

// Ready puts the model at work.
func (s *Server) Ready(b Backend) { s.state.Store(&state{backend: b}) }

// Failed says why there is no model.
func (s *Server) Failed(err error) { s.state.Store(&state{failed: err}) }

func (s *Server) now() *state {
	if st := s.state.Load(); st != nil {
		return st
	}
	return &state{}
}

// backend is the model, or why there is none.
func (s *Server) backend() (Backend, error) {
	st := s.now()
	switch {
	case st.backend != nil:
		return st.backend, nil
	case st.failed != nil:
		return nil, fmt.Errorf("%w: %w", inference.ErrNotReady, st.failed)
	}
	return nil, fmt.Errorf("%w: the model is %.0f%% loaded", inference.ErrNotReady, 100*st.progress)
}

// Handler is the API.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", s.chat)
	mux.HandleFunc("GET /v1/models", s.models)
	mux.HandleFunc("GET /health", s.health)
	mux.HandleFunc("GET /lineside/health", s.ownHealth)
	mux.HandleFunc("POST /lineside/limits", s.limits)
	mux.HandleFunc("POST /lineside/pin", s.pin)
	if s.Exit != nil {
		mux.HandleFunc("POST /lineside/exit", s.exit)
	}
	if s.Metrics != nil {
		mux.Handle("GET /metrics", s.Metrics)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, &inference.WireError{
			Message: fmt.Sprintf("no %s %s here: ask POST /v1/chat/completions", r.Method, r.URL.Path),
			Type:    "invalid_request_error", Code: "not_found",
		})
	})
	return mux
}

// Run serves on ln until ctx ends, then lets running answers finish for a short while.
func (s *Server) Run(ctx context.Context, ln net.Listener) error {
	hs := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10}
	served := make(chan error, 1)
	go func() { served <- hs.Serve(ln) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve on %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if err := hs.Shutdown(end); err != nil {
		hs.Close()
	}
	<-served
	return nil
}

func (s *Server) models(w http.ResponseWriter, _ *http.Request) {
	type model struct {
		ID      string `json:"id"`
		Object  string `json:"object"`
		OwnedBy string `json:"owned_by"`
	}
	list := []model{}
	if st := s.now(); st.backend != nil {
		list = append(list, model{st.backend.Health().Model, "model", "lineside"})
	}
	reply(w, http.StatusOK, map[string]any{"object": "list", "data": list})
}

// health is for load balancers and peers' clients: 200 only when an ask would be taken.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	h := s.describe()
	code := http.StatusOK
	if h.State != "ok" {
		code = http.StatusServiceUnavailable
	}
	reply(w, code, h)
}

// ownHealth is for the daemon: a loading engine is news, not an error.
func (s *Server) ownHealth(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, s.describe())
}

func (s *Server) describe() inference.Health {
	st := s.now()
	h := inference.Health{State: "loading", Progress: st.progress}
	switch {
	case st.backend != nil:
		h = st.backend.Health()
		h.State = "ok"
	case st.failed != nil:
		h = inference.Health{State: "failed", Why: st.failed.Error()}
	}
	h.File = s.File
	return h
}

// exit answers before it ends: Run lets running answers finish.
func (s *Server) exit(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]string{"status": "ok"})
	s.Exit()
}

func (s *Server) limits(w http.ResponseWriter, r *http.Request) {
	b, err := s.backend()
	if err != nil {
		refuseErr(w, err)
		return
	}
	var l inference.Limits
	if err := decode(w, r, &l); err != nil {
		refuseErr(w, err)
		return
	}
	if err := b.SetLimits(l); err != nil {
		refuseErr(w, err)
		return
	}
	reply(w, http.StatusOK, map[string]string{"status": "ok"})
}

func (s *Server) pin(w http.ResponseWriter, r *http.Request) {
	b, err := s.backend()
	if err != nil {
		refuseErr(w, err)
		return
	}
	var in struct {
		Messages []inference.Message `json:"messages"`
	}
	if err := decode(w, r, &in); err != nil {
		refuseErr(w, err)
		return
	}
	if err := b.Pin(r.Context(), in.Messages); err != nil {
		refuseErr(w, err)
		return
	}
	reply(w, http.StatusOK, map[string]string{"status": "ok"})
}

// decode reads a JSON body of bounded size. Errors wrap ErrBadRequest.
func decode(w http.ResponseWriter, r *http.Request, into any) error {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	if err := dec.Decode(into); err != nil {
		if tooBig, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return fmt.Errorf("%w: body is larger than %d bytes", inference.ErrBadRequest, tooBig.Limit)
		}
		if errors.Is(err, inference.ErrBadRequest) {
			return err
		}
		return fmt.Errorf("%w: body is not the JSON expected: %w", inference.ErrBadRequest, err)
	}
	return nil
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// A client that went away is nobody to report to.
	_ = json.NewEncoder(w).Encode(v)
}

func refuseErr(w http.ResponseWriter, err error) {
	we, status := inference.ToWire(err)
	refuse(w, status, we)
}

func refuse(w http.ResponseWriter, status int, we *inference.WireError) {
	if we.RetryMS > 0 {
		w.Header().Set("Retry-After", fmt.Sprint((we.RetryMS+999)/1000))
	}
	reply(w, status, map[string]any{"error": we})
}
