package catalogue

import (
	"strings"

	"lineside/inference/model/licence"
	"lineside/inference/model/shape"
)

// Tokenizers.
const (
	SentencePiece = "sentencepiece"
	Tiktoken128k  = "tiktoken-128k"
	Tiktoken200k  = "tiktoken-200k"
	Tekken        = "tekken"
)

// Bytes that a published file has besides its tensors: mostly the vocabulary.
const (
	headerSPM    = 741_056
	headerLlama3 = 7_837_984
	headerTekken = 8_000_000
)

// Languages that the model cards name as supported.
const (
	languages8  = "de en es fr hi it pt th"
	languages12 = "ar de en es fr hi id it pt th tl vi"
)

func words(s string) []string { return strings.Fields(s) }

// dense is the form of an ordinary model; kv counts key-value heads.
func dense(layers, hidden, heads, kv, headDim, ffn, vocab, context int, base float64) shape.Shape {
	return shape.Shape{Arch: "llama", Layers: layers, Hidden: hidden, Heads: heads, KVHeads: kv, HeadDim: headDim,
		FFN: ffn, Vocab: vocab, Context: context, RopeBase: base}
}

func tied(s shape.Shape) shape.Shape                      { s.Tied = true; return s }
func stretched(factor float64, s shape.Shape) shape.Shape { s.RopeFactor = factor; return s }

func arch(name string, s shape.Shape) shape.Shape { s.Arch = name; return s }

func experts(n, used, ffn, step int, s shape.Shape) shape.Shape {
	s.Experts, s.ExpertsUsed, s.ExpertFFN, s.MoEStep = n, used, ffn, step
	return s
}

// text makes an entry whose parameters follow from its shape.
func text(id, name, generation, released string, l licence.ID, s shape.Shape, langs, tokenizer string, header uint64) Model {
	n := s.Params()
	return Model{ID: id, Name: name, Generation: generation, Released: released, Params: n, Active: n, Shape: s,
		Modalities: words("text"), Languages: words(langs), Tokenizer: tokenizer, Header: header,
		Licence: l, Verdict: Runs}
}

// sees marks a model that takes images too.
func (m Model) sees() Model {
	m.Modalities = words("text image")
	return m
}

func (m Model) but(v Verdict, why string) Model {
	m.Verdict, m.Why = v, why
	return m
}

const tooBig = "needs more memory than a board of 64 GB has"

// Models is the whole table, oldest first.
func Models() []Model {
	return append(append(llamaUntil3(), llamaSince31()...), mistral()...)
}

func llama1(size string, s shape.Shape) Model {
	return text("llama-1-"+strings.ToLower(size), "LLaMA "+size, "1", "2023-02-24", licence.Llama1, s, "en", SentencePiece, headerSPM).
		but(Refuse, "its weights are licensed for non-commercial research only")
}

func llama2(size string, s shape.Shape) Model {
	return text("llama-2-"+strings.ToLower(size), "Llama 2 "+size, "2", "2023-07-18", licence.Llama2, s, "en", SentencePiece, headerSPM)
}

func llamaUntil3() []Model {
	return []Model{
		llama1("7B", dense(32, 4096, 32, 32, 128, 11008, 32000, 2048, 1e4)),
		llama1("13B", dense(40, 5120, 40, 40, 128, 13824, 32000, 2048, 1e4)),
		llama1("33B", dense(60, 6656, 52, 52, 128, 17920, 32000, 2048, 1e4)),
		llama1("65B", dense(80, 8192, 64, 64, 128, 22016, 32000, 2048, 1e4)),
		// Meta's sku_list.py gives 7B and 13B 8 key-value heads; their card and files do not.
		llama2("7B", dense(32, 4096, 32, 32, 128, 11008, 32000, 4096, 1e4)),
		llama2("13B", dense(40, 5120, 40, 40, 128, 13824, 32000, 4096, 1e4)),
		llama2("70B", dense(80, 8192, 64, 8, 128, 28672, 32000, 4096, 1e4)),
		text("llama-3-8b", "Meta Llama 3 8B", "3", "2024-04-18", licence.Llama3,
			dense(32, 4096, 32, 8, 128, 14336, 128256, 8192, 5e5), "en", Tiktoken128k, headerLlama3),
		text("llama-3-70b", "Meta Llama 3 70B", "3", "2024-04-18", licence.Llama3,
			dense(80, 8192, 64, 8, 128, 28672, 128256, 8192, 5e5), "en", Tiktoken128k, headerLlama3),
	}
}

// since31 is an entry of the 3.1 to 3.3 generations: long context by frequency factors.
// The factor is that of the published configuration files; Meta's own code has 8
// for 3.2 as well.
func since31(generation, size, released string, l licence.ID, s shape.Shape) Model {
	s.Context, s.RopeBase, s.RopeFactor = 131072, 5e5, 8
	if generation == "3.2" {
		s.RopeFactor = 32
	}
	return text("llama-"+generation+"-"+strings.ToLower(size), "Llama "+generation+" "+size, generation, released,
		l, s, languages8, Tiktoken128k, headerLlama3)
}

func llamaSince31() []Model {
	b1 := tied(dense(16, 2048, 32, 8, 64, 8192, 128256, 0, 0))
	b3 := tied(dense(28, 3072, 24, 8, 128, 8192, 128256, 0, 0))
	b8 := dense(32, 4096, 32, 8, 128, 14336, 128256, 0, 0)
	b70 := dense(80, 8192, 64, 8, 128, 28672, 128256, 0, 0)
	list := []Model{
		since31("3.1", "8B", "2024-07-23", licence.Llama31, b8),
		since31("3.1", "70B", "2024-07-23", licence.Llama31, b70),
		since31("3.1", "405B", "2024-07-23", licence.Llama31, dense(126, 16384, 128, 8, 128, 53248, 128256, 0, 0)).
			but(TooBig, tooBig),
		since31("3.2", "1B", "2024-09-25", licence.Llama32, b1),
		since31("3.2", "3B", "2024-09-25", licence.Llama32, b3),
	}
	for _, m := range []Model{list[3], list[4]} {
		m.ID, m.Name, m.Released = m.ID+"-int4", m.Name+" SpinQuant and QLoRA", "2024-10-24"
		m.Shape = shape.Shape{Context: 8192}
		list = append(list, m.but(NoGGUF, "published for ExecuTorch only, and a conversion misbehaves: take the plain weights"))
	}
	return append(list,
		vision("11B", 10_600_000_000),
		vision("90B", 88_800_000_000),
		since31("3.3", "70B", "2024-12-06", licence.Llama33, b70),
		llama4("scout", "Scout 16E", 10_485_760, 17_170_000_000, stretched(16, experts(16, 1, 8192, 1, dense(48, 5120, 40, 8, 128, 0, 202048, 0, 5e5)))),
		llama4("maverick", "Maverick 128E", 1_048_576, 17_000_000_000, experts(128, 1, 8192, 2, dense(48, 5120, 40, 8, 128, 16384, 202048, 0, 5e5))),
	)
}

func vision(size string, params uint64) Model {
	m := Model{ID: "llama-3.2-" + strings.ToLower(size) + "-vision", Name: "Llama 3.2 " + size + " Vision", Generation: "3.2",
		Released: "2024-09-25", Params: params, Active: params, Shape: shape.Shape{Context: 131072},
		Languages: words(languages8), Tokenizer: Tiktoken128k, Licence: licence.Llama32, EUExcluded: true}
	return m.sees().but(Refuse, "llama.cpp has no architecture for it, and its policy withholds it from the EU")
}

func llama4(id, name string, context int, active uint64, s shape.Shape) Model {
	s.Arch, s.Context = "llama4", context
	m := text("llama-4-"+id, "Llama 4 "+name, "4", "2025-04-05", licence.Llama4, s, languages12, Tiktoken200k, headerTekken)
	m.Active, m.EUExcluded = active, true
	return m.sees().but(TooBig, tooBig)
}

func mistral() []Model {
	const (
		five = "de en es fr it"
		ten  = "de en es fr it ja ko pt ru zh"
	)
	m := func(id, name, released string, l licence.ID, s shape.Shape, langs, tokenizer string) Model {
		header := uint64(headerSPM)
		if tokenizer == Tekken {
			header = headerTekken
		}
		return text(id, name, "mistral", released, l, s, langs, tokenizer, header)
	}
	research := "its licence allows research only: commercial use needs a contract with Mistral AI"
	untested := "the engine has no tested support for its architecture mistral3"
	mixtral := m("mixtral-8x7b", "Mixtral 8x7B", "2023-12-11", licence.Apache20,
		experts(8, 2, 14336, 1, dense(32, 4096, 32, 8, 128, 14336, 32000, 32768, 1e6)), five, SentencePiece)
	mixtral.Active = 12_880_000_000
	return []Model{
		m("mistral-7b-v0.1", "Mistral 7B v0.1", "2023-09-27", licence.Apache20, dense(32, 4096, 32, 8, 128, 14336, 32000, 8192, 1e4), "", SentencePiece),
		m("mistral-7b-v0.3", "Mistral 7B v0.3", "2024-05", licence.Apache20, dense(32, 4096, 32, 8, 128, 14336, 32768, 32768, 1e6), "", SentencePiece),
		mixtral,
		m("mistral-small-22b", "Mistral Small 22B 2409", "2024-09", licence.Mistral, dense(56, 6144, 48, 8, 128, 16384, 32768, 32768, 1e6), ten, SentencePiece).but(Refuse, research),
		{ID: "ministral-3b-2410", Name: "Ministral 3B 2410", Generation: "mistral", Released: "2024-10", Modalities: words("text"),
			Licence: licence.Mistral, Verdict: Refuse, Why: "no public weights; a hub's namesake with 14 layers is another model"},
		m("ministral-8b-2410", "Ministral 8B 2410", "2024-10", licence.Mistral, dense(36, 4096, 32, 8, 128, 12288, 131072, 131072, 1e8), ten, Tekken).but(Refuse, research),
		m("mistral-small-24b", "Mistral Small 24B 2501", "2025-01", licence.Apache20, dense(40, 5120, 32, 8, 128, 32768, 131072, 32768, 1e8), ten, Tekken),
		m("ministral-3-3b", "Ministral 3 3B 2512", "2025-12-02", licence.Apache20, arch("mistral3", tied(dense(26, 3072, 32, 8, 128, 9216, 131072, 262144, 1e6))), ten+" ar", Tekken).sees().but(Refuse, untested),
		m("ministral-3-8b", "Ministral 3 8B 2512", "2025-12-02", licence.Apache20, arch("mistral3", dense(34, 4096, 32, 8, 128, 14336, 131072, 262144, 1e6)), ten+" ar", Tekken).sees().but(Refuse, untested),
	}
}
