package store

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"lineside/inference/model/bundle"
	"lineside/inference/model/licence"
)

// state is everything that the store knows besides the bundles themselves. It is
// one file, replaced whole.
type state struct {
	Active    string                     `json:"active"`             // id of the model that runs
	Previous  string                     `json:"previous,omitempty"` // that ran before
	Fallback  string                     `json:"fallback,omitempty"` // smaller one for hard times
	Proposed  string                     `json:"proposed,omitempty"` // that a running daemon shall try
	Lead      string                     `json:"lead,omitempty"`     // that ActiveLink leads to for now; empty: the active one
	LastSwap  *Swap                      `json:"last_swap,omitempty"`
	Serials   map[string]int64           `json:"serials"`   // highest serial ever installed, by name
	Overrides map[string]bundle.Override `json:"overrides"` // by id
	Damaged   map[string]string          `json:"damaged"`   // what verifying found, by id
	Verified  map[string]time.Time       `json:"verified"`  // when all hashes were last right, by id
}

// Swap is the outcome of a change of model.
type Swap struct {
	ID   string    `json:"id"`
	Name string    `json:"name"`
	OK   bool      `json:"ok"`
	Why  string    `json:"why,omitempty"`
	At   time.Time `json:"at"`
}

const (
	stateFile = "state.json"
	siteFile  = "site.json"
)

// ActiveLink leads to the active model's weights, for an engine that systemd starts.
// It follows the state: after a power cut between the two, Open puts it right. While
// a daemon tries a model, or runs the smaller one, it leads there; see Lead.
const ActiveLink = "active.gguf"

func (s *Store) path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}

func (s *Store) readState() (state, error) {
	st := state{}
	err := s.readJSON(stateFile, &st)
	for _, m := range []*map[string]string{&st.Damaged} {
		if *m == nil {
			*m = map[string]string{}
		}
	}
	if st.Serials == nil {
		st.Serials = map[string]int64{}
	}
	if st.Overrides == nil {
		st.Overrides = map[string]bundle.Override{}
	}
	if st.Verified == nil {
		st.Verified = map[string]time.Time{}
	}
	return st, err
}

// change reads the state, lets f change it, and replaces it in one step.
func (s *Store) change(f func(*state) error) error {
	st, err := s.readState()
	if err != nil {
		return err
	}
	if err := f(&st); err != nil {
		return err
	}
	if err := s.writeJSON(stateFile, st); err != nil {
		return err
	}
	return s.point(st)
}

// point makes ActiveLink lead to the model that shall run, in one step.
func (s *Store) point(st state) error {
	link, want := s.path(ActiveLink), ""
	if id := cmp.Or(st.Lead, st.Active); id != "" {
		i, err := s.item(st, objectsDir, id)
		if err != nil {
			return err
		}
		if i.State == Damaged {
			return nil // what the link leads to may still load
		}
		if want, err = filepath.Rel(s.dir, i.Path); err != nil {
			return err
		}
	}
	switch got, err := s.fs.Readlink(link); {
	case err == nil && got == want, errors.Is(err, fs.ErrNotExist) && want == "":
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := s.fs.RemoveAll(link + ".new"); err != nil { // of a try that was cut off
		return err
	}
	if want == "" {
		return errors.Join(s.fs.RemoveAll(link), s.fs.SyncDir(s.dir))
	}
	if err := s.fs.Symlink(want, link+".new"); err != nil {
		return err
	}
	if err := s.fs.Rename(link+".new", link); err != nil {
		return err
	}
	return s.fs.SyncDir(s.dir)
}

// Site is what the owner has accepted and excepted.
func (s *Store) Site() (licence.Site, error) {
	var site licence.Site
	err := s.readJSON(siteFile, &site)
	if site.Acceptances == nil {
		site.Acceptances = map[licence.ID]licence.Acceptance{}
	}
	return site, err
}

// readJSON reads one of the store's own files; none leaves v as it is.
func (s *Store) readJSON(name string, v any) error {
	b, err := s.fs.ReadFile(s.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s is damaged: put back a copy of it, or move it away and install again: %w", s.path(name), err)
	}
	return nil
}

// writeJSON replaces one of the store's own files so that, whatever happens, either
// the old or the new one is there.
func (s *Store) writeJSON(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return s.replace(name, append(b, '\n'))
}

func (s *Store) replace(name string, b []byte) error {
	path := s.path(name)
	if err := s.fs.RemoveAll(path + ".new"); err != nil { // of a try that was cut off, maybe another user's
		return err
	}
	if err := s.write(path+".new", bytes.NewReader(b)); err != nil {
		return err
	}
	if err := s.fs.Rename(path+".new", path); err != nil {
		return err
	}
	return s.fs.SyncDir(filepath.Dir(path))
}
