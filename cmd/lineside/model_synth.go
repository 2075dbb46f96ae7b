package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"lineside/inference/model/gguf"
	"lineside/inference/model/shape"
	"lineside/inference/model/synth"
)

func modelSynthCommand() *cobra.Command {
	var name, quantization, vocab, base, out string
	var rank int
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
  lineside model synth --shape llama-3.2-3b --quant q4_k_m --vocab real.gguf -o 3b.gguf
  lineside model synth --adapter-for tiny.gguf --rank 8 -o adapter.gguf`,
		Args: exactArgs(0, "no arguments but flags"),
		RunE: func(c *cobra.Command, _ []string) error {
			if out == "" {
				return fmt.Errorf("%w: -o FILE is missing", errUsage)
			}
			if base != "" {
				return synthAdapter(c, base, rank, seed, out)
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
	f.StringVar(&base, "adapter-for", "", "make a LoRA adapter for the model in this GGUF `FILE` instead")
	f.IntVar(&rank, "rank", 8, "of the adapter")
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

// writeSynth writes a model and shows how far it is.
func writeSynth(c *cobra.Command, model synth.Model, out string) error {
	total, err := model.Bytes()
	if err != nil {
		return err
	}
	bar, done := progress(c.ErrOrStderr(), "writing "+filepath.Base(out), total)
	err = writeWhole(out, func(w io.Writer) error { return model.Write(c.Context(), io.MultiWriter(w, bar)) })
	done()
	if err == nil {
		fmt.Fprintf(c.OutOrStdout(), "%s: %s, %s, %d bytes\n", out, model.Name, model.Mixture, total)
	}
	return err
}

// synthAdapter makes an adapter, which is small.
func synthAdapter(c *cobra.Command, base string, rank int, seed uint64, out string) error {
	if rank < 1 || rank > 1024 {
		return fmt.Errorf("%w: --rank %d: want 1 to 1024", errUsage, rank)
	}
	f, err := gguf.Open(base)
	if err != nil {
		return err
	}
	defer f.Close()
	name := strings.TrimSuffix(filepath.Base(out), ".gguf")
	err = writeWhole(out, func(w io.Writer) error { return synth.WriteAdapter(f.Header, name, rank, seed, w) })
	if err == nil {
		fmt.Fprintf(c.OutOrStdout(), "%s: LoRA of rank %d for %s\n", out, rank, base)
	}
	return err
}

// writeWhole writes beside the target first, so that a name never holds half a model.
func writeWhole(out string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(out), "."+filepath.Base(out)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // finds nothing after the rename
	err = write(f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := os.Chmod(f.Name(), 0o644); err != nil {
		return err
	}
	return os.Rename(f.Name(), out)
}
