package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"lineside/inference/calibrate"
)

// TestThreads: flags come before the calibration, and that before one thread a core.
func TestThreads(t *testing.T) {
	cpus := runtime.NumCPU()
	calibrated, damaged := t.TempDir(), t.TempDir()
	if _, err := calibrate.Save(calibrated, calibrate.Result{CPUs: cpus, Decode: 1, Prefill: cpus}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(damaged, "threads.json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		s               settings
		decode, prefill int
		says            string
	}{
		"nothing known":     {settings{}, cpus, cpus, ""},
		"not calibrated":    {settings{state: t.TempDir()}, cpus, cpus, ""},
		"calibrated":        {settings{state: calibrated}, 1, cpus, ""},
		"--threads":         {settings{state: calibrated, threads: 3}, 3, 3, ""},
		"both flags":        {settings{state: calibrated, threads: 3, prefillThreads: 5}, 3, 5, ""},
		"--prefill-threads": {settings{state: calibrated, prefillThreads: 5}, 1, 5, ""},
		"damaged":           {settings{state: damaged}, cpus, cpus, "bench --calibrate"},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			tt.s.readThreads(slog.New(slog.NewTextHandler(&log, nil)))
			if tt.s.threads != tt.decode || tt.s.prefillThreads != tt.prefill {
				t.Errorf("%d and %d threads, want %d and %d", tt.s.threads, tt.s.prefillThreads, tt.decode, tt.prefill)
			}
			if !strings.Contains(log.String(), tt.says) || tt.says == "" && log.Len() > 0 {
				t.Errorf("log %q, want %q", log.String(), tt.says)
			}
		})
	}
}
