package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"runtime"

	"lineside/inference/calibrate"
	"lineside/inference/llama"
	"lineside/inference/model/gguf"
)

// findThreads calibrates: a JSON line for each number of threads, one for the result.
func findThreads(ctx context.Context, s settings, stdout, stderr io.Writer) error {
	f, err := gguf.Open(s.model)
	if err != nil {
		return err
	}
	f.Close()
	o := s.options(progress(stderr, func(float64) {}))
	if o.Available, o.Bound, err = s.available(); err != nil {
		return err
	}
	rt, err := llama.Open(ctx, s.model, o)
	if err != nil {
		return err
	}
	defer rt.Close()
	out := json.NewEncoder(stdout)
	r, err := calibrate.Measure(ctx, rt, s.name(f.Header), runtime.NumCPU(), func(step calibrate.Step) { _ = out.Encode(step) })
	if err != nil {
		return err
	}
	if _, err := calibrate.Save(s.state, r); err != nil {
		return err
	}
	return out.Encode(r)
}

// readThreads takes the numbers of threads that no flag names from the board's
// calibration, or one a core.
func (s *settings) readThreads(log *slog.Logger) {
	cpus := runtime.NumCPU()
	if s.threads == 0 && s.state != "" {
		r, err := calibrate.Load(s.state, cpus)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			log.Warn("one thread a core", "err", err)
		}
		s.threads, s.prefillThreads = r.Decode, cmp.Or(s.prefillThreads, r.Prefill)
	}
	s.threads = cmp.Or(s.threads, cpus)
	s.prefillThreads = cmp.Or(s.prefillThreads, s.threads)
}
