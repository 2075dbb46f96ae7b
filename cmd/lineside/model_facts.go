package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"lineside/hw"
	"lineside/inference/model/catalogue"
	"lineside/inference/model/fit"
	"lineside/inference/model/gguf"
	"lineside/inference/model/licence"
	"lineside/inference/model/shape"
)

// table writes aligned columns; the first row is the head.
func table(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintln(t, strings.Join(r, "\t"))
	}
	return t.Flush()
}

func jsonFlag(c *cobra.Command) *bool {
	return c.Flags().Bool("json", false, "print JSON for programs")
}

// catalogueRow is one line of the catalogue with what follows from its facts.
type catalogueRow struct {
	catalogue.Model
	Arch    string         `json:"arch,omitempty"`
	Context int            `json:"context"`
	KVToken uint64         `json:"kv_bytes_per_token,omitempty"`
	Layers  int            `json:"layers,omitempty"`
	Hidden  int            `json:"hidden,omitempty"`
	Heads   int            `json:"heads,omitempty"`
	KVHeads int            `json:"kv_heads,omitempty"`
	HeadDim int            `json:"head_dim,omitempty"`
	FFN     int            `json:"ffn,omitempty"`
	Vocab   int            `json:"vocab,omitempty"`
	Experts int            `json:"experts,omitempty"`
	Boards  map[string]int `json:"smallest_board_gib,omitempty"` // by quantization; 0: none
}

func catalogueRows() []catalogueRow {
	var rows []catalogueRow
	for _, m := range catalogue.Models() {
		s := m.Shape
		r := catalogueRow{Model: m, Arch: m.Arch(), Context: m.Context(), KVToken: s.KVBytesPerToken(), Layers: s.Layers, Hidden: s.Hidden,
			Heads: s.Heads, KVHeads: s.KVHeads, HeadDim: s.HeadDim, FFN: s.FFN, Vocab: s.Vocab, Experts: s.Experts}
		if m.Arch() != "" {
			r.Boards = map[string]int{}
			for _, q := range shape.Mixtures() {
				r.Boards[string(q)] = fit.SmallestBoard(m, q)
			}
		}
		rows = append(rows, r)
	}
	return rows
}

func modelCatalogueCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "catalogue",
		Short: "List the Llama family, and what this appliance can do with each model",
		Long: `Lists every model of the Llama family and the Mistral models they are compared
with. BOARD is the least memory in GiB for Q4_0 and Q4_K_M at 8,192 tokens.`,
		Example: `  lineside model catalogue
  lineside model catalogue --json`,
		Args: exactArgs(0, "no arguments"),
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(c *cobra.Command, _ []string) error {
		if *asJSON {
			return printJSON(c.OutOrStdout(), catalogueRows())
		}
		rows := [][]string{{"MODEL", "PARAMETERS", "CONTEXT", "TAKES", "ARCH", "LICENCE", "BOARD", "HERE"}}
		for _, r := range catalogueRows() {
			board := func(q shape.Mixture) string {
				if n := r.Boards[string(q)]; n > 0 {
					return fmt.Sprint(n)
				}
				return "–"
			}
			here := string(r.Verdict)
			if r.Why != "" {
				here += ": " + r.Why
			}
			rows = append(rows, []string{r.ID, billions(r.Params), fmt.Sprint(r.Context), strings.Join(r.Modalities, "+"), r.Arch,
				string(r.Licence), board(shape.Q4_0) + "/" + board(shape.Q4_K_M), here})
		}
		return table(c.OutOrStdout(), rows)
	}
	return cmd
}

func billions(n uint64) string {
	if n == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f B", float64(n)/1e9)
}

// facts are what a file's header says, and what the catalogue knows of its form.
type facts struct {
	File         string              `json:"file"`
	Bytes        int64               `json:"bytes"`
	Name         string              `json:"name,omitempty"`
	Arch         string              `json:"arch"`
	Quantization string              `json:"quantization,omitempty"`
	Params       uint64              `json:"params,omitempty"`
	Context      int                 `json:"context,omitempty"`
	Tokens       int                 `json:"tokens,omitempty"`
	Tensors      int                 `json:"tensors"`
	TensorBytes  uint64              `json:"tensor_bytes"`
	Types        map[string]int      `json:"types"` // tensors of each type
	Form         []string            `json:"form"`  // catalogue models with this shape
	Declared     string              `json:"declared_licence,omitempty"`
	Licences     []licence.ID        `json:"licences,omitempty"` // that models of this form come under
	Problem      string              `json:"problem,omitempty"`
	Metadata     []map[string]string `json:"metadata,omitempty"`
	shape        shape.Shape
	header       *gguf.Header
}

// inspect reads a file's header. A file with a sound header that is no model of the
// family has a Problem.
func inspect(path string) (facts, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return facts{}, err
	}
	defer f.Close()
	x := facts{File: path, Bytes: f.Size, Arch: f.Architecture(), Tensors: len(f.Tensors), TensorBytes: f.TensorBytes(),
		Types: map[string]int{}, header: f.Header}
	x.Name, _ = f.Text("general.name")
	x.Declared, _ = f.Text("general.license")
	for _, t := range f.Tensors {
		x.Types[t.Type.String()]++
	}
	if x.shape, err = shape.Of(f.Header); err != nil {
		x.Problem = err.Error()
		return x, nil
	}
	x.Params, x.Context, x.Tokens = x.shape.Params(), x.shape.Context, x.shape.Vocab
	x.Quantization = string(x.shape.MixtureOf(f.Header))
	for _, m := range catalogue.Match(x.shape) {
		x.Form = append(x.Form, m.ID)
		x.Licences = append(x.Licences, m.Licence)
	}
	return x, nil
}

func modelInspectCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Show what a GGUF file is, without loading it",
		Example: `  lineside model inspect llama.gguf
  lineside model inspect llama.gguf --json --metadata`,
		Args: exactArgs(1, "one FILE"),
	}
	asJSON := jsonFlag(cmd)
	metadata := cmd.Flags().Bool("metadata", false, "show every metadata key")
	cmd.RunE = func(c *cobra.Command, args []string) error {
		x, err := inspect(args[0])
		if err != nil {
			return err
		}
		if *metadata {
			for _, k := range x.header.Keys {
				v, _ := x.header.Value(k)
				x.Metadata = append(x.Metadata, map[string]string{"key": k, "kind": v.Kind.String(), "value": v.String()})
			}
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), x)
		}
		return x.print(c.OutOrStdout())
	}
	return cmd
}

func (x facts) print(w io.Writer) error {
	or := func(s, other string) string {
		if s == "" {
			return other
		}
		return s
	}
	var types []string
	for _, t := range []gguf.Type{gguf.F32, gguf.F16, gguf.BF16, gguf.Q4_0, gguf.Q4_1, gguf.Q4_K, gguf.Q5_0, gguf.Q5_1, gguf.Q5_K, gguf.Q6_K, gguf.Q8_0} {
		if n := x.Types[t.String()]; n > 0 {
			types = append(types, fmt.Sprintf("%d × %v", n, t))
		}
	}
	rows := [][]string{
		{"file", x.File}, {"size", fmt.Sprintf("%s (%d bytes)", fit.Size(uint64(x.Bytes)), x.Bytes)},
		{"name", fmt.Sprintf("%q", x.Name)}, {"architecture", x.Arch},
		{"tensors", fmt.Sprintf("%d, %d bytes: %s", x.Tensors, x.TensorBytes, strings.Join(types, ", "))},
	}
	if x.Problem != "" {
		rows = append(rows, []string{"problem", x.Problem})
	} else {
		rows = append(rows, []string{"parameters", billions(x.Params)}, []string{"quantization", or(x.Quantization, "a mixture of its own")},
			[]string{"context", fmt.Sprintf("%d tokens", x.Context)}, []string{"vocabulary", fmt.Sprintf("%d tokens", x.Tokens)},
			[]string{"form of", or(strings.Join(x.Form, ", "), "no model of the catalogue")})
	}
	rows = append(rows, []string{"says of its licence", or(x.Declared, "nothing") + " (never trusted)"})
	for _, m := range x.Metadata {
		rows = append(rows, []string{m["key"], fmt.Sprintf("%.100q", m["value"])})
	}
	return table(w, rows)
}

func modelFitCommand() *cobra.Command {
	var ram, root string
	var r fit.Request
	cmd := &cobra.Command{
		Use:   "fit FILE",
		Short: "Say whether a model fits a board, and what would",
		Long: `Plans memory for a model file: weights, cache for the context that all slots
share, scratch, the daemon, and a margin of a fifth. Without --ram the memory is
that of the board it runs on.`,
		Example: `  lineside model fit llama.gguf --ram 4GiB --ctx 4096
  lineside model fit llama.gguf            # on the board itself`,
		Args: exactArgs(1, "one FILE"),
	}
	f := cmd.Flags()
	f.StringVar(&ram, "ram", "", "memory of the board, like 4GiB (default: this machine's)")
	f.StringVar(&root, "root", "/", "read the board's files below this `DIR`")
	f.IntVar(&r.Context, "ctx", fit.DefaultContext, "tokens that all slots share")
	f.IntVar(&r.Slots, "slots", fit.DefaultSlots, "asks at a time")
	f.IntVar(&r.UBatch, "ubatch", fit.DefaultUBatch, "tokens of one pass")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(c *cobra.Command, args []string) error {
		if r.Context < 1 || r.Slots < 1 || r.UBatch < 1 {
			return fmt.Errorf("%w: --ctx, --slots and --ubatch are at least 1", errUsage)
		}
		var err error
		if r.RAM, err = boardMemory(ram, root); err != nil {
			return err
		}
		x, err := inspect(args[0])
		if err != nil {
			return err
		}
		if x.Problem != "" {
			return fmt.Errorf("%s: %s", args[0], x.Problem)
		}
		r.Shape, r.File = x.shape, uint64(x.Bytes)
		plan := fit.Memory(r)
		options := fit.Options(r, uint64(x.Bytes)-x.TensorBytes)
		if *asJSON {
			return printJSON(c.OutOrStdout(), map[string]any{"plan": plan, "quantizations": options})
		}
		return printFit(c.OutOrStdout(), plan, options)
	}
	return cmd
}

// boardMemory is what --ram says, or the board below root has.
func boardMemory(ram, root string) (uint64, error) {
	if ram != "" {
		n, err := fit.ParseSize(ram)
		if err != nil {
			return 0, fmt.Errorf("%w: --ram: %w", errUsage, err)
		}
		return n, nil
	}
	board, err := hw.Open(root)
	if err != nil {
		return 0, err
	}
	defer board.Close()
	if n := board.Identity().Memory; n > 0 {
		return n, nil
	}
	return 0, fmt.Errorf("cannot read this machine's memory below %s: give --ram", root)
}

func printFit(w io.Writer, p fit.Plan, options []fit.Option) error {
	verdict := "no"
	if p.Fits {
		verdict = "yes"
	}
	rows := [][]string{
		{verdict, p.Why},
		{"weights", fit.Size(p.Weights)},
		{"cache", fmt.Sprintf("%s for %d tokens, shared by %d slots", fit.Size(p.KV), p.Context, p.Slots)},
		{"scratch", fit.Size(p.Compute)},
		{"daemon and system", fit.Size(p.Daemon)},
		{"in all", fmt.Sprintf("%s of %s usable (%d%% of %s)", fit.Size(p.Total), fit.Size(p.Budget), fit.Share, fit.Size(p.RAM))},
		{"largest context", fmt.Sprintf("%d tokens", p.MaxContext)},
	}
	for _, o := range options {
		says := "does not fit"
		if o.Fits {
			says = fmt.Sprintf("fits, up to %d tokens", o.MaxContext)
		} else if o.MaxContext > 0 {
			says = fmt.Sprintf("fits with up to %d tokens", o.MaxContext)
		}
		rows = append(rows, []string{"as " + string(o.Quantization), fit.Size(o.File) + ", " + says})
	}
	return table(w, rows)
}
