package synth

import (
	"errors"
	"hash/fnv"
	"io"
	"math"
	"strings"

	"lineside/inference/model/gguf"
	"lineside/inference/model/quant"
)

// WriteAdapter writes a LoRA of the given rank for the queries, values and outputs of a base model's
// attention, with random weights that are strong enough to change what it says.
func WriteAdapter(base *gguf.Header, name string, rank int, seed uint64, w io.Writer) error {
	l := &gguf.Layout{}
	l.Set("general.architecture", base.Architecture())
	l.Set("general.type", "adapter")
	l.Set("general.name", name)
	l.Set("adapter.type", "lora")
	l.Set("adapter.lora.alpha", float32(rank))
	for _, t := range base.Tensors {
		if strings.HasSuffix(t.Name, ".attn_q.weight") || strings.HasSuffix(t.Name, ".attn_v.weight") || strings.HasSuffix(t.Name, ".attn_output.weight") {
			l.Add(t.Name+".lora_a", gguf.F32, t.Dims[0], uint64(rank))
			l.Add(t.Name+".lora_b", gguf.F32, uint64(rank), t.Dims[1])
		}
	}
	if len(l.Tensors()) == 0 {
		return errors.New("the base has no attention to adapt")
	}
	_, err := l.WriteTo(w, func(t gguf.Tensor, w io.Writer) error {
		h := fnv.New64a()
		io.WriteString(h, t.Name)
		r, err := quant.NewRandom(t.Type, float32(1/math.Sqrt(float64(t.Dims[0]))), seed, h.Sum64())
		if err != nil {
			return err
		}
		_, err = io.CopyN(w, r, int64(t.Bytes()))
		return err
	})
	return err
}
