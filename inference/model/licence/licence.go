// Package licence knows the licences of the models that the appliance may meet:
// which text is which, what each asks for, and whether a use may run under it.
//
// It restates texts for machines and is no legal advice. It never reads
// weights, and never trusts what a model file says about its own licence.
package licence

// ID names one licence text. Those of SPDX's list have its names; the others
// have the names that model hubs tag them with.
type ID string

// Licences by id.
const (
	Llama1   ID = "llama1" // non-commercial, bespoke
	Llama2   ID = "llama2"
	Llama3   ID = "llama3"
	Llama31  ID = "llama3.1"
	Llama32  ID = "llama3.2"
	Llama33  ID = "llama3.3"
	Llama4   ID = "llama4"
	Apache20 ID = "apache-2.0"
	Mistral  ID = "mrl" // Mistral's research licence
	Unknown  ID = "unknown"
)
