package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"lineside/hw"
	"lineside/inference/chat"
	"lineside/inference/engine"
	"lineside/inference/llama"
	"lineside/inference/model/fit"
	"lineside/inference/model/gguf"
	"lineside/inference/serve"
	"lineside/systemd"
)

// sequences is how many the cache tells apart: slots take some, the shared
// prefixes of ended asks the others.
const sequences = 64

// lastWord is how long the server still says why there is no model, so that
// linesided hears it.
const lastWord = 3 * time.Second

// serveModel answers from the first moment on: first that it loads, then asks.
// A model that cannot be loaded ends the program.
func serveModel(ctx context.Context, s settings, log *slog.Logger, stderr io.Writer) error {
	notifier, err := systemd.NewNotifier()
	if err != nil {
		return err
	}
	ln, err := listen(s.listen)
	if err != nil {
		return err
	}
	if file, err := filepath.EvalSymlinks(s.model); err == nil {
		s.model = file // a link may lead elsewhere by the time it is read again
	}
	figures := &figures{}
	ctx, end := context.WithCancel(ctx)
	defer end()
	srv := &serve.Server{Metrics: figures.handler(), File: s.model, Exit: end}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return srv.Run(ctx, ln) })
	var loaded atomic.Uint64 // parts of the model, in 1/1000
	g.Go(func() error { return notifier.Watch(ctx, work(figures, &loaded)) })
	g.Go(func() error {
		tell(log, notifier.Ready())
		show := progress(stderr, srv.Loading)
		rt, eng, err := load(ctx, s, log, func(part float64) {
			loaded.Store(uint64(1000 * part))
			show(part)
		})
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			srv.Failed(err)
			select {
			case <-time.After(lastWord):
			case <-ctx.Done():
			}
			return err
		}
		defer rt.Close()
		figures.engine.Store(eng)
		srv.Ready(eng)
		tell(log, notifier.Status("answers with "+eng.Health().Model))
		h := eng.Health()
		log.Info("ready", "model", h.Model, "ctx", h.Context, "slots", h.Slots, "threads", h.Limits.DecodeThreads, "prefill_threads", h.Limits.PrefillThreads)
		defer func() { tell(log, notifier.Stopping()) }()
		return eng.Run(ctx)
	})
	return g.Wait()
}

// work is what the watchdog goes by: while loading, parts of the model read; then passes, as
// long as asks run.
func work(f *figures, loaded *atomic.Uint64) func() (busy bool, done uint64) {
	return func() (bool, uint64) {
		e := f.engine.Load()
		if e == nil {
			return true, loaded.Load()
		}
		s := e.Stats()
		return s.Running > 0, s.Passes
	}
}

// tell logs what the service manager did not hear; the engine goes on without it.
func tell(log *slog.Logger, err error) {
	if err != nil {
		log.Warn("systemd is not told", "err", err)
	}
}

// load opens the model and builds the engine over it.
func load(ctx context.Context, s settings, log *slog.Logger, show func(float64)) (*llama.Runtime, *engine.Engine, error) {
	o := s.options(show)
	var err error
	if o.Available, o.Bound, err = s.available(); err != nil {
		return nil, nil, err
	}
	if o.Adapters, err = adapters(s.model); err != nil {
		return nil, nil, err
	}
	rt, err := llama.Open(ctx, s.model, o)
	if err != nil {
		return nil, nil, err
	}
	if len(o.Adapters) > 0 {
		log.Info("adapters", "names", slices.Sorted(maps.Keys(o.Adapters)))
	}
	eng, err := s.engine(rt, slices.Sorted(maps.Keys(o.Adapters)), formatBytes(o.Available), log)
	if err != nil {
		rt.Close()
		return nil, nil, fmt.Errorf("%s: %w", s.model, err)
	}
	return rt, eng, nil
}

func (s settings) options(show func(float64)) llama.Options {
	return llama.Options{
		Cells: s.ctx, Sequences: max(sequences, s.slots+2), Chunk: s.chunk,
		Threads: s.threads, PrefillThreads: s.prefillThreads, Mapped: s.mapped, Lock: s.lock, Progress: show,
	}
}

// available is how much memory the model may take, and why.
func (s settings) available() (uint64, string, error) {
	if s.memory == "" {
		return hw.Available("/")
	}
	n, err := fit.ParseSize(s.memory)
	return n, "--memory", err
}

// formatBytes is how much memory compiled formats may keep: less on small boards.
func formatBytes(available uint64) int { return int(min(max(available/40, 8_000_000), 64_000_000)) }

func (s settings) engine(rt *llama.Runtime, adapters []string, formats int, log *slog.Logger) (*engine.Engine, error) {
	f, err := gguf.Open(s.model)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	meta, err := chat.ReadMetadata(f.Header)
	if err != nil {
		return nil, err
	}
	template, err := chat.New(meta, rt.Vocabulary())
	if err != nil {
		return nil, err
	}
	key, err := stateKey(s.model, template.Name())
	if err != nil {
		return nil, err
	}
	return engine.New(rt, rt.Vocabulary(), template, engine.Options{
		Model: s.name(f.Header), Slots: s.slots, StateDir: s.state, StateKey: key, Log: log, FormatBytes: formats, Adapters: adapters,
		DecodeThreads: s.threads, PrefillThreads: s.prefillThreads,
		NoPrefixSharing: s.noPrefix, NoJumpForward: s.noJump, NoLookup: s.noLookup,
	})
}

// name is the model's own name, or its file's.
func (s settings) name(h *gguf.Header) string {
	if name, err := h.Text("general.name"); err == nil && name != "" {
		return name
	}
	return strings.TrimSuffix(filepath.Base(s.model), ".gguf")
}

// stateKey names what saved prefixes depend on: file, template and build. The
// file goes in by its size, time and both ends; that the weights are the very
// same is checked by the runtime, whose states carry a print of the model.
func stateKey(path, template string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	const end = 1 << 16
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, end)); err != nil {
		return "", err
	}
	if _, err := io.Copy(h, io.NewSectionReader(f, max(0, fi.Size()-end), end)); err != nil {
		return "", err
	}
	build := version
	if b, ok := debug.ReadBuildInfo(); ok {
		build += b.GoVersion
	}
	fmt.Fprintln(h, fi.Size(), template, build)
	return hex.EncodeToString(h.Sum(nil)), nil
}

// progress reports loading to the server at once and to stderr now and then: as
// a bar on a terminal, as lines elsewhere, and not at all where it is quick.
func progress(stderr io.Writer, show func(float64)) func(float64) {
	start, last := time.Now(), time.Now()
	file, ok := stderr.(*os.File)
	bar := ok && term.IsTerminal(int(file.Fd()))
	shown := false
	return func(part float64) {
		show(part)
		now := time.Now()
		if now.Sub(start) < time.Second || part < 1 && now.Sub(last) < time.Second {
			return
		}
		last = now
		switch {
		case bar && part >= 1 && shown:
			fmt.Fprintf(stderr, "\rloading the model: 100%%\n")
		case bar:
			fmt.Fprintf(stderr, "\rloading the model: %3.0f%%", 100*part)
			shown = true
		default:
			fmt.Fprintf(stderr, "lineside-engine: loading the model: %.0f%%\n", 100*part)
		}
	}
}
