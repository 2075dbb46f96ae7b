// Command demomodel makes Lineside's demo model: it writes the corpus and the
// tokenizer that train.py learns from, turns what was learnt into a GGUF file,
// and judges it on asks that it never saw. `make demo-model` runs it in order.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
)

const usage = `usage: demomodel data -o DIR [-n ASKS] [-seed N]       write corpus and tokenizer
       demomodel export -data DIR -trained DIR -o FILE   write the GGUF file
       demomodel eval -model FILE [-engine PROGRAM] [-card FILE] [-every N]
                                                         judge it on held-out asks: through the engine as
                                                         built, or with the forward pass in plain Go
       demomodel golden -model FILE -o FILE              write the fixed asks that tests expect to the letter
`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "demomodel:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	flags := flag.NewFlagSet(args[0], flag.ExitOnError)
	to := flags.String("o", "", "folder or file to write")
	data := flags.String("data", "", "folder that the data command wrote")
	trained := flags.String("trained", "", "folder that train.py wrote")
	n := flags.Int("n", 400_000, "training asks")
	ending := flags.Int("ending", 0, "mix of the last part: 0 or 1")
	seed := flags.Uint64("seed", 1, "of the corpus")
	model := flags.String("model", "", "GGUF file")
	program := flags.String("engine", "", "lineside-engine; empty: the plain forward pass, without a grammar")
	card := flags.String("card", "", "write hash and scores into this model card")
	every := flags.Int("every", 1, "ask only every so many of the held-out asks")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "data":
		if *ending < 0 || *ending > 1 {
			return fmt.Errorf("there is no ending %d: 0 or 1", *ending)
		}
		return writeData(*to, *seed, *n, *ending)
	case "export":
		return export(*data, *trained, *to)
	case "eval":
		return judge(*program, *model, *card, *seed, *every)
	case "golden":
		answer, err := witness(*model)
		if err != nil {
			return err
		}
		return golden(answer, *to)
	}
	return fmt.Errorf("no command %q", args[0])
}

// judge prints the scores of a model and writes them into its card, if one is named.
func judge(program, model, card string, seed uint64, every int) error {
	answer, stop, err := judged(program, model)
	if err != nil {
		return err
	}
	defer stop()
	var table strings.Builder
	short := evaluate(answer, seed, every, os.Stdout, &table)
	if card != "" {
		if err := writeCard(card, model, table.String()); err != nil {
			return err
		}
	}
	return short
}

// judged is the engine where a program is named, else the witness.
func judged(program, model string) (answerer, func(), error) {
	if program != "" {
		return throughEngine(program, model)
	}
	answer, err := witness(model)
	return answer, func() {}, err
}
