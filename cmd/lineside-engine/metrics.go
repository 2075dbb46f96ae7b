package main

import (
	"net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"lineside/inference/engine"
)

// figures offers the engine's Stats to Prometheus, read anew at every scrape.
type figures struct {
	engine atomic.Pointer[engine.Engine] // nil until the model is loaded
}

func (f *figures) handler() http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(f)
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
}

// figure is one metric and where its value comes from.
type figure struct {
	name, help string
	kind       prometheus.ValueType
	value      func(s *engine.Stats) float64
}

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

var table = []figure{
	{"lineside_engine_asks_running", "asks in slots", gauge, func(s *engine.Stats) float64 { return float64(s.Running) }},
	{"lineside_engine_asks_waiting", "asks in the queue", gauge, func(s *engine.Stats) float64 { return float64(s.Waiting) }},
	{"lineside_engine_slots", "asks answered at once", gauge, func(s *engine.Stats) float64 { return float64(s.Slots) }},
	{"lineside_engine_asks_failed_total", "asks that ended in an error", counter, func(s *engine.Stats) float64 { return float64(s.Failed) }},
	{"lineside_engine_asks_refused_total", "asks turned away because the queue was full", counter, func(s *engine.Stats) float64 { return float64(s.Refused) }},
	{"lineside_engine_pass_seconds_total", "time spent in passes", counter, func(s *engine.Stats) float64 { return s.Busy.Seconds() }},
	{"lineside_engine_pass_faults_total", "passes that failed", counter, func(s *engine.Stats) float64 { return float64(s.Faults) }},
	{"lineside_engine_prefill_tokens_total", "prompt tokens computed", counter, func(s *engine.Stats) float64 { return float64(s.PrefillTokens) }},
	{"lineside_engine_prefill_seconds_total", "share of pass time that prompts took", counter, func(s *engine.Stats) float64 { return s.PrefillBusy.Seconds() }},
	{"lineside_engine_decode_tokens_total", "answer tokens computed", counter, func(s *engine.Stats) float64 { return float64(s.DecodeTokens) }},
	{"lineside_engine_decode_seconds_total", "share of pass time that answers took", counter, func(s *engine.Stats) float64 { return s.DecodeBusy.Seconds() }},
	{"lineside_engine_cached_tokens_total", "prompt tokens that needed no work", counter, func(s *engine.Stats) float64 { return float64(s.CachedTokens) }},
	{"lineside_engine_answer_tokens_total", "tokens of finished answers", counter, func(s *engine.Stats) float64 { return float64(s.AnswerTokens) }},
	{"lineside_engine_forced_tokens_total", "answer tokens that the format left no choice about", counter, func(s *engine.Stats) float64 { return float64(s.ForcedTokens) }},
	{"lineside_engine_drafted_tokens_total", "answer tokens guessed from the prompt", counter, func(s *engine.Stats) float64 { return float64(s.DraftedTokens) }},
	{"lineside_engine_accepted_tokens_total", "guessed tokens that the model agreed with", counter, func(s *engine.Stats) float64 { return float64(s.AcceptedTokens) }},
	{"lineside_engine_queue_seconds_total", "time finished asks waited for a slot", counter, func(s *engine.Stats) float64 { return s.Queued.Seconds() }},
	{"lineside_engine_ask_seconds_total", "time finished asks took from arrival", counter, func(s *engine.Stats) float64 { return s.Elapsed.Seconds() }},
	{"lineside_engine_kv_cells", "cells of the KV cache", gauge, func(s *engine.Stats) float64 { return float64(s.Cells) }},
	{"lineside_engine_kv_cells_used", "cells in use", gauge, func(s *engine.Stats) float64 { return float64(s.CellsUsed) }},
	{"lineside_engine_prefix_tokens", "tokens kept for asks to come", gauge, func(s *engine.Stats) float64 { return float64(s.PrefixTokens) }},
	{"lineside_engine_prefix_pinned_tokens", "of them pinned", gauge, func(s *engine.Stats) float64 { return float64(s.PinnedTokens) }},
}

var (
	answered = prometheus.NewDesc("lineside_engine_asks_answered_total", "asks by the end they came to", []string{"finish"}, nil)
	sizes    = prometheus.NewDesc("lineside_engine_pass_tokens", "tokens of a pass", nil, nil)
)

// Describe sends nothing: the set of figures is known only when they are read.
func (*figures) Describe(chan<- *prometheus.Desc) {}

// Collect reads the figures.
func (f *figures) Collect(out chan<- prometheus.Metric) {
	e := f.engine.Load()
	if e == nil {
		return
	}
	s := e.Stats()
	for _, m := range table {
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc(m.name, m.help, nil, nil), m.kind, m.value(&s))
	}
	for finish, n := range s.Answered {
		out <- prometheus.MustNewConstMetric(answered, counter, float64(n), string(finish))
	}
	buckets, sum := map[float64]uint64{}, uint64(0)
	for i, n := range s.PassSizes {
		sum += n
		buckets[float64(int(1)<<i)] = sum
	}
	out <- prometheus.MustNewConstHistogram(sizes, s.Passes, float64(s.PassTokens), buckets)
}
