// Package store keeps installed models on the board's data partition: each
// bundle whole, under the hash of its manifest, and one small file that says
// which of them runs.
//
// A power cut at any point leaves the model that ran before able to run. The store
// never starts an engine and never changes a bundle after it was installed.
//
// A daemon changes models like this. It calls Serve when it starts and runs what
// Active returns. It looks at Proposed now and then; for a model there it starts an
// engine on Item.Path, beside the first where memory allows, and asks it a
// warm-up question. When the answer comes, it routes asks to the new engine and calls
// Activate; when none comes, it stops the new engine and calls Reject with the
// reason. Where the service manager runs the engine, Lead brings the model to it.
// Fallback is the model for hard times, Scrub looks for bit rot, and Site().Use
// decides on each skill's class.
package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"aead.dev/minisign"
	"golang.org/x/sys/unix"

	"lineside/inference/model/bundle"
	"lineside/inference/model/licence"
)

// Sentinels for callers that decide by the kind of failure.
var (
	// ErrNoModel: no model is active, or none has that name.
	ErrNoModel = errors.New("no such model")
	// ErrQuarantine: something speaks against the model until the owner overrides it.
	ErrQuarantine = errors.New("in quarantine")
	// ErrDamaged: a file is not what the manifest says.
	ErrDamaged = errors.New("damaged")
	// ErrSpace: the partition has too little room.
	ErrSpace = errors.New("not enough space")
	// ErrOld: a newer bundle of the same name was installed before.
	ErrOld = errors.New("older than what was installed")
	// ErrInUse: the model runs, or is what the running one falls back to.
	ErrInUse = errors.New("in use")
	// ErrBusy: another command is changing the store.
	ErrBusy = errors.New("the store is being changed by another command")
)

// Folders of the store.
const (
	objectsDir    = "objects"    // bundles that may run, by id
	quarantineDir = "quarantine" // bundles that something speaks against
	incomingDir   = "incoming"   // half-copied ones, kept to go on with
	trashDir      = "trash"      // half-removed ones
	receiptsDir   = "receipts"   // of purges
)

// Options of Open.
type Options struct {
	FS   FS                   // OS, if nil
	Keys []minisign.PublicKey // of the owner
	Now  func() time.Time     // time.Now, if nil
}

// Store is an opened store.
type Store struct {
	dir  string
	fs   FS
	keys []minisign.PublicKey
	now  func() time.Time
}

// Open opens the store in a folder, makes what is missing and finishes removals that
// were cut off.
func Open(dir string, o Options) (*Store, error) {
	s := &Store{dir: dir, fs: o.FS, keys: o.Keys, now: o.Now}
	if s.fs == nil {
		s.fs = OS{}
	}
	if s.now == nil {
		s.now = time.Now
	}
	for _, d := range []string{objectsDir, quarantineDir, incomingDir, trashDir, receiptsDir} {
		if err := s.fs.MkdirAll(s.path(d)); err != nil && !errors.Is(err, unix.EROFS) {
			return nil, err
		}
	}
	return s, s.tidy()
}

// tidy finishes what a power cut left. What belongs to another user stays until that
// one comes, and all of it on a disk that takes no writes.
func (s *Store) tidy() error {
	left, err := s.fs.ReadDir(s.path(trashDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range left {
		if err := s.fs.RemoveAll(s.path(trashDir, e.Name())); err != nil && !stays(err) {
			return err
		}
	}
	st, err := s.readState()
	if err != nil {
		return err
	}
	if err := s.point(st); err != nil && !stays(err) {
		return err
	}
	return nil
}

func stays(err error) bool { return errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) }

// Item is one installed bundle.
type Item struct {
	ID         string           `json:"id"`
	Manifest   bundle.Manifest  `json:"manifest"`
	Path       string           `json:"path"` // of the weights
	State      State            `json:"state"`
	Why        string           `json:"why,omitempty"` // of quarantine or damage
	Override   *bundle.Override `json:"override,omitempty"`
	Multimodal bool             `json:"multimodal"`
	Fallback   bool             `json:"fallback,omitempty"` // the smaller one for hard times
	Verified   time.Time        `json:"verified,omitzero"`
	TextHash   string           `json:"text_sha256"` // of the licence's normalised text
}

// State is what can be done with an item.
type State string

// States of items.
const (
	Active      State = "active"
	Previous    State = "previous" // what rollback goes back to
	Ready       State = "ready"
	Quarantined State = "quarantine"
	Damaged     State = "damaged"
)

// Dir is the folder of the item's bundle, with its texts.
func (i Item) Dir() string { return filepath.Dir(i.Path) }

// Weights is the SHA-256 of the weights, by which the model is known outside.
func (i Item) Weights() string { return i.Manifest.WeightsFile().SHA256 }

// List lists every installed bundle by name, newest first.
func (s *Store) List() ([]Item, error) {
	st, err := s.readState()
	if err != nil {
		return nil, err
	}
	var list []Item
	for _, dir := range []string{objectsDir, quarantineDir} {
		entries, err := s.fs.ReadDir(s.path(dir))
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			i, err := s.item(st, dir, e.Name())
			if err != nil {
				return nil, err
			}
			list = append(list, i)
		}
	}
	slices.SortFunc(list, func(a, b Item) int {
		if c := strings.Compare(a.Manifest.Name, b.Manifest.Name); c != 0 {
			return c
		}
		return int(b.Manifest.Serial - a.Manifest.Serial)
	})
	return list, nil
}

func (s *Store) item(st state, dir, id string) (Item, error) {
	i := Item{ID: id}
	raw, err := s.fs.ReadFile(s.path(dir, id, bundle.ManifestFile))
	if err == nil {
		i.Manifest, err = bundle.Parse(raw)
	}
	if err == nil && bundle.ID(raw) != id {
		err = errors.New("its manifest was changed")
	}
	if err != nil { // bit rot in the manifest: what is left can still be removed
		i.Path, i.State, i.Why = s.path(dir, id, bundle.ManifestFile), Damaged, err.Error()
		i.Manifest.Name = "damaged-" + id[:min(12, len(id))]
		i.Manifest.Licence = licence.Unknown
		if text, err := s.fs.ReadFile(s.path(dir, id, bundle.LicenceFile)); err == nil {
			if t, ok := licence.Identify(text); ok {
				i.Manifest.Licence = t.Licence // so that a purge finds it
			}
		}
		return i, nil
	}
	i.Path = s.path(dir, id, i.Manifest.WeightsFile().Name)
	i.Override, i.Verified, i.Multimodal = i.Manifest.Override, st.Verified[id], multimodal(i.Manifest)
	i.Fallback = st.Fallback == id
	if o, ok := st.Overrides[id]; ok {
		i.Override = &o
	}
	if text, err := s.fs.ReadFile(s.path(dir, id, bundle.LicenceFile)); err == nil {
		i.TextHash = licence.Hash(text)
	}
	switch why, damaged := st.Damaged[id]; {
	case damaged:
		i.State, i.Why = Damaged, why
	case dir == quarantineDir:
		i.State = Quarantined
		i.Why = s.whyQuarantined(id)
	case st.Active == id:
		i.State = Active
	case st.Previous == id:
		i.State = Previous
	default:
		i.State = Ready
	}
	return i, nil
}

// multimodal reports whether every model of that form takes images.
func multimodal(m bundle.Manifest) bool {
	return m.Facts.Arch == "llama4" || m.Facts.Arch == "mllama"
}

// Find finds one item by its name or the start of its id. Of several with one name it
// is the newest.
func (s *Store) Find(name string) (Item, error) {
	list, err := s.List()
	if err != nil {
		return Item{}, err
	}
	var names []string
	for _, i := range list {
		if strings.EqualFold(i.Manifest.Name, name) || len(name) >= 6 && strings.HasPrefix(i.ID, name) {
			return i, nil
		}
		names = append(names, i.Manifest.Name)
	}
	if len(names) == 0 {
		return Item{}, fmt.Errorf("%w: %q: nothing is installed: run lineside model install", ErrNoModel, name)
	}
	return Item{}, fmt.Errorf("%w: %q: installed are %s", ErrNoModel, name, strings.Join(names, ", "))
}

// Active is the model that shall run.
func (s *Store) Active() (Item, error) {
	return s.pointed(func(st state) string { return st.Active }, "active")
}

// Fallback is the smaller model for hard times.
func (s *Store) Fallback() (Item, error) {
	return s.pointed(func(st state) string { return st.Fallback }, "set as fallback")
}

// Proposed is the model that a running daemon shall change to.
func (s *Store) Proposed() (Item, error) {
	return s.pointed(func(st state) string { return st.Proposed }, "proposed")
}

// LastSwap is the outcome of the last change of model, nil before the first.
func (s *Store) LastSwap() (*Swap, error) {
	st, err := s.readState()
	return st.LastSwap, err
}

func (s *Store) pointed(which func(state) string, what string) (Item, error) {
	st, err := s.readState()
	if err != nil {
		return Item{}, err
	}
	id := which(st)
	if id == "" {
		return Item{}, fmt.Errorf("%w: none is %s", ErrNoModel, what)
	}
	return s.item(st, objectsDir, id)
}

// write writes a whole file and makes it last.
func (s *Store) write(path string, r io.Reader) error {
	w, err := s.fs.Append(path, 0)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	if err == nil {
		err = w.Sync()
	}
	return errors.Join(err, w.Close())
}

// contextReader stops a long read when its context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
