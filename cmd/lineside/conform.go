package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"lineside/mqtt"
	"lineside/mqtt/conform"
	"lineside/mqtt/wire"
)

// conformCommand tests a board from outside.
func conformCommand() *cobra.Command {
	var b brokerFlags
	var o conform.Options
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "conform --broker URL --board ID",
		Short: "Test a board over MQTT, from outside",
		Long: `Asks a board everything that the API promises, as a device would, and prints
what it did. It works for any board that speaks the topics of docs/mqtt, also
for one that is no Lineside. It asks real prompts, so it takes a few minutes on
a real board. Exit code 1: a check failed.`,
		Example: `  lineside conform --broker mqtt://127.0.0.1:1883 --board demo
  lineside conform --broker mqtts://broker.plant --board b03 --client laptop \
      --ca ca.crt --cert laptop.crt --key laptop.key --mqtt 3.1.1 --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if b.board == "" {
				return fmt.Errorf("%w: --board is needed", errUsage)
			}
			b.who()
			o.Topics, o.Client = b.topics(), b.client
			o.Connect = wire.Options{URL: b.url, Version: b.version, Username: b.username, PasswordFile: b.passwordFile, TLS: b.tls}
			var results []conform.Result
			err := conform.Run(c.Context(), o, func(r conform.Result) {
				results = append(results, r)
				if !asJSON {
					printResult(c.OutOrStdout(), r)
				}
			})
			if asJSON {
				if err := printJSON(c.OutOrStdout(), results); err != nil {
					return err
				}
			}
			if err != nil {
				return err
			}
			return verdict(c.OutOrStdout(), o.Topics, results, asJSON)
		},
	}
	b.register(cmd)
	f := cmd.Flags()
	f.StringVar(&o.Prompt, "prompt", "Name three parts of a pump.", "`text` to ask")
	f.DurationVar(&o.Wait, "wait", 0, "longest wait for one answer (default 1m)")
	f.BoolVar(&asJSON, "json", false, "print the report as JSON")
	return cmd
}

func printResult(w io.Writer, r conform.Result) {
	fmt.Fprintf(w, "%-4s  %s", r.Outcome, r.Check)
	if r.Detail != "" {
		fmt.Fprintf(w, ": %s", r.Detail)
	}
	fmt.Fprintln(w)
}

// verdict counts, and fails where a check failed.
func verdict(w io.Writer, t mqtt.Topics, results []conform.Result, quiet bool) error {
	n := map[conform.Outcome]int{}
	for _, r := range results {
		n[r.Outcome]++
	}
	if !quiet {
		fmt.Fprintf(w, "\nboard %s: %d passed, %d failed, %d skipped\n", t.Board, n[conform.Passed], n[conform.Failed], n[conform.Skipped])
	}
	if n[conform.Failed] > 0 {
		return fmt.Errorf("%d of %d checks failed", n[conform.Failed], len(results))
	}
	return nil
}
