package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"lineside/image/grow"
)

// imageGrowCommand is what a board does with its card before the data partition is mounted.
func imageGrowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "grow CARD",
		Short: "Let the data partition reach to the end of the card (every start of a board does this)",
		Long: `Run on the board by lineside-data.service, before the data partition is mounted. CARD is
the whole disk, or an image file.`,
		Example: `  lineside image grow /dev/mmcblk0`,
		Args:    exactArgs(1, "the CARD"),
		Hidden:  true,
		RunE: func(c *cobra.Command, args []string) (err error) {
			f, err := os.OpenFile(args[0], os.O_RDWR, 0)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, f.Close()) }()
			size, err := f.Seek(0, io.SeekEnd)
			if err != nil {
				return err
			}
			e, grown, err := grow.Data(f, size)
			if err != nil {
				return err
			}
			// Also after a start that was cut short between the table and this.
			if err := grow.Tell(f, e); err != nil {
				return fmt.Errorf("tell the kernel of the data partition's size: %w", err)
			}
			if grown {
				fmt.Fprintf(c.OutOrStdout(), "the data partition is now %d MiB\n", e.Bytes>>20)
			}
			return nil
		},
	}
}
