package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"lineside/inference/model/gguf"
	"lineside/inference/model/shape"
	"lineside/inference/model/synth"
)

func modelSynthCommand() *cobra.Command {
	var name, quantization, vocab, out string
	var seed uint64
	cmd := &cobra.Command{
		Use:   "synth",
		Short: "Make a model of a given shape with random weights",
		Long: `Makes a model that says nothing of sense, but loads like the real one and takes
the same time and memory. Tests and benchmarks run on it.

Shapes: tiny, tiny-llama2, tiny-llama4, tiny-mistral, and every model of
"lineside model catalogue" that has a GGUF form.`,
		Example: `  lineside model synth --shape tiny -o tiny.gguf
  lineside model synth --shape llama-3.2-1b --quant q4_0 -o 1b.gguf
  lineside model synth --shape llama-3.2-3b --quant q4_k_m --vocab real.gguf -o 3b.gguf`,
		Args: exactArgs(0, "no arguments but flags"),
		RunE: func(c *cobra.Command, _ []string) error {
			if out == "" {
				return fmt.Errorf("%w: -o FILE is missing", errUsage)
			}
			mixture, err := shape.ParseMixture(quantization)
			if err != nil {
				return fmt.Errorf("%w: %w", errUsage, err)
			}
			vocabulary, err := openVocabulary(vocab)
			if err != nil {
				return err
			}
			model, err := synth.New(name, mixture, vocabulary)
			if err != nil {
				return fmt.Errorf("%w: %w", errUsage, err)
			}
			model.Seed = seed
			return writeSynth(c, model, out)
		},
	}
	f := cmd.Flags()
	f.StringVar(&name, "shape", "tiny", "shape of the model")
	f.StringVar(&quantization, "quant", "q4_0", "quantization: q4_0, q4_k_m, q5_k_m, q8_0 or f16")
	f.StringVar(&vocab, "vocab", "", "take the vocabulary from this GGUF `FILE` instead of making one up")
	f.Uint64Var(&seed, "seed", 1, "the same seed makes the same weights")
	f.StringVarP(&out, "output", "o", "", "write the model to `FILE`")
	return cmd
}

// openVocabulary takes the vocabulary of a file, or none for no path.
func openVocabulary(path string) (*synth.Vocabulary, error) {
	if path == "" {
		return nil, nil
	}
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	v, err := synth.VocabularyOf(f.Header)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return v, nil
}

// writeSynth writes beside the target first, so that a name never holds half a model.
func writeSynth(c *cobra.Command, model synth.Model, out string) error {
	total, err := model.Bytes()
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(out), "."+filepath.Base(out)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // finds nothing after the rename
	bar, done := progress(c.ErrOrStderr(), "writing "+filepath.Base(out), total)
	err = model.Write(c.Context(), io.MultiWriter(f, bar))
	done()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := os.Chmod(f.Name(), 0o644); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), out); err != nil {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "%s: %s, %s, %d bytes\n", out, model.Name, model.Mixture, total)
	return nil
}
