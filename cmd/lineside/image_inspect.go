package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"lineside/image/firmware"
	"lineside/image/layout"
	"lineside/image/slots"
	"lineside/inference/model/fit"
)

// inspection is what stands on a card.
type inspection struct {
	Partitions []partitionRow `json:"partitions"`
	Slots      []slotRow      `json:"slots"`
	Starts     layout.Slot    `json:"starts"` // empty: autoboot.txt is damaged
	Config     bool           `json:"config"` // there is a lineside.toml
	Files      []string       `json:"files"`  // on the first partition
	Status     []string       `json:"status"` // STATUS.txt, as the board wrote it
	Problems   []string       `json:"problems,omitempty"`
}

type partitionRow struct {
	layout.Entry
	Name string `json:"name"`
	What string `json:"what"`
}

type slotRow struct {
	Slot    layout.Slot `json:"slot"`
	Version string      `json:"version"` // empty: it does not say
	Kernel  string      `json:"kernel"`  // empty: it does not start
	Why     string      `json:"why,omitempty"`
}

func imageInspectCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inspect TARGET",
		Short: "Show what stands on a card or in an image",
		Long: `Shows partitions, the two systems with their versions and which one starts, and what the
board has written to STATUS.txt. TARGET is an image file or a card's device.`,
		Example: `  lineside image inspect lineside.img
  sudo lineside image inspect /dev/sdb --json`,
		Args: exactArgs(1, "one TARGET"),
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(c *cobra.Command, args []string) error {
		card, err := openCard(args[0], false)
		if err != nil {
			return err
		}
		defer card.Close()
		i := inspectCard(card)
		if *asJSON {
			return printJSON(c.OutOrStdout(), i)
		}
		return i.print(c.OutOrStdout())
	}
	return cmd
}

func inspectCard(c *card) inspection {
	i := inspection{Slots: []slotRow{}, Files: []string{}, Status: []string{}}
	for _, e := range c.table.Entries {
		p, _ := layout.ByNumber(e.Number)
		i.Partitions = append(i.Partitions, partitionRow{e, p.Name, p.What})
	}
	for _, s := range []layout.Slot{layout.A, layout.B} {
		i.Slots = append(i.Slots, slot(c, s))
	}
	v, err := c.fat(layout.Selector, false)
	if err != nil {
		i.Problems = append(i.Problems, err.Error())
		return i
	}
	text, err := v.ReadFile(layout.AutobootFile, 4096)
	if err == nil {
		i.Starts, err = slots.ParseAutoboot(text)
	}
	if err != nil {
		i.Problems = append(i.Problems, err.Error())
	}
	list, err := v.List(".")
	if err != nil {
		i.Problems = append(i.Problems, err.Error())
	}
	for _, f := range list {
		i.Files = append(i.Files, f.Name)
		i.Config = i.Config || strings.EqualFold(f.Name, layout.ConfigFile)
	}
	if status, err := v.ReadFile(layout.StatusFile, 64<<10); err == nil {
		i.Status = strings.Split(strings.TrimSpace(strings.ReplaceAll(string(status), "\r", "")), "\n")
	}
	return i
}

// slot looks into one of the systems, as the firmware does.
func slot(c *card, s layout.Slot) slotRow {
	row := slotRow{Slot: s}
	boot, err := firmware.Load(c.File, "pi4", s)
	if err != nil {
		row.Why = err.Error()
	}
	row.Kernel = boot.Kernel
	v, err := c.fat(s.BootPartition(), false)
	if err != nil {
		return row
	}
	b, err := v.ReadFile(layout.VersionFile, 4096)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		row.Why = err.Error()
	}
	row.Version = strings.TrimSpace(string(b))
	return row
}

func (i inspection) print(out io.Writer) error {
	rows := [][]string{{"PARTITION", "NAME", "SIZE", "WHAT"}}
	for _, p := range i.Partitions {
		rows = append(rows, []string{fmt.Sprint(p.Number), p.Name, fit.Size(uint64(p.Bytes)), p.What})
	}
	if err := table(out, rows); err != nil {
		return err
	}
	fmt.Fprintln(out)
	rows = [][]string{{"SLOT", "VERSION", "KERNEL", "NEXT START"}}
	for _, s := range i.Slots {
		row := []string{string(s.Slot), s.Version, s.Kernel, ""}
		if s.Kernel == "" {
			row[2] = "none: does not start"
		}
		if s.Slot == i.Starts {
			row[3] = "starts"
		}
		rows = append(rows, row)
	}
	if err := table(out, rows); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nfirst partition: %s\n", strings.Join(i.Files, ", "))
	if !i.Config {
		fmt.Fprintln(out, "no lineside.toml yet: lineside image provision")
	}
	for _, p := range i.Problems {
		fmt.Fprintln(out, "problem: "+p)
	}
	for _, l := range i.Status {
		fmt.Fprintln(out, "  | "+l)
	}
	return nil
}
