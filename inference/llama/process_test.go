//go:build cgo

package llama_test

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"lineside/inference/llama"
	"lineside/inference/model/fit"
	"lineside/inference/model/modeltest"
	"lineside/inference/model/shape"
)

// resident is the memory of this process in MB, and its threads.
func resident(t *testing.T) (mb, threads int) {
	t.Helper()
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("no /proc here: ", err)
	}
	pages := 0
	for _, c := range strings.Fields(string(statm))[1] {
		pages = pages*10 + int(c-'0')
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize() >> 20, len(tasks)
}

// TestNothingIsLeft opens and closes a model many times: weights, cells and
// compute threads go with it.
func TestNothingIsLeft(t *testing.T) {
	path := modeltest.Tiny(t, "tiny", shape.F16) // some 30 MB with its context
	cycle := func() {
		r, err := llama.Open(t.Context(), path, llama.Options{Cells: 4096, Threads: 3})
		if err != nil {
			t.Fatal(err)
		}
		answer(t, r, 0, "ready?", 3)
		r.Close()
	}
	for range 4 {
		cycle()
	}
	mb, threads := resident(t)
	for range 20 {
		cycle()
	}
	mbAfter, threadsAfter := resident(t)
	// Go's runtime starts threads of its own as it likes; one left by each model would be 20.
	if mbAfter > mb+40 || threadsAfter > threads+15 {
		t.Errorf("after 20 more models: %d MB and %d threads, before %d MB and %d", mbAfter, threadsAfter, mb, threads)
	}
}

// TestOlderProcessor starts this very test under emulation of a processor that
// lacks what it was built for.
func TestOlderProcessor(t *testing.T) {
	old := map[string][]string{
		"amd64": {"qemu-x86_64-static", "-cpu", "qemu64"},
		"arm64": {"qemu-aarch64-static", "-cpu", "cortex-a53"},
	}[runtime.GOARCH]
	if old == nil {
		t.Skip("no emulator known for ", runtime.GOARCH)
	}
	if _, err := exec.LookPath(old[0]); err != nil {
		t.Skip("needs qemu-user-static: ", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(old[0], append(old[1:], self, "-test.list", "Processor")...).CombinedOutput()
	var exit *exec.ExitError
	if err == nil {
		t.Skip("built for any processor of this kind")
	}
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), "this one lacks") || strings.Count(string(out), "\n") != 1 {
		t.Errorf("%v, and it says %q; want exit code 1 and one sentence", err, out)
	}
}

// TestAbortLeavesNoDump has a process with a model abort, as an assertion of llama.cpp would: it
// ends by the signal, and says nothing of goroutines.
func TestAbortLeavesNoDump(t *testing.T) {
	path := modeltest.Tiny(t, "tiny", shape.Q4_0)
	if os.Getenv("LINESIDE_TEST_ABORT") != "" {
		if _, err := llama.Open(t.Context(), path, llama.Options{Cells: 256, Threads: 1}); err != nil {
			t.Fatal(err)
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGABRT)
		select {} // until the signal is there
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run", "^TestAbortLeavesNoDump$")
	cmd.Env = append(os.Environ(), "LINESIDE_TEST_ABORT=1")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGABRT || strings.Contains(string(out), "goroutine") {
		t.Errorf("%v, and it says:\n%s", err, out)
	}
}

// TestOneCopyOfTheWeights: weights are in memory once, repacked, and nothing of
// the file stays mapped beside them.
func TestOneCopyOfTheWeights(t *testing.T) {
	path := modeltest.Tiny(t, "tiny", shape.Q4_0)
	for _, mapped := range []bool{false, true} {
		r, err := llama.Open(t.Context(), path, llama.Options{Cells: 256, Threads: 1, Mapped: mapped})
		if err != nil {
			t.Fatal(err)
		}
		answer(t, r, 0, "ready?", 3)
		maps, err := os.ReadFile("/proc/self/maps")
		r.Close()
		if err != nil {
			t.Skip("no /proc here: ", err)
		}
		if got := strings.Contains(string(maps), path); got != mapped {
			t.Errorf("opened with Mapped %v, the file is mapped: %v", mapped, got)
		}
	}
}

// TestNoRoom: a model that does not fit is refused before it is loaded, with the
// numbers; where smaller passes are enough, it is loaded with those.
func TestNoRoom(t *testing.T) {
	path := modeltest.Tiny(t, "tiny", shape.Q4_0)
	loaded := false
	o := llama.Options{Cells: 4096, Threads: 1, Bound: "the test", Progress: func(float64) { loaded = true }}
	o.Available = 50 << 20
	_, err := llama.Open(t.Context(), path, o)
	if !errors.Is(err, fit.ErrMemory) || errors.Is(err, llama.ErrModel) || loaded {
		t.Fatalf("%v (loaded: %v), want fit.ErrMemory before anything is loaded", err, loaded)
	}
	for _, want := range []string{path, "needs ", "available are 52 MB on account of the test", "smaller"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
	for o.Available = 60 << 20; ; o.Available += 1 << 20 {
		r, err := llama.Open(t.Context(), path, o)
		if err != nil && o.Available < 500<<20 {
			if !errors.Is(err, fit.ErrMemory) {
				t.Fatal(err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		answer(t, r, 0, "ready?", 3) // with the least memory that is enough, in the smallest passes
		r.Close()
		return
	}
}

// TestReleaseGivesMemoryBack: the pages of the cache go back to the system, and come again with use.
func TestReleaseGivesMemoryBack(t *testing.T) {
	r := open(t, modeltest.Tiny(t, "tiny", shape.Q4_0), llama.Options{Cells: 1 << 17, Sequences: 2, Threads: 1})
	answer(t, r, 0, "ready?", 3)
	cache := r.Limits().Cells * r.Limits().CellBytes >> 20 // MB
	before, _ := resident(t)
	if err := r.Release(); err != nil {
		t.Fatal(err)
	}
	after, _ := resident(t)
	if cache < 32 || before-after < cache*9/10 {
		t.Errorf("of %d MB only %d came back", cache, before-after)
	}
	answer(t, r, 0, "ready?", 3)
}
