// Package fit_test holds the memory plan to what the engine really takes.
package fit_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lineside/inference/engine"
	"lineside/inference/llama"
	"lineside/inference/model/fit"
	"lineside/inference/model/gguf"
	"lineside/inference/model/shape"
	"lineside/inference/model/synth"
)

const (
	childModel = "LINESIDE_FIT_MODEL" // set in the child process that loads the model
	childCells = "LINESIDE_FIT_CELLS"
	everything = "LINESIDE_FIT_ALL" // set by people: every shape that this machine can load
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childModel); path != "" {
		if err := load(path); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// load opens the model, fills its context, and prints how much more is resident than before.
func load(path string) error {
	var cells int
	if _, err := fmt.Sscan(os.Getenv(childCells), &cells); err != nil {
		return err
	}
	before, err := resident("VmRSS")
	if err != nil {
		return err
	}
	r, err := llama.Open(context.Background(), path, llama.Options{Cells: cells, Chunk: fit.DefaultUBatch, Sequences: fit.DefaultSlots})
	if err != nil {
		return err
	}
	defer r.Close()
	for at := int32(0); at < int32(cells); at += fit.DefaultUBatch {
		var batch []engine.Token
		for i := range int32(fit.DefaultUBatch) {
			batch = append(batch, engine.Token{ID: 100 + i, Pos: at + i, Seqs: []int32{0}, Logits: i == fit.DefaultUBatch-1})
		}
		if err := r.Decode(batch); err != nil {
			return err
		}
	}
	after, err := resident("VmRSS")
	if err != nil {
		return err
	}
	peak, err := resident("VmHWM")
	fmt.Println("resident:", after-before, peak-before)
	return err
}

// resident is a line of this process's status in bytes.
func resident(key string) (int64, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		var kb int64
		if n, _ := fmt.Sscanf(line, key+": %d kB", &kb); n == 1 {
			return kb << 10, nil
		}
	}
	return 0, errors.New("no " + key)
}

// plan is one model and context to load.
type plan struct {
	shape string
	m     shape.Mixture
	cells int
	thin  bool // of two layers, so that its context is filled quickly
}

// spare is what a test leaves to the rest of the machine, in bytes.
const spare = 3 << 30

// available is the memory that programs may still take, in bytes.
func available(t *testing.T) uint64 {
	t.Helper()
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var kb uint64
		if n, _ := fmt.Sscanf(line, "MemAvailable: %d kB", &kb); n == 1 {
			return kb << 10
		}
	}
	t.Fatal("no MemAvailable")
	return 0
}

func TestPlanAgreesWithTheEngine(t *testing.T) {
	if testing.Short() {
		t.Skip("loads a model of 770 MB")
	}
	tests := []plan{{shape: "llama-3.2-1b", m: shape.Q4_0, cells: 4096, thin: true}}
	if os.Getenv(everything) != "" {
		for _, m := range shape.Mixtures() {
			tests = append(tests, plan{shape: "llama-3.2-1b", m: m, cells: 1024}, plan{shape: "llama-3.2-3b", m: m, cells: 512},
				plan{shape: "llama-3.1-8b", m: m, cells: 256})
		}
	}
	for _, tt := range tests {
		name := fmt.Sprintf("%s %s %d", tt.shape, tt.m, tt.cells)
		t.Run(name, func(t *testing.T) {
			model, err := synth.New(tt.shape, tt.m, nil)
			if err != nil {
				t.Fatal(err)
			}
			if tt.thin {
				model.Shape.Layers = 2
			}
			need := model.Shape.TensorBytes(tt.m) + spare
			if have := available(t); have < need {
				t.Skipf("needs %s of free memory, there are %s", fit.Size(need), fit.Size(have))
			}
			path := filepath.Join(t.TempDir(), "model.gguf")
			if err := model.Create(t.Context(), path); err != nil {
				t.Fatal(err)
			}
			f, err := gguf.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			plan := fit.Memory(fit.Request{Shape: model.Shape, File: uint64(f.Size), RAM: 64 << 30, Context: tt.cells})
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), childModel+"="+path, fmt.Sprintf("%s=%d", childCells, tt.cells))
			out, err := cmd.Output()
			if strings.Contains(string(out), llama.ErrNoCgo.Error()) {
				t.Skip(llama.ErrNoCgo)
			}
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			var now, peak int64
			if _, err := fmt.Sscanf(string(out), "resident: %d %d", &now, &peak); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			planned := plan.Engine() - plan.Program // the process had that before
			off := float64(planned)/float64(peak) - 1
			t.Logf("planned %s, resident %s, peak %s: %+.1f%%", fit.Size(planned), fit.Size(uint64(now)), fit.Size(uint64(peak)), off*100)
			if off < -0.05 || off > 0.05 {
				t.Errorf("planned %d bytes, the engine took %d", planned, peak)
			}
		})
	}
}
