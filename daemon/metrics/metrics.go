// Package metrics serves the daemon's and the board's figures to Prometheus, on
// a loopback address and only where the configuration asks for it.
//
// It keeps no figures of its own: every scrape reads them where they are kept.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"lineside/daemon"
	"lineside/hw"
	"lineside/mqtt"
)

// Source is where the figures are.
type Source struct {
	Counts func() daemon.Snapshot
	Bus    func() mqtt.Stats
	Sample func(*hw.Sample) // nil: no board

	// Ends counts how the runs of each service ended, by systemd's word; nil: nobody counts.
	Ends func() map[string]map[string]int
}

// Server serves /metrics. Use Listen.
type Server struct {
	ln   net.Listener
	http *http.Server
}

// Listen opens the address, so that one that is taken is an error at the start.
func Listen(addr string, s Source) (*Server, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("metrics.listen: %w", err)
	}
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collector{s})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: 2, Timeout: 5 * time.Second}))
	return &Server{ln, &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}}, nil
}

// Addr is where the server listens.
func (s *Server) Addr() string { return s.ln.Addr().String() }

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = s.http.Close() })
	defer stop()
	if err := s.http.Serve(s.ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve metrics: %w", err)
	}
	return nil
}

var (
	asks     = desc("lineside_asks_total", "Asks that arrived.")
	answers  = desc("lineside_answers_total", "Answers by code.", "code", "status")
	replays  = desc("lineside_replays_total", "Stored answers sent again.")
	requeued = desc("lineside_requeued_total", "Asks that went back into the queue because the engine failed.")
	tokens   = desc("lineside_tokens_total", "Tokens that the model answered with.")
	dropped  = desc("lineside_dropped_total", "Messages dropped, by reason.", "reason")
	queued   = desc("lineside_queue_asks", "Asks that wait.")
	running  = desc("lineside_running_asks", "Asks that the engine works on.")
	pending  = desc("lineside_pending_answers", "Answers on their way to the broker.")
	matters  = desc("lineside_condition_active", "What is the matter with the board: 1 while it holds.", "condition")
	received = desc("lineside_mqtt_received_total", "Messages from the broker.")
	sent     = desc("lineside_mqtt_published_total", "Messages that the broker took.")
	failed   = desc("lineside_mqtt_publish_failed_total", "Messages that the broker did not take at the first try.")
	ended    = desc("lineside_service_ends_total", "Runs of a service that are over, by how systemd saw them end.", "service", "result")
	connects = desc("lineside_mqtt_reconnects_total", "Connections after the first.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// collector reads everything at a scrape. It describes nothing in advance,
// because the board's readings differ from board to board.
type collector struct{ Source }

func (c collector) Describe(chan<- *prometheus.Desc) {}

func (c collector) Collect(out chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64) { out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	s := c.Counts()
	count(asks, s.Asked)
	count(replays, s.Replayed)
	count(requeued, s.Requeued)
	count(tokens, s.Tokens)
	for code, n := range s.ByCode {
		count(answers, n, strconv.Itoa(int(code)), code.String())
	}
	for why, n := range s.Dropped {
		count(dropped, n, why)
	}
	gauge(queued, float64(s.Queued))
	gauge(running, float64(s.Running))
	gauge(pending, float64(s.Pending))
	for _, id := range s.Conditions {
		out <- prometheus.MustNewConstMetric(matters, prometheus.GaugeValue, 1, id)
	}
	b := c.Bus()
	count(dropped, b.RetainedAsks, "mqtt_retained")
	count(dropped, b.BadTopics, "mqtt_topic")
	count(received, b.Received)
	count(sent, b.Published)
	count(failed, b.PublishFailed)
	count(connects, b.Reconnects)
	if c.Ends != nil {
		for service, results := range c.Ends() {
			for result, n := range results {
				count(ended, uint64(n), service, result)
			}
		}
	}
	if c.Sample == nil {
		return
	}
	var sample hw.Sample
	c.Sample(&sample)
	sample.Metrics(func(m hw.Metric) bool {
		kind := prometheus.GaugeValue
		if m.Counter {
			kind = prometheus.CounterValue
		}
		out <- prometheus.MustNewConstMetric(desc(m.Name, m.Help, m.Label), kind, m.Number, m.Value)
		return true
	})
}
