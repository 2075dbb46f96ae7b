package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"lineside/image/versions"
)

func versionsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "versions",
		Short: "Show the versions of Lineside on a Jetson, and change which one runs",
		Long: `On a Jetson the package keeps every version of the programs in a folder of its own below
/opt/lineside. A new one is tried and kept when the health check found it well; otherwise the
board goes back to the one before. Configuration, models and data are the same for all.`,
		Example: `  lineside versions
  sudo lineside versions use 1.2.0-0123abcd && sudo systemctl restart lineside-engine linesided lineside-gate`,
		Args: exactArgs(0, "no arguments: use, install, commit, rollback or reconcile is a command of its own"),
	}
	open, asJSON := versionsStore(cmd), jsonFlag(cmd)
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		list, err := open().List()
		if err != nil {
			return err
		}
		if *asJSON {
			if list == nil {
				list = []versions.Item{}
			}
			return printJSON(c.OutOrStdout(), list)
		}
		rows := [][]string{{"VERSION", "", "STATE"}}
		for _, i := range list {
			row := []string{i.Version, "", "good"}
			switch {
			case i.Current:
				row[1] = "runs"
			case i.Previous:
				row[1] = "before"
			}
			switch {
			case i.Trial:
				row[2] = "is being tried; kept once it is healthy"
			case i.Bad != "":
				row[2] = "bad: " + i.Bad
			}
			rows = append(rows, row)
		}
		return table(c.OutOrStdout(), rows)
	}
	cmd.AddCommand(versionsUseCommand(), versionsInstallCommand(), versionsCommitCommand(), versionsRollbackCommand(), versionsReconcileCommand())
	return cmd
}

// versionsStore opens the folder that a command's --dir names.
func versionsStore(cmd *cobra.Command) func() *versions.Store {
	dir := cmd.Flags().String("dir", versions.Default, "folder `DIR` of versions")
	return func() *versions.Store {
		boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // none: every start looks the same
		return &versions.Store{Dir: *dir, Boot: strings.TrimSpace(string(boot))}
	}
}

func versionsUseCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "use VERSION",
		Short: "Take another version into use, on trial",
		Args:  exactArgs(1, "one VERSION of lineside versions"),
	}
	open := versionsStore(cmd)
	cmd.RunE = func(c *cobra.Command, args []string) error {
		if err := open().Use(args[0]); err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "%s is on trial from the next restart of lineside-engine, linesided and lineside-gate\n", args[0])
		return nil
	}
	return cmd
}

func versionsInstallCommand() *cobra.Command {
	var version, from string
	cmd := &cobra.Command{
		Use:    "install",
		Short:  "Install programs as a version (the package does this)",
		Args:   exactArgs(0, "no arguments"),
		Hidden: true,
	}
	open := versionsStore(cmd)
	cmd.Flags().StringVar(&version, "version", "", "the `VERSION`")
	cmd.Flags().StringVar(&from, "from", "", "folder `DIR` with the programs")
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		name, err := open().Install(version, from)
		if err != nil {
			return err
		}
		fmt.Fprintln(c.OutOrStdout(), name)
		return nil
	}
	return cmd
}

func versionsCommitCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "commit",
		Short: "Keep the version that runs (the health check does this)",
		Args:  exactArgs(0, "no arguments"),
	}
	open := versionsStore(cmd)
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		did, err := open().Commit()
		if did {
			fmt.Fprintln(c.OutOrStdout(), "the running version is kept")
		}
		return err
	}
	return cmd
}

func versionsRollbackCommand() *cobra.Command {
	var why string
	cmd := &cobra.Command{
		Use:   "rollback",
		Short: "Give up the version that is being tried (the services are restarted by lineside-back.service)",
		Args:  exactArgs(0, "no arguments"),
	}
	open := versionsStore(cmd)
	cmd.Flags().StringVar(&why, "why", "given up by hand", "the `REASON`")
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		to, err := open().Rollback(why)
		if errors.Is(err, versions.ErrNoTrial) {
			fmt.Fprintln(c.OutOrStdout(), err)
			return nil
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "back to %s\n", to)
		return nil
	}
	return cmd
}

func versionsReconcileCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:    "reconcile",
		Short:  "Give up a version that did not hold (every start of a board does this)",
		Args:   exactArgs(0, "no arguments"),
		Hidden: true,
	}
	open := versionsStore(cmd)
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		said, err := open().Reconcile()
		if said != "" {
			fmt.Fprintln(c.OutOrStdout(), said)
		}
		return err
	}
	return cmd
}
