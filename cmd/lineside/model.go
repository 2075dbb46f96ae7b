package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// modelCommand groups everything about model files.
func modelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "model",
		Short: "Make, inspect, install and switch models",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	cmd.AddCommand(
		modelCatalogueCommand(), modelInspectCommand(), modelFitCommand(), modelSynthCommand(),
		modelKeyCommand(), modelBundleCommand(), modelInstallCommand(), modelListCommand(), modelVerifyCommand(),
		modelActivateCommand(), modelRollbackCommand(), modelRemoveCommand(), modelOverrideCommand(),
		modelLicencesCommand(), modelAcceptCommand(), modelExceptCommand(), modelPurgeCommand(),
	)
	return cmd
}

// exactArgs asks for n arguments and says what they are.
func exactArgs(n int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != n {
			return fmt.Errorf("%w: want %s", errUsage, what)
		}
		return nil
	}
}

// printJSON writes a listing for programs.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// progress shows a bar of bytes on a terminal, for what takes longer than a blink.
// Elsewhere it shows nothing. Call the function when done.
func progress(w io.Writer, what string, total int64) (io.Writer, func()) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return io.Discard, func() {}
	}
	bar := progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what),
		progressbar.OptionShowBytes(true), progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetWidth(30), progressbar.OptionClearOnFinish())
	return bar, func() { bar.Finish() }
}
