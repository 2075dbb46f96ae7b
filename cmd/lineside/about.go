package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"lineside/inference/model/licence"
	"lineside/inference/model/store"
)

// aboutCommand shows what this is, and what the licences of installed models want shown.
func aboutCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "about",
		Short: "Show version, licences and notices",
		Args:  exactArgs(0, "no arguments"),
	}
	flags := addStoreFlags(cmd)
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		version := "(devel)"
		if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
			version = info.Main.Version
		}
		out := c.OutOrStdout()
		fmt.Fprintf(out, "Lineside %s, licensed under Apache-2.0\n", version)
		fmt.Fprintln(out, "It advises and never actuates. Its answers come from a language model and can be wrong.")
		if _, err := os.Stat(flags.dir); errors.Is(err, fs.ErrNotExist) {
			return nil // a laptop
		}
		s, err := flags.open()
		if err != nil {
			return err
		}
		return printNotices(out, s)
	}
	return cmd
}

// printNotices prints display line and notice of each installed model's licence, once.
func printNotices(w io.Writer, s *store.Store) error {
	list, err := s.List()
	seen := map[licence.ID]bool{}
	for _, i := range list {
		d, ok := licence.Of(i.Manifest.Licence)
		if !ok || seen[d.ID] {
			continue
		}
		seen[d.ID] = true
		for _, line := range []string{d.Display, d.Notice} {
			if line != "" {
				fmt.Fprintln(w, line)
			}
		}
	}
	return err
}
