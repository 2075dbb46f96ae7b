package bundle

import (
	"fmt"
	"slices"
	"strings"

	"lineside/inference/model/catalogue"
	"lineside/inference/model/demo"
	"lineside/inference/model/gguf"
	"lineside/inference/model/licence"
	"lineside/inference/model/lora"
	"lineside/inference/model/shape"
)

// Finding is something that speaks against a bundle, and that an owner can
// override with a reason. What nobody can override is an error instead.
type Finding struct {
	Rule string `json:"rule"`
	Why  string `json:"why"`
}

func (f Finding) String() string { return f.Rule + ": " + f.Why }

// Rules of findings.
const (
	RuleUnknown = "unknown-form" // no model of the catalogue has this shape
	RuleRelabel = "relabelled"   // a permissive licence on a Llama's shape
	RuleText    = "licence-text" // the licence's text is none that is known
	RuleVouch   = "not-vouched"  // nobody trusted has signed it
)

// Judge checks what a bundle holds against its manifest and the rules of its
// licence: texts, notice, names, and the weights' own header. It reads no
// tensor, so it is quick; hashes of weights are the installer's to check.
func (b *Bundle) Judge() ([]Finding, error) {
	findings, err := b.judgeTexts()
	if err != nil {
		return nil, err
	}
	weights := b.WeightsFile()
	f, err := b.Open(weights)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h, err := gguf.Read(f, weights.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", weights.Name, err)
	}
	more, err := judgeWeights(b.Manifest, h)
	return append(findings, more...), err
}

// judgeTexts holds the texts to what the licence asks for.
func (b *Bundle) judgeTexts() ([]Finding, error) {
	duties, known := licence.Of(b.Licence)
	if known && duties.Refused != "" {
		return nil, &licence.Refusal{Licence: b.Licence, Why: duties.Refused}
	}
	text, err := b.Text(Licence)
	if err != nil {
		return nil, err
	}
	var findings []Finding
	id, ok := licence.Identify(text)
	switch {
	case !ok:
		findings = append(findings, Finding{RuleText, "the licence text is none of those known, word for word"})
	case id != licence.Text{Licence: b.Licence, Role: licence.Agreement}:
		return nil, fmt.Errorf("%w: the manifest says licence %s, but the text is the %s of %s", ErrContent, b.Licence, id.Role, id.Licence)
	}
	if !known {
		return append(findings, Finding{RuleText, fmt.Sprintf("licence %q is not known", b.Licence)}), nil
	}
	policy, err := b.Text(Policy)
	switch id, ok := licence.Identify(policy); {
	case err != nil:
		return nil, err
	case duties.Policy && policy == nil:
		return nil, fmt.Errorf("%w: %s is missing: the licence makes it part of itself", ErrContent, PolicyFile)
	case duties.Policy && (!ok || id != licence.Text{Licence: b.Licence, Role: licence.Policy}):
		return nil, fmt.Errorf("%w: %s is not the use policy of %s", ErrContent, PolicyFile, b.Licence)
	}
	notice, err := b.Text(Notice)
	switch {
	case err != nil:
		return nil, err
	case !strings.Contains(licence.Normalise(string(notice)), licence.Normalise(duties.Notice)):
		return nil, fmt.Errorf("%w: %s lacks the line %q, which clause %s asks for", ErrContent, NoticeFile, duties.Notice, duties.NoticeBy)
	}
	return findings, nil
}

// permissive reports whether a declared licence promises more than Llama's do.
func permissive(declared string) bool {
	d := strings.ToLower(declared)
	return slices.ContainsFunc([]string{"apache", "mit", "bsd", "cc", "gpl", "unlicense", "isc", "openrail", "public"},
		func(s string) bool { return strings.HasPrefix(d, s) })
}

// judgeWeights holds a header to the manifest, and the licence to the form.
func judgeWeights(m Manifest, h *gguf.Header) ([]Finding, error) {
	facts, err := factsOf(m.Kind, h)
	if err != nil {
		return nil, err
	}
	if facts.TensorBytes != m.Facts.TensorBytes || facts.Arch != m.Facts.Arch || facts.Params != m.Facts.Params {
		return nil, fmt.Errorf("%w: its weights are not those that the manifest describes", ErrContent)
	}
	if err := licence.CheckName(m.Licence, m.Name, names(h)...); err != nil {
		return nil, err
	}
	if m.Kind == Adapter {
		return nil, nil // its base was judged when that was installed
	}
	if ours(m) {
		return nil, nil
	}
	if len(facts.Form) == 0 {
		return []Finding{{RuleUnknown, "no model of the catalogue has this form"}}, nil
	}
	var licences []licence.ID
	for _, id := range facts.Form {
		model, err := catalogue.Find(id)
		if err != nil {
			return nil, err
		}
		licences = append(licences, model.Licence)
	}
	declared, _ := h.Text("general.license")
	switch {
	case m.Licence == licence.Unknown: // its text is a finding already
	case !slices.Contains(licences, m.Licence):
		return []Finding{{RuleRelabel, fmt.Sprintf("licence %s, but the form is that of %s, which come under %s",
			m.Licence, strings.Join(facts.Form, ", "), join(licences))}}, nil
	case permissive(declared) && !slices.Contains(licences, licence.Apache20):
		return []Finding{{RuleRelabel, fmt.Sprintf("the file calls itself %q, but its form is that of %s", declared, strings.Join(facts.Form, ", "))}}, nil
	}
	return nil, nil
}

// ours reports whether these are the weights that this program carries, under our licence.
// They are known by all of their bytes: the hash is taken from the program's own copy.
func ours(m Manifest) bool {
	return m.Licence == licence.Apache20 && m.WeightsFile().SHA256 == demo.SHA256()
}

func join(ids []licence.ID) string {
	var list []string
	for _, id := range slices.Compact(ids) {
		list = append(list, string(id))
	}
	return strings.Join(list, ", ")
}

// factsOf describes weights by their header.
func factsOf(k Kind, h *gguf.Header) (Facts, error) {
	f := Facts{Arch: h.Architecture(), TensorBytes: h.TensorBytes(), Form: []string{}}
	if k == Adapter {
		return f, lora.Check(h)
	}
	s, err := shape.Of(h)
	if err != nil {
		return f, err
	}
	f.Quantization, f.Params, f.Context = string(s.MixtureOf(h)), s.Params(), s.Context
	for _, m := range catalogue.Match(s) {
		f.Form = append(f.Form, m.ID)
	}
	return f, nil
}

// names are the other names, tags and lineage that a header gives its model.
func names(h *gguf.Header) []string {
	var list []string
	for _, key := range h.Keys {
		if !strings.HasPrefix(key, "general.") {
			continue
		}
		if s, err := h.Text(key); err == nil && key != "general.description" {
			list = append(list, s)
		} else if tags, err := h.Strings(key); err == nil {
			list = append(list, tags...)
		}
	}
	return list
}
