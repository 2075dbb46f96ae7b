// Command lineside-engine runs one model and answers asks over an OpenAI-compatible
// HTTP API on a unix socket or a loopback port.
//
// It opens no connection of its own, reads nothing but its model and its saved
// prefixes, and never decides who may ask.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"lineside/systemd"
)

// version is set by the linker.
var version = "dev"

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	if err := becomeBetter(better, newer()); err != nil {
		fmt.Fprintf(os.Stderr, "lineside-engine: goes on as the plain build: %s: %v\n", better, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// settings are the command line.
type settings struct {
	model, listen, state, memory               string
	slots, ctx, threads, prefillThreads, chunk int
	noPrefix, noJump, noLookup, mapped, lock   bool
	rawStreams                                 int
	calibrate                                  bool
}

// run is the program without its process.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	f := flag.NewFlagSet("lineside-engine", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprint(stderr, `usage: lineside-engine --model FILE --listen unix:PATH|tcp:127.0.0.1:PORT [flags]

  lineside-engine --model llama.gguf --listen unix:/run/lineside-engine/engine.sock --slots 8 --ctx 4096
  lineside-engine --model llama.gguf --listen tcp:127.0.0.1:8080

`)
		f.PrintDefaults()
	}
	var s settings
	f.StringVar(&s.model, "model", "", "GGUF `file` of the model")
	f.StringVar(&s.listen, "listen", "", "where to serve: unix:PATH or tcp:127.0.0.1:PORT (ignored where systemd hands over a socket)")
	f.StringVar(&s.state, "state-dir", "", "`folder` for saved prefixes and the calibration; empty: neither is kept")
	f.IntVar(&s.slots, "slots", 8, "asks answered at once")
	f.IntVar(&s.ctx, "ctx", 4096, "tokens of all asks together")
	f.IntVar(&s.threads, "threads", 0, "threads for decoding; 0: as calibrated, or one a core")
	f.IntVar(&s.prefillThreads, "prefill-threads", 0, "threads for prompts; 0: as calibrated, or as --threads")
	f.IntVar(&s.chunk, "chunk", 64, "prompt tokens computed at once")
	f.StringVar(&s.memory, "memory", "", "most memory to take, as `SIZE` like 1.5GB; empty: what is available")
	f.BoolVar(&s.mapped, "mmap", false, "leave the weights in the file's pages: starts faster, decodes slower")
	f.BoolVar(&s.lock, "mlock", false, "keep the weights from being swapped out")
	f.BoolVar(&s.noPrefix, "no-prefix-sharing", false, "compute every prompt whole, for measuring")
	f.BoolVar(&s.noJump, "no-jump-forward", false, "sample every token, for measuring")
	f.BoolVar(&s.noLookup, "no-lookup", false, "guess nothing from the prompt, for measuring")
	f.IntVar(&s.rawStreams, "raw-loop", 0, "serve nothing: decode `N` streams in a bare loop, print tokens a second as JSON, exit")
	end := f.String("note-end", "", "count $SERVICE_RESULT in this state `folder` and end; for ExecStopPost=")
	f.BoolVar(&s.calibrate, "calibrate", false, "serve nothing: find the best numbers of threads, keep them in --state-dir, print them as JSON lines, exit")
	verbose := f.Bool("verbose", false, "log what llama.cpp says, too")
	show := f.Bool("version", false, "print the version")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitDone
		}
		return exitUsage
	}
	switch {
	case *show:
		fmt.Fprintln(stdout, version)
		return exitDone
	case f.NArg() > 0:
		return misuse(stderr, fmt.Sprintf("unknown argument %q", f.Arg(0)))
	case *end != "":
		return outcome(stderr, systemd.NoteEnd(*end, os.Getenv("SERVICE_RESULT")))
	case s.model == "":
		return misuse(stderr, "--model is missing")
	case s.calibrate && s.state == "":
		return misuse(stderr, "--calibrate needs --state-dir, where the result is kept")
	case s.listen == "" && s.rawStreams == 0 && !s.calibrate && os.Getenv("LISTEN_FDS") == "":
		return misuse(stderr, "--listen is missing")
	}
	level := slog.LevelInfo
	if *verbose {
		level = slog.LevelDebug
	}
	log := systemd.NewLogger(stderr, level)
	slog.SetDefault(log)
	switch {
	case s.rawStreams > 0:
		return outcome(stderr, rawLoop(ctx, s, stdout, stderr))
	case s.calibrate:
		return outcome(stderr, findThreads(ctx, s, stdout, stderr))
	}
	s.readThreads(log)
	return outcome(stderr, serveModel(ctx, s, log, stderr))
}

func outcome(stderr io.Writer, err error) int {
	if err != nil {
		fmt.Fprintf(stderr, "lineside-engine: %v\n", err)
		return exitFailed
	}
	return exitDone
}

func misuse(stderr io.Writer, what string) int {
	fmt.Fprintf(stderr, "lineside-engine: %s: see lineside-engine --help\n", what)
	return exitUsage
}
