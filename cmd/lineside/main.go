// Command lineside is the technician's and integrator's tool, for laptop and board: ask,
// look at the board, handle models, find out what is wrong.
//
// It never sets an MQTT will and never publishes a board's topics.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes of every command.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// errUsage marks errors that come from the way a command was called.
var errUsage = errors.New("wrong usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program without its process, so that tests can call it.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	ran := false
	root.PersistentPreRun = func(*cobra.Command, []string) { ran = true }
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	fmt.Fprintf(stderr, "lineside: %v\n", err)
	if !ran || errors.Is(err, errUsage) {
		fmt.Fprintln(stderr, "lineside: run the command with --help to see how it is used")
		return exitUsage
	}
	return exitFailed
}

// rootCommand lists every command; each lives in a file of its own name.
func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "lineside",
		Short:         "Ask, inspect and maintain a Lineside appliance",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		askCommand(),
		skillCommand(),
		auditCommand(),
		doctorCommand(),
		conformCommand(),
		aboutCommand(),
		benchCommand(),
		homeAssistantCommand(),
		modelCommand(),
		hwCommand(),
		healthCommand(),
		unitsCommand(),
		probeCommand(),
		topCommand(),
		imageCommand(),
		provisionCommand(),
		versionsCommand(),
	)
	return root
}
