package calibrate_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"lineside/inference/calibrate"
	"lineside/inference/engine"
	"lineside/inference/engine/enginetest"
)

func TestCounts(t *testing.T) {
	for cpus, want := range map[int][]int{0: {1}, 1: {1}, 2: {1, 2}, 4: {1, 2, 3, 4}, 6: {1, 2, 3, 4, 5, 6}, 12: {1, 2, 3, 4, 5, 6, 7, 8, 10, 12}} {
		if got := calibrate.Counts(cpus); !slices.Equal(got, want) {
			t.Errorf("%d CPUs: %v, want %v", cpus, got, want)
		}
	}
}

// TestMeasure plays boards: how long a pass takes by its threads and tokens.
func TestMeasure(t *testing.T) {
	for name, tt := range map[string]struct {
		pass            func(threads, tokens int) time.Duration
		decode, prefill int
	}{
		"all cores help": {func(n, tokens int) time.Duration {
			return time.Duration(tokens) * 100 * time.Millisecond / time.Duration(n)
		}, 4, 4},
		"memory is the limit": {func(n, tokens int) time.Duration { // as on a Pi 5: two threads fill the bus
			return max(70*time.Millisecond/time.Duration(min(n, 2))+time.Duration(n)*time.Millisecond, time.Duration(tokens)*20*time.Millisecond/time.Duration(n))
		}, 2, 4},
		"more threads gain nothing": {func(_, tokens int) time.Duration { return time.Duration(tokens) * time.Millisecond }, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				voc := enginetest.NewVocabulary()
				var fake *enginetest.Fake
				fake = enginetest.New(voc, enginetest.Config{PassTime: func(batch []engine.Token) time.Duration {
					n, _ := fake.Threads()
					return tt.pass(n, len(batch))
				}})
				shown := 0
				r, err := calibrate.Measure(t.Context(), fake, "fake", 4, func(calibrate.Step) { shown++ })
				if err != nil || r.Decode != tt.decode || r.Prefill != tt.prefill || len(r.Steps) != 4 || shown != 4 || r.CPUs != 4 {
					t.Errorf("%+v, %v; want %d and %d threads", r, err, tt.decode, tt.prefill)
				}
				if fake.Used() != 0 {
					t.Errorf("%d cells are left", fake.Used())
				}
			})
		})
	}
}

func TestFaultyRuntime(t *testing.T) {
	boom := errors.New("boom")
	fake := enginetest.New(enginetest.NewVocabulary(), enginetest.Config{Fault: func([]engine.Token) error { return boom }})
	if _, err := calibrate.Measure(t.Context(), fake, "fake", 2, func(calibrate.Step) {}); !errors.Is(err, boom) {
		t.Errorf("error %v", err)
	}
}

func TestFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if _, err := calibrate.Load(dir, 4); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
	path, err := calibrate.Save(dir, calibrate.Result{CPUs: 4, Decode: 2, Prefill: 4})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := calibrate.Load(dir, 4); err != nil || r.Decode != 2 || r.Prefill != 4 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := calibrate.Load(dir, 6); !errors.Is(err, calibrate.ErrOther) {
		t.Errorf("another board: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".threads-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	for _, text := range []string{"", "{", `{"cpus":4}`, `{"cpus":4,"decode_threads":5,"prefill_threads":1}`, string(make([]byte, 1<<20))} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := calibrate.Load(dir, 4); !errors.Is(err, calibrate.ErrOther) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

func FuzzFile(f *testing.F) {
	f.Add([]byte(`{"cpus":4,"decode_threads":2,"prefill_threads":4}`))
	path, err := calibrate.Save(f.TempDir(), calibrate.Result{CPUs: 4, Decode: 2, Prefill: 4})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		r, err := calibrate.Load(filepath.Dir(path), 4)
		if err == nil && (r.Decode < 1 || r.Decode > 4 || r.Prefill < 1 || r.Prefill > 4) {
			t.Errorf("%q gives %+v", b, r)
		}
	})
}
