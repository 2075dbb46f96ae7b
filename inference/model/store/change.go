package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lineside/inference/model/bundle"
	"lineside/inference/model/licence"
)

// Files that processes hold locks on.
const (
	lockFile  = "lock"  // while the store is being changed
	serveFile = "serve" // by the daemon that runs the active model
)

// lock keeps other commands from changing the store. It never waits.
func (s *Store) lock() (unlock func(), err error) {
	f, err := flock(s.path(lockFile))
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("%w: wait for it, and run this again", ErrBusy)
	}
	if err != nil {
		return nil, err
	}
	return func() { f.Close() }, nil
}

func flock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o644) // root's file is the daemon's lock too
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Serve tells commands that a daemon runs the active model: from then on they propose
// a change instead of making it. Call stop when the daemon ends. A model that was being
// tried when the last daemon went down with its board is not tried again by itself.
func (s *Store) Serve() (stop func(), err error) {
	f, err := flock(s.path(serveFile))
	if errors.Is(err, unix.EROFS) || errors.Is(err, fs.ErrNotExist) { // a read-only disk: nobody can change anything here
		return func() {}, nil
	} else if err != nil {
		return nil, fmt.Errorf("another daemon runs the models of %s: %w", s.dir, err)
	}
	if err := s.abandon(); err != nil && !errors.Is(err, ErrBusy) && !stays(err) {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// abandon ends a trial that a power cut or a crash left behind.
func (s *Store) abandon() error {
	st, err := s.readState()
	if err != nil || st.Lead == "" {
		return err
	}
	if st.Lead == st.Proposed {
		return s.Reject(st.Lead, "the board or its daemon went down while the model was being tried: activate it again if that was a power cut")
	}
	return s.Lead("")
}

// Served reports whether a daemon runs the active model.
func (s *Store) Served() bool {
	f, err := flock(s.path(serveFile))
	if err == nil {
		f.Close()
	}
	return errors.Is(err, unix.EWOULDBLOCK)
}

// Gate says whether an item may run on this site; a no of the licence is a
// *licence.Refusal.
func (s *Store) Gate(i Item) error {
	switch i.State {
	case Quarantined:
		return fmt.Errorf("%s is %w: %s: if you know better, run lineside model override %s --reason …", i.Manifest.Name, ErrQuarantine, i.Why, i.ID[:12])
	case Damaged:
		return fmt.Errorf("%s is %w: %s: install it again", i.Manifest.Name, ErrDamaged, i.Why)
	}
	if i.Manifest.Kind != bundle.Model {
		return fmt.Errorf("%s is an adapter: activate its base model and name the adapter in a skill", i.Manifest.Name)
	}
	site, err := s.Site()
	if err != nil {
		return err
	}
	return site.Activate(licence.Model{Name: i.Manifest.Name, Licence: i.Manifest.Licence, Multimodal: i.Multimodal, TextHash: i.TextHash})
}

// holding finds an item under the lock and does something with it.
func (s *Store) holding(name string, f func(Item) (Item, error)) (Item, error) {
	unlock, err := s.lock()
	if err != nil {
		return Item{}, err
	}
	defer unlock()
	i, err := s.Find(name)
	if err != nil {
		return Item{}, err
	}
	return f(i)
}

// modify changes the state with an item.
func (s *Store) modify(name string, f func(*state, Item) error) (Item, error) {
	return s.holding(name, func(i Item) (Item, error) {
		if err := s.change(func(st *state) error { return f(st, i) }); err != nil {
			return Item{}, err
		}
		return s.Find(i.ID)
	})
}

// Activate makes a model the one that runs, in one step. The daemon calls it once
// the new engine has answered its warm-up; a command calls it where no daemon runs.
func (s *Store) Activate(name string) (Item, error) {
	return s.modify(name, func(st *state, i Item) error {
		if err := s.Gate(i); err != nil {
			return err
		}
		if st.Active != i.ID {
			st.Previous, st.Active = st.Active, i.ID
		}
		if st.Proposed == i.ID {
			st.Proposed = ""
		}
		st.Lead = ""
		st.LastSwap = &Swap{ID: i.ID, Name: i.Manifest.Name, OK: true, At: s.now().UTC()}
		return nil
	})
}

// Propose asks the running daemon to change to a model.
func (s *Store) Propose(name string) (Item, error) {
	return s.modify(name, func(st *state, i Item) error {
		st.Proposed = i.ID
		return s.Gate(i)
	})
}

// Lead makes ActiveLink lead to another model for now: one that is being tried, or the
// smaller one for hard times. The active model stays what it is. An empty name leads
// back to it.
func (s *Store) Lead(name string) error {
	if name == "" {
		return s.clear(func(st *state) { st.Lead = "" })
	}
	_, err := s.modify(name, func(st *state, i Item) error {
		st.Lead = i.ID
		return s.Gate(i)
	})
	return err
}

// clear changes the state where no item is concerned.
func (s *Store) clear(f func(*state)) error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return s.change(func(st *state) error { f(st); return nil })
}

// Reject takes a proposal back because of what the daemon found, and notes why.
func (s *Store) Reject(id, why string) error {
	_, err := s.modify(id, func(st *state, i Item) error {
		st.Proposed, st.Lead = "", ""
		st.LastSwap = &Swap{ID: i.ID, Name: i.Manifest.Name, Why: why, At: s.now().UTC()}
		return nil
	})
	return err
}

// Former is the model that rollback goes back to.
func (s *Store) Former() (Item, error) {
	return s.pointed(func(st state) string { return st.Previous }, "there to go back to")
}

// SetFallback names the smaller model for hard times; an empty name takes it away.
func (s *Store) SetFallback(name string) error {
	if name == "" {
		return s.clear(func(st *state) { st.Fallback = "" })
	}
	_, err := s.modify(name, func(st *state, i Item) error {
		st.Fallback = i.ID
		return s.Gate(i)
	})
	return err
}

// Override lets a model out of quarantine, on the owner's reason.
func (s *Store) Override(name string, o bundle.Override) (Item, error) {
	if strings.TrimSpace(o.Reason) == "" || strings.TrimSpace(o.By) == "" {
		return Item{}, errors.New("an override needs a reason and the name of who gives it")
	}
	return s.holding(name, func(i Item) (Item, error) {
		if i.State != Quarantined {
			return Item{}, fmt.Errorf("%s is not in quarantine, but %s", i.Manifest.Name, i.State)
		}
		o.Date = s.now().UTC().Format(time.DateOnly)
		return s.release(i, &o)
	})
}

// release moves an item out of quarantine. The reason is noted first, so that none
// is ever out without one.
func (s *Store) release(i Item, o *bundle.Override) (Item, error) {
	err := s.change(func(st *state) error {
		if o != nil {
			st.Overrides[i.ID] = *o
		}
		st.Serials[i.Manifest.Name] = max(st.Serials[i.Manifest.Name], i.Manifest.Serial)
		return nil
	})
	if err != nil {
		return Item{}, err
	}
	if err := s.fs.Rename(s.path(quarantineDir, i.ID), s.path(objectsDir, i.ID)); err != nil {
		return Item{}, err
	}
	if err := errors.Join(s.fs.SyncDir(s.path(objectsDir)), s.fs.SyncDir(s.path(quarantineDir))); err != nil {
		return Item{}, err
	}
	return s.Find(i.ID)
}

// Remove removes an item that is neither active nor the fallback.
func (s *Store) Remove(name string) (Item, error) {
	return s.holding(name, func(i Item) (Item, error) {
		err := s.change(func(st *state) error {
			if st.Active == i.ID || st.Fallback == i.ID || st.Proposed == i.ID {
				return fmt.Errorf("%s is %w: activate another model first", i.Manifest.Name, ErrInUse)
			}
			st.forget(i.ID)
			return nil
		})
		if err != nil {
			return Item{}, err
		}
		return i, errors.Join(s.discard(s.path(objectsDir, i.ID)), s.discard(s.path(quarantineDir, i.ID)))
	})
}

// forget drops an id from everything that points to it. Serials stay.
func (st *state) forget(id string) {
	for _, p := range []*string{&st.Active, &st.Previous, &st.Fallback, &st.Proposed, &st.Lead} {
		if *p == id {
			*p = ""
		}
	}
	delete(st.Overrides, id)
	delete(st.Damaged, id)
	delete(st.Verified, id)
}

// discard takes a folder out of its place in one step, then removes it.
func (s *Store) discard(path string) error {
	if _, err := s.fs.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	trash := s.path(trashDir, fmt.Sprint(s.now().UnixNano()))
	if err := s.fs.Rename(path, trash); err != nil {
		return err
	}
	return errors.Join(s.fs.SyncDir(s.path(trashDir)), s.fs.RemoveAll(trash))
}

// Accept records the site's acceptance of a licence. Its text has to lie beside an
// installed model, and its hash is taken from there.
func (s *Store) Accept(a licence.Acceptance) error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	list, err := s.List()
	if err != nil {
		return err
	}
	for _, i := range list {
		if i.Manifest.Licence == a.Licence && i.State != Damaged {
			a.TextHash = i.TextHash
		}
	}
	if a.TextHash == "" {
		return fmt.Errorf("no installed model comes under licence %s: install one first, so that its text can be read", a.Licence)
	}
	a.Date = s.now().UTC().Format(time.DateOnly)
	if err := a.Check(); err != nil {
		return err
	}
	site, err := s.Site()
	if err != nil {
		return err
	}
	site.Acceptances[a.Licence] = a
	return s.writeJSON(siteFile, site)
}

// Except records an administrator's exception for a class of use.
func (s *Store) Except(e licence.Exception) error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if strings.TrimSpace(e.Reason) == "" || strings.TrimSpace(e.By) == "" {
		return errors.New("an exception needs a reason and the name of who gives it")
	}
	if _, err := licence.ParseClass(string(e.Class)); err != nil {
		return err
	}
	site, err := s.Site()
	if err != nil {
		return err
	}
	e.Date = s.now().UTC().Format(time.DateOnly)
	site.Exceptions = append(site.Exceptions, e)
	return s.writeJSON(siteFile, site)
}

// Adapters are those that may run with a model.
func (s *Store) Adapters(base Item) ([]Item, error) {
	list, err := s.List()
	return slices.DeleteFunc(list, func(i Item) bool {
		return i.Manifest.Kind != bundle.Adapter || i.State != Ready || i.Manifest.Base.SHA256 != base.Weights()
	}), err
}

// Adapter finds an adapter by name and checks that it belongs to a model.
func (s *Store) Adapter(name string, base Item) (Item, error) {
	i, err := s.Find(name)
	switch {
	case err != nil:
		return Item{}, err
	case i.Manifest.Kind != bundle.Adapter:
		return Item{}, fmt.Errorf("%s is a model, not an adapter", i.Manifest.Name)
	case i.State == Quarantined:
		return Item{}, fmt.Errorf("%s is %w: %s", i.Manifest.Name, ErrQuarantine, i.Why)
	case i.State == Damaged:
		return Item{}, fmt.Errorf("%s is %w: %s", i.Manifest.Name, ErrDamaged, i.Why)
	case i.Manifest.Base.SHA256 != base.Weights():
		return Item{}, fmt.Errorf("adapter %s was made for %s with other weights than %s", i.Manifest.Name, i.Manifest.Base.Name, base.Manifest.Name)
	}
	return i, nil
}
