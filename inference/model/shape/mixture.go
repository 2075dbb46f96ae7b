package shape

import (
	"fmt"
	"strings"

	"lineside/inference/model/gguf"
)

// Mixture is a quantization of a whole model: which type each tensor gets.
type Mixture string

// Mixtures of llama.cpp's quantizer that the appliance plans with.
const (
	Q4_0    Mixture = "q4_0"
	Q4_0Imx Mixture = "q4_0-imatrix" // Q4_0 made with an importance matrix
	Q4_K_M  Mixture = "q4_k_m"
	Q5_K_M  Mixture = "q5_k_m"
	Q8_0    Mixture = "q8_0"
	F16     Mixture = "f16"
)

// Mixtures lists those that a user may name, smallest first.
func Mixtures() []Mixture { return []Mixture{Q4_0, Q4_K_M, Q5_K_M, Q8_0, F16} }

// ParseMixture finds a mixture by its name, in any case.
func ParseMixture(name string) (Mixture, error) {
	for _, m := range Mixtures() {
		if strings.EqualFold(string(m), name) {
			return m, nil
		}
	}
	return "", fmt.Errorf("unknown quantization %q: want q4_0, q4_k_m, q5_k_m, q8_0 or f16", name)
}

// FileType is the number that general.file_type gives the mixture.
func (m Mixture) FileType() uint32 {
	return map[Mixture]uint32{F16: 1, Q4_0: 2, Q4_0Imx: 2, Q8_0: 7, Q4_K_M: 15, Q5_K_M: 17}[m]
}

// base is the type of an ordinary weight.
func (m Mixture) base() gguf.Type {
	return map[Mixture]gguf.Type{
		F16: gguf.F16, Q4_0: gguf.Q4_0, Q4_0Imx: gguf.Q4_0,
		Q8_0: gguf.Q8_0, Q4_K_M: gguf.Q4_K, Q5_K_M: gguf.Q5_K,
	}[m]
}

// tensorType follows llama_tensor_get_type of llama.cpp's llama-quant.cpp.
func (s Shape) tensorType(t gguf.Tensor, m Mixture) gguf.Type {
	if len(t.Dims) < 2 || strings.Contains(t.Name, "ffn_gate_inp") {
		return gguf.F32 // norms, frequency factors and routers are never quantized
	}
	if m == F16 {
		return gguf.F16
	}
	return fallback(s.wanted(t.Name, m), t.Dims[0])
}

func (s Shape) wanted(name string, m Mixture) gguf.Type {
	var layer int
	fmt.Sscanf(name, "blk.%d.", &layer) // stays 0 outside the layers
	has := func(part string) bool { return strings.Contains(name, part) }
	kMixture := m == Q4_K_M || m == Q5_K_M
	switch {
	case has("output.weight") && !has("attn_output"), s.Tied && has("token_embd"):
		if m != Q8_0 {
			return gguf.Q6_K
		}
	case (has("attn_v") || has("attn_k")) && s.Experts == 8:
		return gguf.Q8_0
	case has("attn_v") && kMixture && moreBits(layer, s.Layers):
		return gguf.Q6_K
	case has("attn_v") && m == Q4_K_M && s.Layers == 80 && s.Heads != s.KVHeads:
		return gguf.Q5_K // "70B": eight heads share one attn_v
	case has("attn_output") && m == Q4_K_M && s.Experts == 8:
		return gguf.Q5_K
	case has("ffn_down") && kMixture && moreBits(layer, s.Layers):
		return gguf.Q6_K
	case has("ffn_down") && m == Q4_0Imx && layer < s.Layers/8:
		return gguf.Q4_1
	}
	return m.base()
}

// moreBits is llama.cpp's use_more_bits: the first and last eighth of the layers
// and every third between them.
func moreBits(layer, layers int) bool {
	return layer < layers/8 || layer >= 7*layers/8 || (layer-layers/8)%3 == 2
}

// fallback replaces a type whose blocks do not divide a row.
func fallback(t gguf.Type, row uint64) gguf.Type {
	if row%t.BlockElements() == 0 {
		return t
	}
	small := map[gguf.Type]gguf.Type{gguf.Q4_K: gguf.Q5_0, gguf.Q5_K: gguf.Q5_1, gguf.Q6_K: gguf.Q8_0}
	if next, ok := small[t]; ok && row%next.BlockElements() == 0 {
		return next
	}
	return gguf.F16
}
