// Command demomodel makes Lineside's demo model: it writes the corpus and the
// tokenizer that train.py learns from, turns what was learnt into a GGUF file,
// and judges it on asks that it never saw. `make demo-model` runs it in order.
package main

import (
	"flag"
	"fmt"
	"os"
)

const usage = `usage: demomodel data -o DIR [-n ASKS] [-seed N]   write corpus and tokenizer
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
	dir := flags.String("o", "", "folder to write to")
	n := flags.Int("n", 600_000, "training asks")
	seed := flags.Uint64("seed", 1, "of the corpus")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "data":
		return writeData(*dir, *seed, *n)
	}
	return fmt.Errorf("no command %q", args[0])
}
