package main

import (
	"bufio"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"lineside/daemon/audit"
	"lineside/daemon/config"
)

func auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Verify and export the record of asks",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	cmd.AddCommand(auditVerifyCommand(), auditExportCommand())
	return cmd
}

// auditDir is the folder named, or the one that the configuration's default has.
func auditDir(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return config.Defaults().Audit.Dir
}

func auditVerifyCommand() *cobra.Command {
	asJSON, head := false, ""
	cmd := &cobra.Command{
		Use:   "verify [DIR]",
		Short: "Check that no line of the record was changed, taken out or put in",
		Long: `Check that no line of the record was changed, taken out or put in. The hash of the last
line is printed: who notes it elsewhere can later prove, with --head, that the end was not cut off.`,
		Example: "  lineside audit verify\n  lineside audit verify --head 5f2c… /mnt/usb/audit",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			seen := head == ""
			r, err := audit.Read(auditDir(args), func(l audit.Line, _ []byte) error {
				seen = seen || l.Hash == head
				return nil
			})
			if err != nil {
				return err
			}
			if !seen {
				return fmt.Errorf("%w: no line has the hash %s", audit.ErrTampered, head)
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), r)
			}
			fmt.Fprintf(c.OutOrStdout(), "good: %d lines in %d files, number %d to %d\nlast line: %s\n", r.Lines, r.Files, r.First, r.Last, r.Head)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "for programs")
	cmd.Flags().StringVar(&head, "head", "", "this `hash`, noted earlier, must be in the record")
	return cmd
}

func auditExportCommand() *cobra.Command {
	var client, since, until string
	cmd := &cobra.Command{
		Use:     "export [DIR]",
		Short:   "Print the record as JSON lines, verified on the way",
		Example: "  lineside audit export --client press7 --since 2026-11-01 > asks.jsonl",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			from, err := day("--since", since)
			if err != nil {
				return err
			}
			to, err := day("--until", until)
			if err != nil {
				return err
			}
			return exportAudit(auditDir(args), client, from, to, c.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&client, "client", "", "only this client")
	cmd.Flags().StringVar(&since, "since", "", "only from this `time` on (2006-01-02 or RFC 3339)")
	cmd.Flags().StringVar(&until, "until", "", "only before this `time`")
	return cmd
}

// day reads a date or a time as the record writes times; empty stays empty.
func day(flag, s string) (string, error) {
	if s == "" {
		return "", nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC().Format("2006-01-02T15:04:05.000Z"), nil
		}
	}
	return "", fmt.Errorf("%w: %s %q: write 2006-01-02 or 2006-01-02T15:04:05Z", errUsage, flag, s)
}

// exportAudit writes the lines that fit. Times of the record compare as texts.
func exportAudit(dir, client, from, to string, out io.Writer) error {
	w := bufio.NewWriter(out)
	_, err := audit.Read(dir, func(l audit.Line, raw []byte) error {
		if client != "" && l.Client != client || from != "" && l.At < from || to != "" && l.At >= to {
			return nil
		}
		_, err := fmt.Fprintf(w, "%s\n", raw)
		return err
	})
	if flushed := w.Flush(); err == nil {
		err = flushed
	}
	return err
}
