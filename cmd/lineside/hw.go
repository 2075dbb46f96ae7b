package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"lineside/daemon/config"
	"lineside/daemon/lamp"
	"lineside/hw"
)

func hwCommand() *cobra.Command {
	var root string
	var asJSON bool
	var watch time.Duration
	cmd := &cobra.Command{
		Use:   "hw",
		Short: "Show what the board is and what its sensors say",
		Long: `Show what the board is and what its sensors say: temperatures with their limits,
throttling, clocks, fans, power, memory, storage. What cannot be read stands there with
its reason. It reads files only; nothing is set.`,
		Example: `  lineside hw
  lineside hw --watch 2s
  lineside hw --json | jq '.readings[] | select(.quality != "good")'
  lineside hw --root captured-board/ --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			board, err := hw.Open(root)
			if err != nil {
				return fmt.Errorf("%w: --root must be a folder that holds proc/ and sys/", err)
			}
			defer board.Close()
			return showReadings(c.Context(), board, c.OutOrStdout(), asJSON, watch)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&root, "root", "/", "read the board below this `folder`")
	fl.BoolVar(&asJSON, "json", false, "print one JSON object; with --watch one per line")
	fl.DurationVar(&watch, "watch", 0, "read again at this interval until Ctrl-C")
	cmd.AddCommand(hwLampCommand())
	return cmd
}

func showReadings(ctx context.Context, board *hw.Board, out io.Writer, asJSON bool, every time.Duration) error {
	var s hw.Sample
	for {
		board.Sample(&s)
		var err error
		switch report := hw.NewReport(board.Identity(), &s, s.At); {
		case asJSON:
			enc := json.NewEncoder(out)
			if every == 0 {
				enc.SetIndent("", "  ")
			}
			err = enc.Encode(report)
		default:
			if every > 0 && isTerminal(out) {
				fmt.Fprint(out, "\x1b[H\x1b[2J")
			}
			err = boardTable(out, report)
		}
		if err != nil || every <= 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func boardTable(out io.Writer, r hw.Report) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	id := r.Board
	field := func(name, value, missing string) {
		if value == "" {
			value = "– " + id.Missing[missing]
		}
		fmt.Fprintf(w, "%s\t%s\n", name, value)
	}
	field("board", id.Model, "model")
	field("family", string(id.Family), "")
	field("soc", id.SoC, "soc")
	field("serial", id.Serial, "serial")
	fmt.Fprintf(w, "memory\t%s, %d CPUs\n\n", quantity(float64(id.Memory), "B"), id.CPUs)
	fmt.Fprintln(w, "READING\tVALUE\tLIMIT\tQUALITY")
	for _, v := range r.Readings {
		value, limit, quality := "–", "", v.Quality
		if v.Value != nil {
			value = quantity(*v.Value, v.Unit)
		}
		if v.Text != "" {
			value = strings.TrimSpace(strings.TrimPrefix(value, "–") + " " + v.Text)
		}
		if v.High > 0 {
			limit = quantity(v.High, v.Unit)
		}
		if v.Reason != "" {
			quality += ": " + v.Reason
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", v.ID, value, limit, quality)
	}
	return w.Flush()
}

// quantity writes a number with its unit as people read it.
func quantity(v float64, unit string) string {
	switch unit {
	case "B":
		for _, u := range []string{"B", "KB", "MB", "GB"} {
			if v < 1000 || u == "GB" {
				return strconv.FormatFloat(v, 'f', digitsFor(v, u), 64) + " " + u
			}
			v /= 1000
		}
	case "Hz":
		return strconv.FormatFloat(v/1e6, 'f', 0, 64) + " MHz"
	case "s":
		return (time.Duration(v) * time.Second).String()
	case "1": // a count
		return strconv.FormatFloat(v, 'f', -1, 64)
	case "°C", "%", "tokens/s":
		return strconv.FormatFloat(v, 'f', 1, 64) + " " + unit
	case "V", "A", "W":
		return strconv.FormatFloat(v, 'f', 2, 64) + " " + unit
	}
	return strings.TrimSpace(strconv.FormatFloat(v, 'f', -1, 64) + " " + unit)
}

func digitsFor(v float64, unit string) int {
	if unit == "B" || v >= 100 {
		return 0
	}
	return 1
}

func hwLampCommand() *cobra.Command {
	var light hw.LightConfig
	var place, root, file string
	cmd := &cobra.Command{
		Use:   "lamp {test|PATTERN}",
		Short: "Try a lamp, or leave a pattern on it",
		Long: `Try a lamp, or leave one of the status patterns on it. A sysfs LED keeps the pattern
after the command ends, because the kernel blinks it: lineside-failure.service shows a
failure so, on the lights of the configuration, even where the rest of that file is broken. The patterns: ` + strings.Join(patternNames(), ", ") + `.`,
		Example: `  lineside hw lamp test --lamp sysfs:ACT
  lineside hw lamp test --lamp gpio:pinctrl-rp1/17 --inverted
  lineside hw lamp failure --lamp sysfs:ACT
  lineside hw lamp failure --config /etc/lineside/lineside.toml`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if file != "" {
				lights, err := config.LightsOf(file)
				if len(lights) == 0 {
					return err // a board without a light shows nothing
				}
				return errors.Join(runLamp(c.Context(), root, lights, args[0]), err)
			}
			light.Kind, light.Lamps = "led", map[string]string{"lamp": place}
			if err := light.Check(); err != nil {
				return fmt.Errorf("%w: --lamp: %w", errUsage, err)
			}
			return runLamp(c.Context(), root, []hw.LightConfig{light}, args[0])
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&place, "lamp", "sysfs:ACT", "sysfs:NAME or gpio:CHIP/LINE")
	fl.StringVar(&file, "config", "", "instead of --lamp: all lights of this configuration `file`")
	fl.BoolVar(&light.Inverted, "inverted", false, "the lamp lights at a low level")
	fl.StringVar(&root, "root", "/", "look for sysfs LEDs below this `folder`")
	return cmd
}

func patternNames() (names []string) {
	for _, p := range lamp.Patterns() {
		names = append(names, p.Name)
	}
	return names
}

func runLamp(ctx context.Context, root string, lights []hw.LightConfig, what string) error {
	panel, err := hw.OpenPanel(root, lights, nil)
	if err != nil {
		return err
	}
	if what == "test" {
		return errors.Join(panel.Test(ctx), panel.Halt())
	}
	for _, p := range lamp.Patterns() {
		if p.Name == what {
			p.Beat = false // nobody beats after this command
			return panel.Show(p)
		}
	}
	return fmt.Errorf("%w: no pattern %q: use test, %s", errUsage, what, strings.Join(patternNames(), ", "))
}
