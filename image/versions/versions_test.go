package versions

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// board is a folder of versions and what a package brings.
type board struct {
	t *testing.T
	*Store
	boots int
}

func newBoard(t *testing.T) *board {
	return &board{t: t, Store: &Store{Dir: t.TempDir(), Boot: "boot 0"}}
}

func (b *board) payload(version string) string {
	dir := b.t.TempDir()
	for _, p := range []string{"lineside", "linesided", "lineside-engine"} {
		if err := os.WriteFile(filepath.Join(dir, p), []byte(p+" "+version), 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
	return dir
}

func (b *board) install(version string) {
	b.t.Helper()
	if _, err := b.Install(version, b.payload(version)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *board) restart() string {
	b.t.Helper()
	b.boots++
	b.Boot = fmt.Sprint("boot ", b.boots)
	said, err := b.Reconcile()
	if err != nil {
		b.t.Fatal(err)
	}
	return said
}

// runs is the version that a start would take.
func (b *board) runs() string {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join(b.Dir, current, "linesided"))
	if err != nil {
		b.t.Fatalf("nothing runs: %v", err)
	}
	return strings.TrimPrefix(string(text), "linesided ")
}

func TestUpgrade(t *testing.T) {
	b := newBoard(t)
	b.install("1.0")
	if did, err := b.Commit(); did || err != nil {
		t.Errorf("the first version is tried: %v, %v", did, err)
	}
	for _, v := range []string{"1.1", "1.2", "1.3"} {
		b.install(v)
		if did, err := b.Commit(); !did || err != nil || b.runs() != v {
			t.Fatal(did, err, b.runs())
		}
	}
	list, err := b.List()
	if err != nil || len(list) != 2 || !list[0].Previous || !list[1].Current {
		t.Errorf("%+v, %v", list, err)
	}
	i, err := os.Stat(filepath.Join(b.Dir, current, "linesided"))
	if err != nil || i.Mode().Perm() != 0o755 {
		t.Error(i, err)
	}
	b.install("1.3") // the same again
	if _, err := b.trial(); !errors.Is(err, ErrNoTrial) {
		t.Errorf("the same programs are tried: %v", err)
	}
}

func TestUnhealthy(t *testing.T) {
	b := newBoard(t)
	b.install("1.0")
	b.install("1.1")
	to, err := b.Rollback("no ask was answered")
	if err != nil || !strings.HasPrefix(to, "1.0-") || b.runs() != "1.0" {
		t.Fatal(to, err)
	}
	list, _ := b.List()
	if len(list) != 2 || list[1].Bad != "no ask was answered" {
		t.Errorf("%+v", list)
	}
	if _, err := b.Rollback("again"); !errors.Is(err, ErrNoTrial) {
		t.Error(err)
	}
	if err := b.Use(list[1].Version); err != nil || b.runs() != "1.1" { // by hand
		t.Error(err)
	}
	if did, err := b.Commit(); !did || err != nil {
		t.Error(did, err)
	}
	if list, _ := b.List(); list[1].Bad != "" {
		t.Errorf("a kept version is marked: %+v", list)
	}
}

// TestHang gives a version up that never becomes healthy, but forgives one power cut.
func TestHang(t *testing.T) {
	b := newBoard(t)
	b.install("1.0")
	b.install("1.1")
	if said := b.restart(); !strings.Contains(said, "is being tried") || b.runs() != "1.1" {
		t.Errorf("after one start: %s", said)
	}
	if said := b.restart(); !strings.Contains(said, "did not hold") || b.runs() != "1.0" {
		t.Errorf("after two: %s", said)
	}
	if said := b.restart(); said != "" {
		t.Errorf("after three: %s", said)
	}
}

// TestTwoUpgrades goes back to what was found healthy, not to another trial.
func TestTwoUpgrades(t *testing.T) {
	b := newBoard(t)
	b.install("1.0")
	b.install("1.1")
	b.install("1.2")
	if _, err := b.Rollback("bad"); err != nil || b.runs() != "1.0" {
		t.Error(err, b.runs())
	}
}

func TestMistakes(t *testing.T) {
	b := newBoard(t)
	for _, v := range []string{"", "../x", "a/b", ".hidden"} {
		if _, err := b.Install(v, b.payload("1")); err == nil {
			t.Errorf("%q is taken for a version", v)
		}
	}
	if _, err := b.Install("1.0", t.TempDir()); err == nil {
		t.Error("an empty folder is installed")
	}
	if err := b.Use("9.9"); err == nil {
		t.Error("a version that is not here is used")
	}
	b.install("1.0")
	b.install("1.1")
	if err := os.WriteFile(filepath.Join(b.Dir, trialFile), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Reconcile(); err == nil || b.runs() != "1.1" {
		t.Errorf("a damaged note: %v", err)
	}
	if said := b.restart(); said != "" {
		t.Error(said)
	}
}

type powerCut struct{}

// TestPowerCut cuts before every step of upgrade, keeping and giving up; what starts then
// is always a whole version, and the upgrade works the next time.
func TestPowerCut(t *testing.T) {
	acts := map[string]func(b *board){
		"keep":    func(b *board) { b.install("1.1"); _, _ = b.Commit() },
		"give up": func(b *board) { b.install("1.1"); _, _ = b.Rollback("bad") },
		"hang":    func(b *board) { b.install("1.1"); b.restart(); b.restart() },
	}
	for name, act := range acts {
		for at := 1; ; at++ {
			b := newBoard(t)
			b.install("0.9")
			b.install("1.0")
			if _, err := b.Commit(); err != nil {
				t.Fatal(err)
			}
			n := 0
			b.step = func() {
				if n++; n == at {
					panic(powerCut{})
				}
			}
			if !cut(func() { act(b) }) {
				if at < 10 {
					t.Fatalf("%s has %d steps: the test does not see them", name, at)
				}
				break
			}
			b.step = nil
			b.restart()
			if v := b.runs(); v != "1.0" && v != "1.1" {
				t.Errorf("%s, cut at step %d: %s runs", name, at, v)
			}
			b.install("1.2")
			if did, err := b.Commit(); !did || err != nil || b.runs() != "1.2" {
				t.Errorf("%s, cut at step %d: then %v, %v, %s", name, at, did, err, b.runs())
			}
			if list, _ := b.List(); len(list) != 2 {
				t.Errorf("%s, cut at step %d: left over: %+v", name, at, list)
			}
			if left, _ := filepath.Glob(filepath.Join(b.Dir, "*"+unfit)); left != nil {
				t.Errorf("%s, cut at step %d: left over: %v", name, at, left)
			}
		}
	}
}

func cut(f func()) (was bool) {
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(powerCut); !ok {
				panic(p)
			}
			was = true
		}
	}()
	f()
	return false
}
