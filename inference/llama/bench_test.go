package llama_test

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

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

// rate reports tokens a second, and the processor's time for one: that stays true
// on a machine that is busy with other things.
func rate(b *testing.B, tokens int) func() {
	cpu := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := cpu()
	return func() {
		n := float64(tokens * b.N)
		b.ReportMetric(n/b.Elapsed().Seconds(), "tokens/s")
		b.ReportMetric((cpu()-before).Seconds()*1000/n, "cpu-ms/token")
	}
}

// threads are -test.cpu's.
func threads() int { return runtime.GOMAXPROCS(0) }

// BenchmarkDecode is the bare loop: one token of each of n sequences a pass, with logits.
func BenchmarkDecode(b *testing.B) {
	path := benchModel(b)
	for _, n := range []int{1, 2, 4, 5, 8} {
		b.Run(fmt.Sprintf("sequences=%d", n), func(b *testing.B) {
			r := open(b, path, llama.Options{Cells: 4096, Sequences: 8, Threads: threads()})
			defer rate(b, n)()
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
		})
	}
}

// BenchmarkPrefill is a prompt of 512 tokens by the size of the chunks.
func BenchmarkPrefill(b *testing.B) {
	path := benchModel(b)
	for _, chunk := range []int{16, 32, 64, 128, 256, 512} {
		b.Run(fmt.Sprintf("chunk=%d", chunk), func(b *testing.B) {
			r := open(b, path, llama.Options{Cells: 2048, Sequences: 8, Chunk: chunk, Threads: threads()})
			batch := make([]engine.Token, 512)
			for i := range batch {
				batch[i] = engine.Token{ID: int32(100 + i), Pos: int32(i), Seqs: []int32{0}, Logits: i == len(batch)-1}
			}
			defer rate(b, len(batch))()
			for b.Loop() {
				if err := r.RemoveSeq(-1, 0, -1); err != nil {
					b.Fatal(err)
				}
				if err := r.Decode(batch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkShared is the plant's work: eight sequences share a prefix of 600
// tokens, have 60 of their own, and answer in one pass each time.
func BenchmarkShared(b *testing.B) {
	r := open(b, benchModel(b), llama.Options{Cells: 4096, Sequences: 9, Batch: 1024, Threads: threads()})
	feed := func(seq, from int32, n int) {
		batch := make([]engine.Token, n)
		for i := range batch {
			batch[i] = engine.Token{ID: 100 + from + int32(i), Pos: from + int32(i), Seqs: []int32{seq}}
		}
		if err := r.Decode(batch); err != nil {
			b.Fatal(err)
		}
	}
	feed(8, 0, 600)
	own := func() {
		for s := range int32(8) {
			if err := r.RemoveSeq(s, 0, -1); err != nil {
				b.Fatal(err)
			}
			if err := r.CopySeq(8, s, 0, -1); err != nil {
				b.Fatal(err)
			}
			feed(s, 600, 60)
		}
	}
	b.Run("prefill", func(b *testing.B) {
		defer rate(b, 8*60)()
		for b.Loop() {
			own()
		}
	})
	b.Run("decode", func(b *testing.B) {
		own()
		pos := int32(660)
		b.ResetTimer()
		defer rate(b, 8)()
		for b.Loop() {
			batch := make([]engine.Token, 8)
			for s := range batch {
				batch[s] = engine.Token{ID: 100 + pos, Pos: pos, Seqs: []int32{int32(s)}, Logits: true}
			}
			if err := r.Decode(batch); err != nil {
				b.Fatal(err)
			}
			pos++
		}
	})
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
