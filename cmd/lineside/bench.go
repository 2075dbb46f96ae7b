package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"lineside/hw"
	"lineside/inference/bench"
	"lineside/inference/calibrate"
	"lineside/inference/model/fit"
	"lineside/inference/model/gguf"
	"lineside/inference/model/shape"
	"lineside/inference/model/synth"
)

// benchCells is the size of the cache that engines are measured with, in tokens.
const benchCells = 4096

// benchFlags are the command line of bench.
type benchFlags struct {
	program, model, out, stateDir string
	ablations, calibrate, json    bool
}

func benchCommand() *cobra.Command {
	var o benchFlags
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure the engine on this machine, or calibrate it",
		Long: `Runs the engine with the plant workload (devices that share a long prompt and want JSON),
plain decoding beside the bare loop, memory and restart, and prints a table. Nothing
else should run meanwhile; it takes some minutes.

Without --model it makes a model of the Llama 3.2 1B shape with random weights (770 MB,
kept in the user's cache folder): what it says is noise, what it costs is not.

With --calibrate it tries numbers of threads instead, and keeps the best ones for decoding
and for prompts where the engine finds them when it starts. The active model is what it
measures with, if there is one. Stop the engine meanwhile: both would share the cores.`,
		Example: `  lineside bench
  lineside bench --ablations -o figures.json
  lineside bench --model /var/lib/lineside/models/active.gguf

  sudo systemctl stop lineside-engine
  sudo lineside bench --calibrate
  sudo systemctl start lineside-engine`,
		Args: exactArgs(0, "no arguments but flags"),
		RunE: func(c *cobra.Command, _ []string) error {
			var err error
			if o.program, err = enginePath(o.program); err != nil {
				return err
			}
			if o.calibrate {
				return o.runCalibrate(c)
			}
			return o.run(c)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.program, "engine", "", "engine `program` (default: lineside-engine beside this program)")
	f.StringVar(&o.model, "model", "", "GGUF `file` to measure with")
	f.BoolVar(&o.ablations, "ablations", false, "also switch each technique off in turn")
	f.BoolVar(&o.calibrate, "calibrate", false, "find the best numbers of threads and keep them for the engine")
	f.StringVar(&o.stateDir, "state-dir", "/var/lib/lineside-engine", "the engine's state `folder`, for --calibrate")
	f.StringVarP(&o.out, "output", "o", "", "also write the figures to `FILE` as JSON")
	f.BoolVar(&o.json, "json", false, "print JSON for programs")
	return cmd
}

// run measures and prints.
func (o benchFlags) run(c *cobra.Command) error {
	if err := o.chooseModel(c); err != nil {
		return err
	}
	kv, err := kvBytes(o.model)
	if err != nil {
		return err
	}
	say := func(what string) { fmt.Fprintf(c.ErrOrStderr(), "measuring: %s\n", what) }
	report, err := bench.Measure(c.Context(), o.program, o.model, kv, o.ablations, say)
	if report == nil || len(report.Figures) == 0 {
		return err
	}
	report.Board = boardName()
	return errors.Join(err, o.show(c, report, func(w io.Writer) { printReport(w, report) }))
}

// runCalibrate finds and keeps the numbers of threads.
func (o benchFlags) runCalibrate(c *cobra.Command) error {
	if _, err := os.Stat(activeModel); err == nil && o.model == "" {
		o.model = activeModel
	}
	if err := o.chooseModel(c); err != nil {
		return err
	}
	counts := calibrate.Counts(runtime.NumCPU())
	fmt.Fprintf(c.ErrOrStderr(), "loading %s\n", o.model)
	done := 0
	r, err := bench.Calibrate(c.Context(), o.program, o.model, o.stateDir, func(s calibrate.Step) {
		done++
		fmt.Fprintf(c.ErrOrStderr(), "%d of %d: %d threads: %.1f tokens/s decoding, %.1f prefilling\n", done, len(counts), s.Threads, s.Decode, s.Prefill)
	})
	if err != nil {
		return err
	}
	return o.show(c, r, func(w io.Writer) {
		fmt.Fprintf(w, "decode with %d threads, prefill with %d: kept in %s for the engine's next start\n", r.Decode, r.Prefill, o.stateDir)
	})
}

// activeModel is the model that the appliance answers from.
const activeModel = "/var/lib/lineside/models/active.gguf"

// chooseModel takes the synthetic model where none is named.
func (o *benchFlags) chooseModel(c *cobra.Command) (err error) {
	if o.model == "" {
		o.model, err = benchModel(c)
	}
	return err
}

// show prints for people or programs, and writes the file that was asked for.
func (o benchFlags) show(c *cobra.Command, v any, table func(io.Writer)) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	b = append(b, '\n')
	if o.json {
		_, err = c.OutOrStdout().Write(b)
	} else {
		table(c.OutOrStdout())
	}
	if err != nil || o.out == "" {
		return err
	}
	return os.WriteFile(o.out, b, 0o644)
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

// boardName says on what figures were taken.
func boardName() string {
	b, err := hw.Open("/")
	if err != nil {
		return "unknown"
	}
	defer b.Close()
	id := b.Identity()
	return fmt.Sprintf("%s, %s, %d CPUs, %s, kernel %s", cmp.Or(id.Model, "unknown board"), id.SoC, id.CPUs, fit.Size(id.Memory), id.Kernel)
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
	fmt.Fprintf(w, "%s\n\n", r.Board)
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
