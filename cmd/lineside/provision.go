package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lineside/daemon/config"
	"lineside/hw"
	"lineside/image/layout"
	"lineside/image/notice"
	"lineside/image/provision"
)

// provisionCommand is what a board does with its card at every start, before anything else.
func provisionCommand() *cobra.Command {
	var o provision.Options
	cmd := &cobra.Command{
		Use:   "provision",
		Short: "Take the card's lineside.toml into use (every start of a board does this)",
		Long: `Run on the board by lineside-provision.service. Reads lineside.toml and certificates from the
card's first partition, checks and imports them, takes secrets off the card, and writes
STATUS.txt there. A mistake leaves the configuration from before in use.`,
		Example: `  lineside provision
  lineside provision --boot card --data data --root root    # in folders, to try it`,
		Args:   exactArgs(0, "no arguments"),
		Hidden: true,
	}
	cmd.Flags().StringVar(&o.Boot, "boot", layout.SelectorDir, "where the card's first partition is mounted, a `DIR`")
	cmd.Flags().StringVar(&o.Data, "data", layout.DataDir, "where the data partition is mounted, a `DIR`")
	cmd.Flags().StringVar(&o.Root, "root", "/", "write what goes to /run below this `DIR`")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		o.Policy, o.Board = cardPolicy(), boardLines(o.Root)
		if o.Boot == layout.SelectorDir {
			o.Writable = writableSelector
		}
		if o.Root == "/" {
			o.Pressed = func() bool { return resetHeld(c.Context(), o.Data) }
		}
		r, err := provision.Run(o)
		if o.Root == "/" {
			err = errors.Join(err, nameHost(r.Dir))
		}
		err = errors.Join(err, noteConfig(o.Root, r))
		out := c.OutOrStdout()
		if *asJSON {
			return errors.Join(printJSON(out, r), err)
		}
		fmt.Fprintf(out, "the configuration is %s\n", map[provision.State]string{
			provision.InUse: "good and in use", provision.Kept: "the one from before", provision.Default: "missing",
		}[r.State])
		for _, p := range r.Problems {
			fmt.Fprintln(out, "  "+p)
		}
		if r.Lost != "" {
			fmt.Fprintln(out, r.Lost)
		}
		return err
	}
	return cmd
}

// holdToReset is how long the button is held at a start for a factory reset.
const holdToReset = 10 * time.Second

// resetHeld reports whether the button that the imported configuration names is held. A
// board that does not know its button is reset by the card.
func resetHeld(ctx context.Context, data string) bool {
	c, err := config.Load(filepath.Join(data, filepath.Base(layout.ConfigDir), "current", layout.ConfigFile))
	if err != nil || c.HW.Button == "" {
		return false
	}
	b, err := hw.OpenButton(c.HW.Button, false, nil)
	return err == nil && b.Held(ctx, holdToReset)
}

// noteConfig tells the daemon, for its lamp.
func noteConfig(root string, r provision.Result) error {
	const name = "config"
	switch r.State {
	case provision.Kept:
		return notice.Put(root, notice.Notice{Name: name, Condition: "config_wrong", Why: "the card's lineside.toml is wrong, the one before is in use: its STATUS.txt says what to mend"})
	case provision.Default:
		return notice.Put(root, notice.Notice{Name: name, Condition: "config_missing", Why: "there is no good lineside.toml on the card: its STATUS.txt says what to mend"})
	}
	return notice.Clear(root, name)
}

// boardLines say on STATUS.txt which board this is.
func boardLines(root string) string {
	var lines []string
	for _, f := range []struct{ title, path string }{
		{"Board:   ", "proc/device-tree/model"}, {"Serial:  ", "proc/device-tree/serial-number"},
	} {
		if b, err := os.ReadFile(filepath.Join(root, f.path)); err == nil {
			lines = append(lines, f.title+strings.TrimRight(string(b), "\x00\n"))
		}
	}
	if v := imageVersion(root); v != "" {
		lines = append(lines, "Version: "+v)
	}
	if s, err := board(root).Status(); err == nil && s.Booted != "" {
		lines = append(lines, "Slot:    "+string(s.Booted))
	}
	return strings.Join(lines, "\n")
}

// imageVersion is the running image's, from os-release(5); empty where it names none.
func imageVersion(root string) string {
	b, err := os.ReadFile(filepath.Join(root, "etc/os-release"))
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "IMAGE_VERSION="); ok {
			return strings.Trim(v, `"'`)
		}
	}
	return ""
}

// nameHost gives the machine the board's id, which DHCP and the journal show. Without an
// id it is named after its serial number, so that two fresh boards differ.
func nameHost(dir string) error {
	name := "lineside"
	if b, err := os.ReadFile("/proc/device-tree/serial-number"); err == nil {
		s := strings.TrimRight(string(b), "\x00\n")
		name += "-" + s[max(0, len(s)-6):]
	}
	if c, err := config.Load(filepath.Join(dir, layout.ConfigFile)); err == nil && c.Board.ID != "" {
		name = c.Board.ID
	}
	return setHostname(strings.Map(func(r rune) rune {
		if r == '_' || r == '.' {
			return '-'
		}
		return r
	}, name))
}
