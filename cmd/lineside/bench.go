package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"lineside/inference/bench"
	"lineside/inference/model/gguf"
	"lineside/inference/model/shape"
	"lineside/inference/model/synth"
)

// benchCells is the size of the cache that engines are measured with, in tokens.
const benchCells = 4096

func benchCommand() *cobra.Command {
	var program, model, out string
	var ablations bool
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure the engine on this machine",
		Long: `Runs the engine with the plant workload (devices that share a long prompt and want JSON),
plain decoding beside the bare loop, memory and restart, and prints a table. Nothing
else should run meanwhile; it takes some minutes.

Without --model it makes a model of the Llama 3.2 1B shape with random weights (770 MB,
kept in the user's cache folder): what it says is noise, what it costs is not.`,
		Example: `  lineside bench
  lineside bench --ablations -o figures.json
  lineside bench --model /var/lib/lineside/models/active.gguf`,
		Args: exactArgs(0, "no arguments but flags"),
		RunE: func(c *cobra.Command, _ []string) error {
			program, err := enginePath(program)
			if err != nil {
				return err
			}
			if model == "" {
				if model, err = benchModel(c); err != nil {
					return err
				}
			}
			kv, err := kvBytes(model)
			if err != nil {
				return err
			}
			say := func(what string) { fmt.Fprintf(c.ErrOrStderr(), "measuring: %s\n", what) }
			report, err := bench.Measure(c.Context(), program, model, kv, ablations, say)
			if report != nil && len(report.Figures) > 0 {
				printReport(c.OutOrStdout(), report)
			}
			if err != nil || out == "" {
				return err
			}
			b, err := json.MarshalIndent(report, "", "  ")
			if err != nil {
				return err
			}
			return os.WriteFile(out, append(b, '\n'), 0o644)
		},
	}
	f := cmd.Flags()
	f.StringVar(&program, "engine", "", "engine `program` (default: lineside-engine beside this program)")
	f.StringVar(&model, "model", "", "GGUF `file` to measure with")
	f.BoolVar(&ablations, "ablations", false, "also switch each technique off in turn")
	f.StringVarP(&out, "output", "o", "", "also write the figures to `FILE` as JSON")
	return cmd
}

// enginePath is the engine beside this program, where none is named.
func enginePath(named string) (string, error) {
	if named != "" {
		return named, nil
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(self), "lineside-engine")
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("no lineside-engine beside this program: build it or name it with --engine: %w", err)
	}
	return path, nil
}

// benchModel makes the synthetic model once and finds it again later.
func benchModel(c *cobra.Command) (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "lineside", "bench-llama-3.2-1b-q4_0.gguf")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	mixture, err := shape.ParseMixture("q4_0")
	if err != nil {
		return "", err
	}
	m, err := synth.New("llama-3.2-1b", mixture, nil)
	if err != nil {
		return "", err
	}
	return path, writeSynth(c, m, path)
}

func kvBytes(model string) (int64, error) {
	f, err := gguf.Open(model)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	s, err := shape.Of(f.Header)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", model, err)
	}
	return int64(s.KVBytesPerToken()) * benchCells, nil
}

func printReport(w io.Writer, r *bench.Report) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s\tmeasured\t\tgoal\t\n", r.Model)
	for _, f := range r.Figures {
		mark := ""
		if f.Goal != "" {
			mark = "reached"
			if !f.OK {
				mark = "missed"
			}
		}
		fmt.Fprintf(t, "%s\t%.2f\t%s\t%s\t%s\n", f.Name, f.Value, f.Unit, f.Goal, mark)
	}
	t.Flush()
}
