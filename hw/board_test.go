package hw_test

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lineside/hw"
	"lineside/hw/hwtest"
)

var update = flag.Bool("update", false, "write the golden files anew")

func open(t testing.TB, b hwtest.Board) (string, *hw.Board) {
	t.Helper()
	dir := t.TempDir()
	if err := b.Write(dir); err != nil {
		t.Fatal(err)
	}
	return dir, openRoot(t, dir)
}

func openRoot(t testing.TB, dir string) *hw.Board {
	t.Helper()
	board, err := hw.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { board.Close() })
	return board
}

// TestBoards holds every fixture's whole report to a golden file.
func TestBoards(t *testing.T) {
	for _, b := range append(hwtest.Boards(), hwtest.Hostile()) {
		t.Run(b.Name, func(t *testing.T) {
			_, board := open(t, b)
			var s hw.Sample
			board.Sample(&s)
			r := hw.NewReport(board.Identity(), &s, s.At)
			r.At = time.Time{}
			got, err := json.MarshalIndent(r, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", b.Name+".json")
			if *update {
				if err := os.WriteFile(file, append(got, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(strings.TrimSpace(string(want)), string(got)); d != "" {
				t.Errorf("report changed (-want +got):\n%s", d)
			}
		})
	}
}

// TestSampleAllocatesNothing is the sampler's promise for the steady state.
func TestSampleAllocatesNothing(t *testing.T) {
	if runtime.GOOS != "linux" || raced {
		t.Skip("only Linux samples without allocating, and not under the race detector")
	}
	for _, b := range hwtest.Boards() {
		_, board := open(t, b)
		var s hw.Sample
		board.Sample(&s)
		board.Sample(&s)
		if n := testing.AllocsPerRun(20, func() { board.Sample(&s) }); n != 0 {
			t.Errorf("%s: %v allocations per sample", b.Name, n)
		}
	}
}

func BenchmarkSample(b *testing.B) {
	for _, f := range hwtest.Boards() {
		b.Run(f.Name, func(b *testing.B) {
			_, board := open(b, f)
			var s hw.Sample
			board.Sample(&s)
			b.ReportAllocs()
			for b.Loop() {
				board.Sample(&s)
			}
			// One sample a second: ns per sample is billionths of a core.
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1e7, "%core@1Hz")
		})
	}
}

// odd are trees that no fixture shows.
var odd = []struct {
	name    string
	files   map[string]string
	id      string
	value   float64
	quality hw.Quality
	reason  string
}{
	{"negative", map[string]string{"temp": "-12500\n"}, "temperature/t", -12.5, hw.Good, ""},
	{"no newline", map[string]string{"temp": "31000"}, "temperature/t", 31, hw.Good, ""},
	{"NULs", map[string]string{"temp": "31000\x00\x00"}, "temperature/t", 31, hw.Good, ""},
	{"empty", map[string]string{"temp": ""}, "temperature/t", math.NaN(), hw.Unavailable, "the file is empty"},
	{"garbage", map[string]string{"temp": "\xff\xfe\x00boo"}, "temperature/t", math.NaN(), hw.Unavailable, "the file does not hold what it should"},
	{"absolute zero", map[string]string{"temp": "-274000"}, "temperature/t", math.NaN(), hw.Unavailable, "the value is beyond what is possible"},
	{"huge", map[string]string{"temp": strings.Repeat("9", 5000)}, "temperature/t", math.NaN(), hw.Unavailable, "the file does not hold what it should"},
	{"missing", nil, "temperature/t", math.NaN(), hw.Unavailable, "not there"},
	{"folder", map[string]string{"temp/x": "1"}, "temperature/t", math.NaN(), hw.Unavailable, "a folder where a file should be"},
}

func TestOddFiles(t *testing.T) {
	for _, c := range odd {
		t.Run(c.name, func(t *testing.T) {
			b := hwtest.Board{Files: map[string]string{
				"sys/class/thermal/thermal_zone3/type": "t\n",
				"sys/class/thermal/thermal_zone9/type": "other\n", "sys/class/thermal/thermal_zone9/temp": "40000\n",
			}}
			for f, content := range c.files {
				b.Files["sys/class/thermal/thermal_zone3/"+f] = content
			}
			_, board := open(t, b)
			var s hw.Sample
			board.Sample(&s)
			kind, name, _ := strings.Cut(c.id, "/")
			if kind != "temperature" {
				t.Fatal(kind)
			}
			r := s.Find(hw.Temperature, name)
			if r == nil {
				t.Fatal("the reading is missing altogether")
			}
			if r.Quality != c.quality || r.Reason != c.reason || r.Value != c.value && !(math.IsNaN(r.Value) && math.IsNaN(c.value)) {
				t.Errorf("got %v %v %q, want %v %v %q", r.Value, r.Quality, r.Reason, c.value, c.quality, c.reason)
			}
			if o := s.Find(hw.Temperature, "other"); o == nil || o.Value != 40 {
				t.Errorf("one bad zone hides the other: %+v", o)
			}
		})
	}
}

func TestOfflineZone(t *testing.T) {
	b := hwtest.OrinNano()
	dir := t.TempDir()
	if err := b.Write(dir); err != nil {
		t.Fatal(err)
	}
	board := openRoot(t, dir)
	back, err := hwtest.Offline(dir, "sys/devices/virtual/thermal/thermal_zone1/temp")
	if err != nil {
		t.Fatal(err)
	}
	var s hw.Sample
	board.Sample(&s)
	if r := s.Find(hw.Temperature, "gpu-thermal"); r.Quality != hw.Unavailable || r.Reason != "the sensor is offline" {
		t.Errorf("offline zone reads %+v", r)
	}
	if err := back(); err != nil {
		t.Fatal(err)
	}
	board.Sample(&s)
	if r := s.Find(hw.Temperature, "gpu-thermal"); !r.OK() || r.Value != 46.093 {
		t.Errorf("zone back on reads %+v", r)
	}
}

// TestLinksStayInside: an absolute link of a captured tree means the tree's own file.
func TestLinksStayInside(t *testing.T) {
	_, board := open(t, hwtest.Board{
		Files: map[string]string{"real/zone/type": "inside\n", "real/zone/temp": "21000\n"},
		Links: map[string]string{
			"sys/class/thermal/thermal_zone0": "/real/zone",
			"proc/uptime":                     "/../../../../../../../../proc/uptime",
		},
	})
	var s hw.Sample
	board.Sample(&s)
	if v := s.Value(hw.Temperature, "inside"); v != 21 {
		t.Errorf("the zone behind an absolute link reads %v", v)
	}
	if r := s.Find(hw.Uptime, "boot"); r.OK() {
		t.Errorf("a link led out of the tree to %v", r.Value)
	}
}

func TestVanishing(t *testing.T) {
	b := hwtest.Pi5()
	dir, board := open(t, b)
	var s hw.Sample
	board.Sample(&s)
	script := b.SensorVanishes()
	if err := script.Apply(dir, -1, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	board.Sample(&s)
	r := s.Find(hw.Temperature, "cpu-thermal")
	if r.Quality != hw.Stale || r.Value != 48.2 || r.Reason != "not there" {
		t.Errorf("just vanished: %+v", r)
	}
	if err := script.Apply(dir, 10*time.Second, time.Minute); err != nil {
		t.Fatal(err)
	}
	board.Sample(&s)
	if !r.OK() {
		t.Errorf("back again: %+v", r)
	}
}

// TestPermissionDenied asks as nobody, where the test may become nobody.
func TestPermissionDenied(t *testing.T) {
	if dir := os.Getenv("LINESIDE_TEST_TREE"); dir != "" {
		board := openRoot(t, dir)
		var s hw.Sample
		board.Sample(&s)
		r := s.Find(hw.Temperature, "cpu-thermal")
		if r == nil || r.Reason != "permission denied" {
			t.Errorf("forbidden zone: %+v", r)
		}
		if v := s.Value(hw.FanSpeed, "pwmfan"); v != 2987 {
			t.Errorf("the fan beside it reads %v", v)
		}
		if board.Identity().Missing["serial"] != "proc/device-tree/serial-number: permission denied" {
			t.Errorf("forbidden serial: %v", board.Identity().Missing)
		}
		return
	}
	dir, err := os.MkdirTemp("", "board")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	b := hwtest.Pi5()
	if err := b.Write(dir); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{b.Temp, "proc/device-tree/serial-number"} {
		if err := os.Chmod(filepath.Join(dir, p), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(copyOfTest(t, dir), "-test.run=^TestPermissionDenied$", "-test.v")
	cmd.Env, cmd.Dir = append(os.Environ(), "LINESIDE_TEST_TREE="+dir), dir
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// copyOfTest puts the test's program where nobody can read it.
func copyOfTest(t *testing.T, dir string) string {
	t.Helper()
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Skipf("the test's own program cannot be read to be copied: %v", err)
	}
	to := filepath.Join(dir, "hw.test")
	if err := os.WriteFile(to, self, 0o755); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestOpenFailsClearly(t *testing.T) {
	if _, err := hw.Open(filepath.Join(t.TempDir(), "nowhere")); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("got %v", err)
	}
	board := openRoot(t, t.TempDir()) // an empty tree is a board that knows nothing
	var s hw.Sample
	board.Sample(&s)
	for _, r := range s.Readings {
		if r.OK() && r.Kind != hw.TimeSync {
			t.Errorf("an empty tree reads %s = %v", r.ID(), r.Value)
		}
	}
	if s.Heat(85).Sensors {
		t.Error("an empty tree has a temperature")
	}
}

// TestEnginesGroup: the engine's own control group where it has one, else this process's.
func TestEnginesGroup(t *testing.T) {
	b := hwtest.Pi5()
	const group = "system.slice/lineside-engine.service"
	for _, want := range []float64{1873805312, 42} {
		dir := t.TempDir()
		if err := b.Write(dir); err != nil {
			t.Fatal(err)
		}
		board, err := hw.OpenWith(dir, hw.Options{CGroup: group})
		if err != nil {
			t.Fatal(err)
		}
		var s hw.Sample
		board.Sample(&s)
		if v := s.Value(hw.Memory, "group-current"); v != want {
			t.Errorf("%v, want %v", v, want)
		}
		if err := board.Close(); err != nil {
			t.Error(err)
		}
		b.Files["sys/fs/cgroup/"+group+"/memory.current"] = "42\n"
	}
}

func TestMetrics(t *testing.T) {
	_, board := open(t, hwtest.Pi5())
	var s hw.Sample
	board.Sample(&s)
	got := map[string]float64{}
	for m := range s.Metrics {
		got[m.Name+"{"+m.Label+"="+m.Value+"}"] = m.Number
	}
	for name, want := range map[string]float64{
		"lineside_temperature_celsius{zone=cpu-thermal}":       48.2,
		"lineside_temperature_limit_celsius{zone=cpu-thermal}": 80,
		"lineside_fan_speed_rpm{fan=pwmfan}":                   2987,
		"lineside_throttle_active{cause=undervoltage}":         0,
		"lineside_reading_available{reading=voltage/EXT5V}":    0,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s = %v (%v), want %v", name, v, ok, want)
		}
	}
}
