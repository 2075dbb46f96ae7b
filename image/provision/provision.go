// Package provision takes a technician's lineside.toml and certificates from the selector
// partition, which any laptop can write, into use at every start: it checks them, imports
// them to the data partition, removes secrets from the card and says in STATUS.txt what came
// of it. A mistake changes nothing: what was imported before stays in use.
//
// It never invents a password, never opens SSH without a key, and knows nothing of
// linesided's part of the file but what the caller's Policy says.
package provision

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"lineside/image/layout"
)

// State of the configuration after a start.
type State string

// States.
const (
	InUse   State = "in use"  // the card's configuration is good and in use
	Kept    State = "kept"    // it is not; the one imported before is in use
	Default State = "default" // there is none and never was
)

// Options say where everything is.
type Options struct {
	Boot   string // the selector partition
	Data   string // the data partition
	Root   string // what goes to /run lands below this folder
	Policy Policy
	Board  string // lines about the board for STATUS.txt
	// Pressed reports whether the board's button asks for a factory reset. nil: never.
	Pressed func() bool
	// Writable makes Boot writable, and read-only again. nil: it is.
	Writable func() (release func() error, err error)
}

// Result is what came of it.
type Result struct {
	State    State    `json:"state"`
	Problem  error    `json:"-"`
	Problems []string `json:"problems,omitempty"` // one sentence each
	Removed  []string `json:"removed,omitempty"`  // secrets taken off the card
	Reset    bool     `json:"reset,omitempty"`    // the board has forgotten the plant first
	Lost     string   `json:"lost,omitempty"`     // what became of a damaged data partition
	Dir      string   `json:"dir"`                // what is in use
}

// Run does everything a start has to. Mistakes of the technician are in the Result; an
// error is the board's own trouble, after which as much as possible is in effect.
func Run(o Options) (Result, error) {
	var r Result
	var errs []error
	note := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	r.Lost = lost(o.Root)
	everything, asked := resetAsked(o.Boot)
	if asked || o.Pressed != nil && o.Pressed() {
		note(Reset(o.Data, everything))
		r.Reset = true
	}
	s := store{dir: filepath.Join(o.Data, filepath.Base(layout.ConfigDir)), owner: owner(o.Root)}
	plan, err := Read(os.DirFS(o.Boot), s.current(), o.Policy)
	imported := false
	switch {
	case err == nil:
		if err := s.put(plan); err != nil {
			note(fmt.Errorf("import the configuration: %w", err))
			break
		}
		imported, r.State = true, InUse
	default:
		r.Problem, r.Problems = err, sentences(err)
	}
	if !imported {
		r.State = Kept
		if s.current() == nil {
			r.State = Default
			note(s.put(&Plan{System: defaults(), Files: map[string][]byte{cardFile: nil, daemonFile: o.Policy.Default}}))
		}
	}
	r.Dir = s.path()
	note(s.apply(o.Root))
	note(o.writeCard(&r, plan, imported, errors.Join(errs...)))
	return r, errors.Join(errs...)
}

// lost is what the start left to say of the data partition; empty: it was sound.
func lost(root string) string {
	b, err := os.ReadFile(filepath.Join(root, layout.DataNote))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "what became of the data partition cannot be read: " + err.Error()
	}
	return strings.TrimSpace(string(b))
}

// writeCard removes what must not stay on the card and says how it went, in this order:
// a secret is gone only once it is safe on the data partition.
func (o Options) writeCard(r *Result, plan *Plan, imported bool, trouble error) error {
	if imported {
		r.Removed = plan.Secrets
	}
	text := statusText(*r, o.Board, trouble)
	old, err := os.ReadFile(filepath.Join(o.Boot, layout.StatusFile))
	if err == nil && string(old) == text && len(r.Removed) == 0 && !r.Reset {
		return nil // nothing to write: the card wears, and power may go
	}
	if len(r.Removed) == 0 && !r.Reset && err == nil && r.Lost == "" && r.State == InUse && sameButEarlier(string(old), text) {
		return nil // it still says what was removed, or lost, at an earlier start
	}
	if o.Writable != nil {
		release, err := o.Writable()
		if err != nil {
			return fmt.Errorf("make %s writable: %w", o.Boot, err)
		}
		defer func() { _ = release() }() // it stays writable: a pity, no failure
	}
	var errs []error
	for _, name := range r.Removed {
		if err := erase(filepath.Join(o.Boot, name)); err != nil {
			errs = append(errs, fmt.Errorf("take the secret %s off the card: %w", name, err))
		}
	}
	if r.Reset {
		errs = append(errs, remove(filepath.Join(o.Boot, layout.ResetFile)), remove(filepath.Join(o.Boot, layout.ResetFile+".txt")))
	}
	if err := replace(filepath.Join(o.Boot, layout.StatusFile), []byte(text), 0o644, nil); err != nil {
		errs = append(errs, fmt.Errorf("write %s: %w", layout.StatusFile, err))
	}
	return errors.Join(errs...)
}

// erase overwrites a file before it goes. A card's controller may keep older copies of a
// block all the same: who must be sure writes the card anew.
func erase(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	i, err := f.Stat()
	if err == nil {
		_, err = f.Write(make([]byte, i.Size()))
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return errors.Join(os.Remove(path), syncDir(filepath.Dir(path)))
}

// sentences takes joined errors apart.
func sentences(err error) []string {
	var all []string
	for line := range strings.Lines(err.Error()) {
		all = append(all, strings.TrimSpace(line))
	}
	return all
}

// resetAsked reports whether the card asks the board to forget the plant, and the models too.
func resetAsked(boot string) (everything, asked bool) {
	b, err := readFile(os.DirFS(boot), layout.ResetFile, maxFile)
	if err != nil {
		_, err := os.Stat(filepath.Join(boot, layout.ResetFile+".txt")) // laptops hide the .txt and add another
		return false, err == nil
	}
	return strings.Contains(strings.ToLower(string(b)), "everything"), true
}

// Reset makes the board forget the plant: imported configuration, secrets, audit and asks.
// Models stay unless everything goes. The slots stay as they are. It can be cut short and
// run again.
func Reset(data string, everything bool) error {
	errs := []error{os.RemoveAll(filepath.Join(data, filepath.Base(layout.ConfigDir)))}
	daemon := filepath.Join(data, filepath.Base(layout.DaemonDir))
	list, err := os.ReadDir(daemon)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	for _, e := range list {
		if e.Name() != "models" || everything {
			errs = append(errs, os.RemoveAll(filepath.Join(daemon, e.Name())))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("factory reset: %w", err)
	}
	return nil
}
