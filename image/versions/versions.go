// Package versions keeps the programs of a board that is no card of ours, such as a Jetson,
// in a folder per version, so that a package's upgrade can be taken back: the new version
// is tried, kept when it was found healthy, and given up otherwise.
//
// `current` is a link to the version that runs, `previous` one to the version before,
// trial.json exists while a version is tried. The package never starts or stops anything, and
// touches neither configuration nor data.
package versions

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Default is where a board keeps its versions.
const Default = "/opt/lineside"

// Names in the folder.
const (
	current   = "current"
	previous  = "previous"
	trialFile = "trial.json" // units look for it
	badFile   = "bad"        // in a version's folder: why it was given up
	unfit     = ".new"       // end of what is not whole yet
)

// Errors that callers decide on.
var (
	ErrNoTrial = errors.New("no version is being tried")
	ErrNoOther = errors.New("there is no version to go back to")
)

// Store is the folder.
type Store struct {
	Dir  string
	Boot string // this start of the board, as /proc/sys/kernel/random/boot_id says
	// step is told before every change; tests cut the power there.
	step func()
}

// Trial is a version that is being tried.
type Trial struct {
	Version string `json:"version"`
	From    string `json:"from"` // what to go back to
	Boot    string `json:"boot"` // the start of the board that was seen last
	Starts  int    `json:"starts"`
}

// startsAllowed is how many times a board may start with a version that is being tried: power
// may go once without its fault.
const startsAllowed = 2

// Item is one version.
type Item struct {
	Version  string `json:"version"`
	Current  bool   `json:"current"`
	Previous bool   `json:"previous"`
	Trial    bool   `json:"trial"`
	Bad      string `json:"bad,omitempty"` // why it was given up
}

// List lists what is there, by name.
func (s *Store) List() ([]Item, error) {
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return nil, fmt.Errorf("versions: %w", err)
	}
	t, err := s.trial()
	if err != nil && !errors.Is(err, ErrNoTrial) {
		return nil, err
	}
	var all []Item
	for _, e := range entries {
		if !e.IsDir() || strings.HasSuffix(e.Name(), unfit) {
			continue
		}
		i := Item{Version: e.Name(), Current: s.link(current) == e.Name(), Previous: s.link(previous) == e.Name(), Trial: t.Version == e.Name()}
		if b, err := os.ReadFile(filepath.Join(s.Dir, e.Name(), badFile)); err == nil {
			i.Bad = strings.TrimSpace(string(b))
		}
		all = append(all, i)
	}
	return all, nil
}

var versionName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+~:-]{0,80}$`)

// Install copies programs from a folder as a version, and takes it into use: at once
// where it is the first, on trial otherwise. The same programs again change nothing.
func (s *Store) Install(version, from string) (name string, err error) {
	if !versionName.MatchString(version) {
		return "", fmt.Errorf("%q is no version", version)
	}
	sum, err := sum(from)
	if err != nil {
		return "", err
	}
	name = version + "-" + sum
	if s.link(current) == name {
		return name, nil
	}
	if err := s.copy(from, name); err != nil {
		return "", fmt.Errorf("install version %s: %w", version, err)
	}
	return name, s.Use(name)
}

// Use takes an installed version into use.
func (s *Store) Use(name string) error {
	if i, err := os.Stat(filepath.Join(s.Dir, name)); err != nil || !i.IsDir() || strings.HasSuffix(name, unfit) {
		return fmt.Errorf("version %q is not here: lineside versions lists what is", name)
	}
	was := s.link(current)
	if t, err := s.trial(); err == nil && t.Version == was {
		was = t.From // an upgrade during a trial goes back to what was found healthy
	}
	if was != "" && was != name {
		b, err := json.Marshal(Trial{Version: name, From: was, Boot: s.Boot, Starts: 1})
		if err != nil {
			return err
		}
		if err := errors.Join(s.write(trialFile, b), s.point(previous, was)); err != nil {
			return err
		}
	}
	s.before()
	if err := os.Remove(filepath.Join(s.Dir, name, badFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.point(current, name); err != nil {
		return err
	}
	if was == name {
		return s.endTrial()
	}
	return nil
}

// Commit keeps the version that is being tried. Older ones than the one before go.
func (s *Store) Commit() (did bool, err error) {
	t, err := s.trial()
	if errors.Is(err, ErrNoTrial) || err == nil && t.Version != s.link(current) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := s.endTrial(); err != nil {
		return false, err
	}
	return true, s.prune()
}

// Rollback goes back to the version from before the trial, and notes why.
func (s *Store) Rollback(why string) (to string, err error) {
	t, err := s.trial()
	if err != nil {
		return "", err
	}
	if t.Version != s.link(current) {
		return "", ErrNoTrial
	}
	if _, err := os.Stat(filepath.Join(s.Dir, t.From)); err != nil {
		return "", fmt.Errorf("%w: %s is gone", ErrNoOther, t.From)
	}
	if err := s.write(filepath.Join(t.Version, badFile), []byte(why+"\n")); err != nil {
		return "", err
	}
	if err := s.point(current, t.From); err != nil {
		return "", err
	}
	return t.From, s.endTrial()
}

// Reconcile runs at every start of the board: a version that was being tried and has not
// become healthy by its second start is given up. It says what it did; empty: nothing.
func (s *Store) Reconcile() (string, error) {
	t, err := s.trial()
	switch {
	case errors.Is(err, ErrNoTrial):
		return "", nil
	case err != nil:
		return "", errors.Join(err, s.endTrial()) // a damaged note: what runs, runs
	case t.Version != s.link(current):
		return fmt.Sprintf("the change to version %s was cut short: %s runs", t.Version, s.link(current)), s.endTrial()
	case t.Boot == s.Boot:
		return "", nil
	case t.Starts >= startsAllowed:
		to, err := s.Rollback("the board was started again without it being found healthy")
		return fmt.Sprintf("version %s did not hold: %s runs again", t.Version, to), err
	}
	t.Boot, t.Starts = s.Boot, t.Starts+1
	b, err := json.Marshal(t)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("version %s is being tried", t.Version), s.write(trialFile, b)
}

func (s *Store) trial() (Trial, error) {
	b, err := os.ReadFile(filepath.Join(s.Dir, trialFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Trial{}, ErrNoTrial
	}
	var t Trial
	if err == nil {
		err = json.Unmarshal(b, &t)
	}
	if err != nil {
		return Trial{}, fmt.Errorf("%s: %w", trialFile, err)
	}
	return t, nil
}

func (s *Store) endTrial() error {
	s.before()
	if err := os.Remove(filepath.Join(s.Dir, trialFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncFile(s.Dir)
}

// prune removes what is neither current nor previous, and what was never whole.
func (s *Store) prune() error {
	left, err := filepath.Glob(filepath.Join(s.Dir, "*"+unfit))
	for _, path := range left {
		s.before()
		err = errors.Join(err, os.RemoveAll(path))
	}
	list, lerr := s.List()
	err = errors.Join(err, lerr)
	for _, i := range list {
		if !i.Current && !i.Previous {
			s.before()
			err = errors.Join(err, os.RemoveAll(filepath.Join(s.Dir, i.Version)))
		}
	}
	return err
}

func (s *Store) before() {
	if s.step != nil {
		s.step()
	}
}

// link is where one of the two links leads; empty: nowhere.
func (s *Store) link(name string) string {
	to, err := os.Readlink(filepath.Join(s.Dir, name))
	if err != nil {
		return ""
	}
	return to
}

// point changes a link in one step.
func (s *Store) point(name, to string) error {
	fresh := filepath.Join(s.Dir, name+unfit)
	s.before()
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.before()
	if err := os.Symlink(to, fresh); err != nil {
		return err
	}
	s.before()
	return errors.Join(os.Rename(fresh, filepath.Join(s.Dir, name)), syncFile(s.Dir))
}

// write writes a small file whole.
func (s *Store) write(name string, b []byte) error {
	path := filepath.Join(s.Dir, name)
	s.before()
	if err := os.WriteFile(path+unfit, b, 0o644); err != nil {
		return err
	}
	if err := syncFile(path + unfit); err != nil {
		return err
	}
	s.before()
	return errors.Join(os.Rename(path+unfit, path), syncFile(filepath.Dir(path)))
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// programs are the regular files of a folder.
func programs(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			all = append(all, e.Name())
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s holds no programs", dir)
	}
	slices.Sort(all)
	return all, nil
}

// sum names a folder's contents.
func sum(dir string) (string, error) {
	names, err := programs(dir)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, n := range names {
		f, err := os.Open(filepath.Join(dir, n))
		if err != nil {
			return "", err
		}
		i, err := f.Stat()
		if err == nil {
			fmt.Fprintf(h, "%s %d\n", n, i.Size())
			_, err = io.Copy(h, f)
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:4]), nil
}

// copy makes a version's folder: beside, onto the medium, then under its name.
func (s *Store) copy(from, name string) error {
	to := filepath.Join(s.Dir, name)
	if _, err := os.Stat(to); err == nil {
		return nil // whole, or it would not have its name
	}
	fresh := to + unfit
	s.before()
	if err := errors.Join(os.RemoveAll(fresh), os.MkdirAll(fresh, 0o755)); err != nil {
		return err
	}
	names, err := programs(from)
	if err != nil {
		return err
	}
	for _, n := range names {
		s.before()
		if err := copyFile(filepath.Join(from, n), filepath.Join(fresh, n)); err != nil {
			return err
		}
	}
	s.before()
	return errors.Join(syncFile(fresh), os.Rename(fresh, to), syncFile(s.Dir))
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}
