package main

import (
	"context"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"lineside/inference"
	"lineside/inference/engine"
	"lineside/inference/engine/enginetest"
)

// TestMetrics: every figure is there once a model is, named as Prometheus wants it.
func TestMetrics(t *testing.T) {
	voc := enginetest.NewVocabulary()
	e, err := engine.New(enginetest.New(voc, enginetest.Config{}), voc, enginetest.Template{Voc: voc}, engine.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	for range 2 {
		r := &inference.Request{MaxTokens: 8, Messages: []inference.Message{{Role: inference.RoleSystem, Content: "You answer for line 4."}, {Role: inference.RoleUser, Content: "What now?"}}}
		r.Format = inference.Format{Kind: inference.FormatJSONSchema, Schema: []byte(`{"enum":["stop the line","call maintenance"]}`)}
		r.MaxTokens = 40
		if _, err := e.Generate(t.Context(), r, nil); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	f := &figures{}
	scrape := func() string {
		w := httptest.NewRecorder()
		f.handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		b, err := io.ReadAll(w.Body)
		if err != nil || w.Code != 200 {
			t.Fatalf("%d, %v: %s", w.Code, err, b)
		}
		return string(b)
	}
	if text := scrape(); strings.Contains(text, "lineside_engine") {
		t.Errorf("figures without a model:\n%s", text)
	}
	f.engine.Store(e)
	text := scrape()
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for _, m := range table {
		if !strings.Contains(text, "\n"+m.name+" ") {
			t.Errorf("%s is missing", m.name)
		}
	}
	for _, want := range []string{`lineside_engine_asks_answered_total{finish="stop"} 2`, "lineside_engine_asks_waiting 0", "lineside_engine_pass_tokens_bucket"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, positive := range []string{"forced_tokens_total", "cached_tokens_total", "prefill_tokens_total"} {
		if strings.Contains(text, "lineside_engine_"+positive+" 0\n") {
			t.Errorf("%s is 0", positive)
		}
	}
}
