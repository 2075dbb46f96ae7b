package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"lineside/image/layout"
)

func imageCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "image",
		Short: "Flash, set up, look into and update a board's card",
		Long: `On a laptop: write an image to a card, put the configuration on it, look into it, check
it. On a board: its two systems, updates and the way back. Only writing to a real card
asks for rights.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	cmd.AddCommand(
		imageFlashCommand(), imageProvisionCommand(), imageInspectCommand(), imageVerifyCommand(),
		imageUpdateCommand(), imageInstallCommand(), imageBuildCommand(), imageSignCommand(),
		imageSlotsCommand(), imageLayoutCommand(), imageBackendCommand(), imageGrowCommand(),
	)
	return cmd
}

func imageLayoutCommand() *cobra.Command {
	var genimage, cmdline string
	cmd := &cobra.Command{
		Use:   "layout",
		Short: "Show the partitions of a card",
		Example: `  lineside image layout
  lineside image layout --genimage lineside > genimage.cfg`,
		Args: exactArgs(0, "no arguments"),
	}
	asJSON := jsonFlag(cmd)
	cmd.Flags().StringVar(&genimage, "genimage", "", "print genimage's configuration for an image of this `NAME`")
	cmd.Flags().StringVar(&cmdline, "cmdline", "", "print the kernel's command line of this `SLOT`, A or B")
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		out := c.OutOrStdout()
		switch slot := layout.Slot(cmdline); {
		case genimage != "":
			return layout.Genimage(out, genimage)
		case cmdline != "" && !slot.Valid():
			return fmt.Errorf("%w: --cmdline %q is no slot: A or B", errUsage, cmdline)
		case cmdline != "":
			fmt.Fprintln(out, layout.Cmdline(slot))
			return nil
		case *asJSON:
			return printJSON(out, layout.Partitions())
		}
		rows := [][]string{{"NUMBER", "NAME", "LABEL", "FS", "MIB", "SLOT", "WHAT"}}
		for _, p := range layout.Partitions() {
			rows = append(rows, []string{fmt.Sprint(p.Number), p.Name, p.Label, p.FS, fmt.Sprint(p.Bytes / layout.MiB), string(p.Slot), p.What})
		}
		return table(out, rows)
	}
	return cmd
}
