// Command linesided is the appliance's daemon: it answers what devices ask over
// MQTT with a model that lineside-engine runs, and watches the board.
//
// It links no C and never reads a model's tensors.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"lineside/daemon/config"
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

// memoryLimit is what the heap is kept to where GOMEMLIMIT names nothing else, in
// bytes: the daemon shares a small board with a model.
const memoryLimit = 24 << 20

func main() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program without its process.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	f := flag.NewFlagSet("linesided", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprint(stderr, `usage: linesided [--config FILE] [--check]
       linesided --demo [--model FILE.gguf] [--engine PROGRAM] [--skills DIR]

`)
		f.PrintDefaults()
	}
	file := f.String("config", config.Default, "configuration `file`")
	check := f.Bool("check", false, "only check the configuration")
	end := f.String("note-end", "", "count $SERVICE_RESULT in this state `folder` and end; for ExecStopPost=")
	reload := f.Int("reload", 0, "have the daemon with this `PID` read its files again and end; for ExecReload=")
	show := f.Bool("version", false, "print the version")
	var d demo
	on := f.Bool("demo", false, "run with a broker of its own on 127.0.0.1:1883, the demo model and temporary files")
	f.StringVar(&d.model, "model", "", "demo: model `file` instead of the demo model")
	f.StringVar(&d.engine, "engine", "lineside-engine", "demo: engine `program`")
	f.StringVar(&d.skills, "skills", "", "demo: `folder` of skills")
	f.StringVar(&d.listen, "listen", "127.0.0.1:1883", "demo: the broker's loopback `address`")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitDone
		}
		return exitUsage
	}
	if f.NArg() > 0 {
		fmt.Fprintf(stderr, "linesided: unknown argument %q: see linesided --help\n", f.Arg(0))
		return exitUsage
	}
	if *show {
		fmt.Fprintln(stdout, version)
		return exitDone
	}
	var err error
	switch {
	case *end != "":
		err = systemd.NoteEnd(*end, os.Getenv("SERVICE_RESULT"))
	case *reload > 1:
		err = syscall.Kill(*reload, syscall.SIGHUP)
	default:
		err = serve(ctx, *file, *check, *on, d, stdout, stderr)
	}
	if err != nil {
		fmt.Fprintf(stderr, "linesided: %v\n", err)
		return exitFailed
	}
	return exitDone
}

func serve(ctx context.Context, file string, check, on bool, d demo, stdout, stderr io.Writer) error {
	if on {
		return d.run(ctx, stderr)
	}
	c, err := config.Load(file)
	if err != nil {
		return err
	}
	if check {
		fmt.Fprintf(stdout, "%s is good\n", file)
		return nil
	}
	takeCredentials(&c)
	h, err := assemble(c, stderr)
	if err != nil {
		return err
	}
	return h.run(ctx)
}
