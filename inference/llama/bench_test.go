package llama_test

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"lineside/inference/engine"
	"lineside/inference/llama"
	"lineside/inference/model/modeltest"
	"lineside/inference/model/shape"
)

// benchModel is the file in $LINESIDE_BENCH_MODEL (`lineside model synth` makes
// one of the 1B's shape), or a tiny model that shows the cost of the calls alone.
func benchModel(b *testing.B) string {
	if path := os.Getenv("LINESIDE_BENCH_MODEL"); path != "" {
		return path
	}
	return modeltest.Tiny(b, "tiny", shape.Q4_0)
}

// BenchmarkDecode is the bare loop: one token of each of n sequences a pass, with logits.
func BenchmarkDecode(b *testing.B) {
	path := benchModel(b)
	for _, n := range []int{1, 2, 4, 5, 8} {
		b.Run(fmt.Sprintf("sequences=%d", n), func(b *testing.B) {
			r := open(b, path, llama.Options{Cells: 4096, Sequences: 8})
			pos := int32(0)
			for b.Loop() {
				if pos == 256 {
					if err := r.RemoveSeq(-1, 0, -1); err != nil {
						b.Fatal(err)
					}
					pos = 0
				}
				batch := make([]engine.Token, n)
				for s := range batch {
					batch[s] = engine.Token{ID: 100 + pos, Pos: pos, Seqs: []int32{int32(s)}, Logits: true}
				}
				if err := r.Decode(batch); err != nil {
					b.Fatal(err)
				}
				for s := range batch {
					if _, err := r.Logits(s); err != nil {
						b.Fatal(err)
					}
				}
				pos++
			}
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}

// BenchmarkPrefill is a prompt of 512 tokens by the size of the chunks.
func BenchmarkPrefill(b *testing.B) {
	path := benchModel(b)
	for _, chunk := range []int{16, 32, 64, 128, 256, 512} {
		b.Run(fmt.Sprintf("chunk=%d", chunk), func(b *testing.B) {
			r := open(b, path, llama.Options{Cells: 2048, Sequences: 8, Chunk: chunk, Threads: runtime.NumCPU()})
			batch := make([]engine.Token, 512)
			for i := range batch {
				batch[i] = engine.Token{ID: int32(100 + i), Pos: int32(i), Seqs: []int32{0}, Logits: i == len(batch)-1}
			}
			for b.Loop() {
				if err := r.RemoveSeq(-1, 0, -1); err != nil {
					b.Fatal(err)
				}
				if err := r.Decode(batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(batch)*b.N)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}

// BenchmarkState is the save and the reload of a prefix of 512 tokens.
func BenchmarkState(b *testing.B) {
	r := open(b, benchModel(b), llama.Options{Cells: 2048})
	batch := make([]engine.Token, 512)
	for i := range batch {
		batch[i] = engine.Token{ID: int32(100 + i), Pos: int32(i), Seqs: []int32{0}}
	}
	if err := r.Decode(batch); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		state, err := r.SaveSeq(0)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.LoadSeq(1, state); err != nil {
			b.Fatal(err)
		}
		if err := r.RemoveSeq(1, 0, -1); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(state)))
	}
}
