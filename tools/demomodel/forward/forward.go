// Package forward computes a small Llama token by token in plain Go, from its
// GGUF file and its formulas alone. It is the witness that the engine's logits
// are held against; it is slow, and no answer is ever made with it.
package forward

import (
	"fmt"
	"io"
	"math"

	"lineside/inference/model/gguf"
	"lineside/inference/model/quant"
)

// Model is a Llama with all weights in float32.
type Model struct {
	dim, heads, kv, head int
	eps, base            float64
	embedding            [][]float32 // one row a token; also the output matrix
	norm                 []float32
	blocks               []block
}

type block struct {
	attnNorm, ffnNorm []float32
	q, k, v, out      [][]float32 // one row an output
	gate, up, down    [][]float32
}

// Open reads a GGUF file of architecture llama with tied embeddings and no
// scaling of its rotary frequencies.
func Open(path string) (*Model, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := reader{h: f.Header}
	m := &Model{
		dim: r.count("llama.embedding_length"), heads: r.count("llama.attention.head_count"),
		kv: r.count("llama.attention.head_count_kv"), eps: r.number("llama.attention.layer_norm_rms_epsilon"),
		base: r.number("llama.rope.freq_base"),
	}
	layers := r.count("llama.block_count")
	if r.err != nil {
		return nil, fmt.Errorf("%s: %w", path, r.err)
	}
	m.head = m.dim / m.heads
	m.embedding, m.norm = r.matrix("token_embd"), r.vector("output_norm")
	for i := range layers {
		b := fmt.Sprintf("blk.%d.", i)
		m.blocks = append(m.blocks, block{
			attnNorm: r.vector(b + "attn_norm"), ffnNorm: r.vector(b + "ffn_norm"),
			q: r.matrix(b + "attn_q"), k: r.matrix(b + "attn_k"), v: r.matrix(b + "attn_v"), out: r.matrix(b + "attn_output"),
			gate: r.matrix(b + "ffn_gate"), up: r.matrix(b + "ffn_up"), down: r.matrix(b + "ffn_down"),
		})
	}
	if r.err != nil {
		return nil, fmt.Errorf("%s: %w", path, r.err)
	}
	return m, nil
}

// Sequence is a text in progress. Its zero value, with a Model, is empty.
type Sequence struct {
	m    *Model
	keys [][][]float32 // by block and position
	vals [][][]float32
}

// NewSequence begins an empty text.
func (m *Model) NewSequence() *Sequence {
	return &Sequence{m, make([][][]float32, len(m.blocks)), make([][][]float32, len(m.blocks))}
}

// Next takes one more token and returns the logits of what may follow it.
func (s *Sequence) Next(token int) []float32 {
	m := s.m
	pos := len(s.keys[0])
	x := append([]float32(nil), m.embedding[token]...)
	for i, b := range m.blocks {
		h := m.normed(x, b.attnNorm)
		q, k := times(b.q, h), times(b.k, h)
		m.rotate(q, pos)
		m.rotate(k, pos)
		s.keys[i], s.vals[i] = append(s.keys[i], k), append(s.vals[i], times(b.v, h))
		add(x, times(b.out, m.attend(q, s.keys[i], s.vals[i])))
		h = m.normed(x, b.ffnNorm)
		g := times(b.gate, h)
		for j, u := range times(b.up, h) {
			g[j] = g[j] / float32(1+math.Exp(-float64(g[j]))) * u
		}
		add(x, times(b.down, g))
	}
	return times(m.embedding, m.normed(x, m.norm))
}

// attend mixes the values seen so far, weighted by how queries meet keys.
func (m *Model) attend(q []float32, keys, vals [][]float32) []float32 {
	out := make([]float32, m.dim)
	weights := make([]float64, len(keys))
	for h := range m.heads {
		from := h / (m.heads / m.kv) * m.head // several query heads share one of the keys
		query := q[h*m.head : (h+1)*m.head]
		sum, most := 0.0, math.Inf(-1)
		for p, k := range keys {
			weights[p] = float64(dot(query, k[from:from+m.head])) / math.Sqrt(float64(m.head))
			most = max(most, weights[p])
		}
		for p := range weights {
			weights[p] = math.Exp(weights[p] - most)
			sum += weights[p]
		}
		for p, v := range vals {
			w := float32(weights[p] / sum)
			for j := range m.head {
				out[h*m.head+j] += w * v[from+j]
			}
		}
	}
	return out
}

// rotate turns each pair of neighbours by an angle that grows with the position.
func (m *Model) rotate(x []float32, pos int) {
	for i := 0; i < len(x); i += 2 {
		angle := float64(pos) * math.Pow(m.base, -float64(i%m.head)/float64(m.head))
		sin, cos := math.Sincos(angle)
		a, b := float64(x[i]), float64(x[i+1])
		x[i], x[i+1] = float32(a*cos-b*sin), float32(a*sin+b*cos)
	}
}

func (m *Model) normed(x, weight []float32) []float32 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	scale := float32(1 / math.Sqrt(sum/float64(len(x))+m.eps))
	out := make([]float32, len(x))
	for i, v := range x {
		out[i] = v * scale * weight[i]
	}
	return out
}

func times(w [][]float32, x []float32) []float32 {
	out := make([]float32, len(w))
	for i, row := range w {
		out[i] = dot(row, x)
	}
	return out
}

// dot keeps four sums, which is faster and rounds less than one.
func dot(a, b []float32) float32 {
	var s0, s1, s2, s3 float32
	b = b[:len(a)]
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += a[i] * b[i]
		s1 += a[i+1] * b[i+1]
		s2 += a[i+2] * b[i+2]
		s3 += a[i+3] * b[i+3]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return s0 + s1 + s2 + s3
}

func add(x, y []float32) {
	for i := range x {
		x[i] += y[i]
	}
}

// reader takes values and tensors out of a file and keeps the first error.
type reader struct {
	h   *gguf.Header
	err error
}

func (r *reader) count(key string) int {
	v, err := r.h.Uint(key)
	r.keep(err)
	return int(v)
}

func (r *reader) number(key string) float64 {
	v, err := r.h.Float(key)
	r.keep(err)
	return v
}

func (r *reader) vector(name string) []float32 {
	t, ok := r.h.Tensor(name + ".weight")
	if !ok {
		r.keep(fmt.Errorf("no tensor %s.weight", name))
		return nil
	}
	raw, err := io.ReadAll(r.h.Data(t))
	r.keep(err)
	v, err := quant.Floats(t.Type, raw)
	r.keep(err)
	return v
}

func (r *reader) matrix(name string) [][]float32 {
	flat := r.vector(name)
	t, _ := r.h.Tensor(name + ".weight")
	if r.err != nil {
		return nil
	}
	rows := make([][]float32, t.Rows())
	for i := range rows {
		n := int(t.Dims[0])
		rows[i] = flat[i*n : (i+1)*n]
	}
	return rows
}

func (r *reader) keep(err error) {
	if r.err == nil {
		r.err = err
	}
}
