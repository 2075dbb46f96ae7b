package metrics

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"lineside/daemon"
	"lineside/hw"
	"lineside/hw/hwtest"
	"lineside/mqtt"
)

// TestNames holds every name to Prometheus' own conventions, with all that the boards measure.
func TestNames(t *testing.T) {
	for _, b := range hwtest.Boards() {
		dir := t.TempDir()
		if err := b.Write(dir); err != nil {
			t.Fatal(err)
		}
		board, err := hw.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		r := prometheus.NewRegistry()
		r.MustRegister(collector{Source{
			Counts: func() daemon.Snapshot {
				return daemon.Snapshot{ByCode: map[mqtt.Code]uint64{mqtt.OK: 5}, Dropped: map[string]uint64{"topic": 1}, Conditions: []string{"too_hot"}}
			},
			Bus:    func() mqtt.Stats { return mqtt.Stats{} },
			Sample: board.Sample,
			Ends:   func() map[string]map[string]int { return map[string]map[string]int{"linesided": {"watchdog": 2}} },
		}})
		families, err := r.Gather()
		if err != nil {
			t.Errorf("%s: %v", b.Name, err)
		}
		problems, err := promlint.NewWithMetricFamilies(families).Lint()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s: %s", b.Name, p.Metric, p.Text)
		}
		if len(families) < 20 {
			t.Errorf("%s: only %d metrics", b.Name, len(families))
		}
		if err := board.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestScrape(t *testing.T) {
	s, err := Listen("127.0.0.1:0", Source{
		Counts: func() daemon.Snapshot {
			return daemon.Snapshot{Asked: 7, Queued: 2, ByCode: map[mqtt.Code]uint64{mqtt.OK: 5}, Dropped: map[string]uint64{"topic": 1}, Conditions: []string{"too_hot"}}
		},
		Bus: func() mqtt.Stats { return mqtt.Stats{Received: 9} },
		Sample: func(s *hw.Sample) {
			s.Readings = []hw.Reading{{Kind: hw.Temperature, Name: "cpu", Value: 61.5, High: 80, Quality: hw.Good, At: time.Unix(1, 0)}}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	res, err := http.Get("http://" + s.Addr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"lineside_asks_total 7", `lineside_answers_total{code="0",status="ok"} 5`, "lineside_queue_asks 2",
		`lineside_dropped_total{reason="topic"} 1`, `lineside_condition_active{condition="too_hot"} 1`, "lineside_mqtt_received_total 9",
		`lineside_temperature_celsius{zone="cpu"} 61.5`, "process_resident_memory_bytes",
	} {
		if !strings.Contains(string(body), want+"\n") && !strings.Contains(string(body), want+" ") {
			t.Errorf("no line %q in\n%s", want, body)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
