// Package catalogue lists the models of the Llama family, and the Mistral models
// they are compared with: their forms, what they understand, under which
// licence they come, and what the appliance can do with them.
//
// It is a table of published facts. It never looks at files or at the network.
package catalogue

import (
	"fmt"
	"strings"

	"lineside/inference/model/licence"
	"lineside/inference/model/shape"
)

// Verdict is what the appliance can do with a model.
type Verdict string

// Verdicts.
const (
	Runs   Verdict = "runs"    // on some board that the appliance supports
	TooBig Verdict = "too big" // for every board
	NoGGUF Verdict = "no gguf" // its published form cannot be loaded
	Refuse Verdict = "refuse"  // its licence or form rules it out
)

// Model is one published model.
type Model struct {
	ID         string      `json:"id"`   // as it is typed: llama-3.2-1b
	Name       string      `json:"name"` // as its owner writes it
	Generation string      `json:"generation"`
	Released   string      `json:"released"` // day or month, as known
	Params     uint64      `json:"params"`   // parameters in all; of the language model where it also sees
	Active     uint64      `json:"active"`   // parameters used per token
	Shape      shape.Shape `json:"-"`        // zero where no weights are public
	Modalities []string    `json:"modalities"`
	Languages  []string    `json:"languages"`
	Tokenizer  string      `json:"tokenizer"`
	Header     uint64      `json:"-"` // bytes of a published file that are no tensors
	Licence    licence.ID  `json:"licence"`
	EUExcluded bool        `json:"eu_excluded"` // multimodal: withheld from companies seated in the EU
	Verdict    Verdict     `json:"verdict"`
	Why        string      `json:"why,omitempty"`
}

// Context is the length in tokens that the model was trained for.
func (m Model) Context() int { return m.Shape.Context }

// Arch is general.architecture of the model's GGUF, empty where there is none.
func (m Model) Arch() string { return m.Shape.Arch }

// Find returns the model of an id, in any case.
func Find(id string) (Model, error) {
	var ids []string
	for _, m := range Models() {
		if strings.EqualFold(m.ID, id) {
			return m, nil
		}
		ids = append(ids, m.ID)
	}
	return Model{}, fmt.Errorf("unknown model %q: the catalogue has %s", id, strings.Join(ids, ", "))
}

// Match lists the models whose form a file's shape has, newest first. A shape
// names its model only up to fine-tunes and releases that share one form.
func Match(s shape.Shape) []Model {
	var list []Model
	all := Models()
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Shape.Arch != "" && same(all[i].Shape, s) {
			list = append(list, all[i])
		}
	}
	return list
}

// same compares what a publisher cannot relabel: the tensors' own dimensions.
// Context, RoPE base and frequency factors are metadata and left out.
func same(a, b shape.Shape) bool {
	return a.Layers == b.Layers && a.Hidden == b.Hidden && a.Heads*a.HeadDim == b.Heads*b.HeadDim &&
		a.KVHeads*a.HeadDim == b.KVHeads*b.HeadDim && a.FFN == b.FFN && a.Vocab == b.Vocab &&
		a.Experts == b.Experts && a.ExpertFFN == b.ExpertFFN
}
