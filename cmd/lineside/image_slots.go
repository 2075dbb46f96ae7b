package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"lineside/image/layout"
	"lineside/image/notice"
	"lineside/image/slots"
)

// trybootPort is a machine's stand-in for the Raspberry Pi firmware's one-shot flag: a
// port to the machine's keeper, which no board has.
const trybootPort = "/dev/virtio-ports/lineside.tryboot"

// board opens the slots below a root folder.
func board(root string) *slots.Board {
	b := &slots.Board{Root: root}
	if root == "/" {
		b.Writable = writableSelector
	}
	return b
}

func rootFlag(c *cobra.Command) *string {
	return c.Flags().String("root", "/", "the board's files are below this `DIR`")
}

func imageSlotsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "slots",
		Short: "Show a board's two systems, and change which one starts",
		Long: `Run on the board. A card holds two systems, A and B. One is chosen and starts; the other
takes the next update. A new system is tried once: when the health check finds it well it is
kept, otherwise the board goes back to the one before.`,
		Example: `  lineside image slots
  lineside image slots try       # start the other system, go back if it is not well`,
		Args: exactArgs(0, "no arguments: try, commit, rollback or reconcile is a command of its own"),
	}
	root, asJSON := rootFlag(cmd), jsonFlag(cmd)
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		s, err := board(*root).Status()
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), s)
		}
		return printSlots(c.OutOrStdout(), s)
	}
	cmd.AddCommand(slotsTryCommand(), slotsCommitCommand(), slotsRollbackCommand(), slotsReconcileCommand())
	return cmd
}

// printSlots says for each slot what it does.
func printSlots(out io.Writer, s slots.Status) error {
	rows := [][]string{{"SLOT", "NOW", "NEXT START", "STATE"}}
	for _, slot := range []layout.Slot{layout.A, layout.B} {
		row := []string{string(slot), "", "", "good"}
		if slot == s.Booted {
			row[1] = "runs"
		}
		if slot == s.Committed {
			row[2] = "starts"
		}
		if m, bad := s.Bad[slot]; bad {
			row[3] = "bad: " + m.Why
		}
		if t := s.Trial; t != nil && t.Slot == slot {
			row[3] = map[slots.Phase]string{
				slots.Armed:   "holds an update that waits to be tried: lineside image slots try",
				slots.Fired:   "is about to be tried",
				slots.Running: "is being tried; kept once it is healthy",
			}[t.Phase]
		}
		rows = append(rows, row)
	}
	if err := table(out, rows); err != nil {
		return err
	}
	if s.Committed == "" {
		fmt.Fprintf(out, "%s is damaged: it is written anew at the next start, or by lineside image slots reconcile\n", layout.AutobootFile)
	}
	if s.Firmware != "" {
		fmt.Fprintln(out, "no updates: "+s.Firmware)
	}
	return nil
}

func slotsTryCommand() *cobra.Command {
	var stay bool
	cmd := &cobra.Command{
		Use:   "try",
		Short: "Restart into the system that does not run, once",
		Long: `Restarts into the slot that does not run: an update that was installed, or the version
before. If it is not found healthy, the board goes back by itself.`,
		Args: exactArgs(0, "no arguments"),
	}
	root := rootFlag(cmd)
	cmd.Flags().BoolVar(&stay, "no-restart", false, "only note that it shall be tried")
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		b := board(*root)
		s, err := b.Status()
		switch {
		case err != nil:
			return err
		case s.Booted == "":
			return slots.ErrWhere
		case s.Trial == nil:
			if err := b.Retry(s.Booted.Other()); err != nil {
				return err
			}
		}
		if stay {
			return nil
		}
		return b.Fire(func() error { return restartOnTrial(c, *root) })
	}
	return cmd
}

// restartOnTrial asks for a restart with the firmware's one-shot flag.
func restartOnTrial(c *cobra.Command, root string) error {
	port := filepath.Join(root, trybootPort)
	if _, err := os.Stat(port); err == nil {
		if err := os.WriteFile(port, []byte("1\n"), 0); err != nil {
			return err
		}
	}
	return systemctl(c, "reboot", "--reboot-argument=0 tryboot")
}

func systemctl(c *cobra.Command, args ...string) error {
	out, err := exec.CommandContext(c.Context(), "systemctl", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("systemctl %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
	}
	return nil
}

func slotsCommitCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "commit",
		Short: "Keep the system that runs (the health check does this)",
		Args:  exactArgs(0, "no arguments"),
	}
	root := rootFlag(cmd)
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		did, err := board(*root).Commit()
		if did {
			const kept = "the running system is kept"
			fmt.Fprintln(c.OutOrStdout(), kept)
			err = errors.Join(err, notice.Put(*root, notice.Notice{Name: updateNotice, Why: kept}))
		}
		return err
	}
	return cmd
}

func slotsRollbackCommand() *cobra.Command {
	var why string
	var stay bool
	cmd := &cobra.Command{
		Use:   "rollback",
		Short: "Give up the system that is being tried, and restart into the one before",
		Long: `Gives up a system while it is being tried. Where none is, nothing happens. To go back to
the version before a kept update, run: lineside image slots try`,
		Args: exactArgs(0, "no arguments"),
	}
	root := rootFlag(cmd)
	cmd.Flags().StringVar(&why, "why", "given up by hand", "the `REASON`, for the journal and for lineside image slots")
	cmd.Flags().BoolVar(&stay, "no-restart", false, "do not restart the board")
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		err := board(*root).Rollback(why)
		if errors.Is(err, slots.ErrNoTrial) {
			fmt.Fprintln(c.OutOrStdout(), err)
			return nil
		}
		if err != nil || stay {
			return err
		}
		return systemctl(c, "reboot")
	}
	return cmd
}

func slotsReconcileCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reconcile",
		Short: "Bring the card's notes in line with what started (every start does this)",
		Args:  exactArgs(0, "no arguments"),
	}
	root, asJSON := rootFlag(cmd), jsonFlag(cmd)
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		r, err := board(*root).Reconcile()
		if r.Text == "" {
			return err
		}
		err = errors.Join(err, noteOutcome(*root, r))
		if *asJSON {
			return errors.Join(printJSON(c.OutOrStdout(), r), err)
		}
		fmt.Fprintln(c.OutOrStdout(), r.Text)
		return err
	}
	return cmd
}

// imageBackendCommand is what RAUC calls, through a script that only names it.
func imageBackendCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:    "backend VERB [SLOT [STATE]]",
		Short:  "Answer RAUC as its bootloader backend",
		Hidden: true,
	}
	root := rootFlag(cmd)
	cmd.RunE = func(c *cobra.Command, args []string) error {
		err := board(*root).Backend(c.OutOrStdout(), args...)
		if errors.Is(err, slots.ErrVerb) {
			err = fmt.Errorf("%w: %w", errUsage, err)
		}
		return err
	}
	return cmd
}
