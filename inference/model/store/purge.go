package store

import (
	"errors"
	"fmt"
	"time"

	"lineside/inference/model/licence"
)

// Receipt proves a purge: what was under a licence and is gone.
type Receipt struct {
	Licence   licence.ID `json:"licence"`
	By        string     `json:"by"`
	Reason    string     `json:"reason"`
	Started   time.Time  `json:"started"`
	Completed time.Time  `json:"completed,omitzero"`
	Removed   []Removed  `json:"removed"`
}

// Removed is one item of a receipt.
type Removed struct {
	Name    string `json:"name"`
	ID      string `json:"id"`
	Weights string `json:"weights_sha256"`
	Bytes   int64  `json:"bytes"`
}

// Purge removes everything under a licence, also what runs, and half-copied bundles,
// and its acceptance, and leaves a receipt. Cut off, it goes on when it is run again.
func (s *Store) Purge(id licence.ID, by, reason string) (Receipt, error) {
	if by == "" || reason == "" {
		return Receipt{}, errors.New("a purge needs a reason and the name of who orders it")
	}
	unlock, err := s.lock()
	if err != nil {
		return Receipt{}, err
	}
	defer unlock()
	receipt, name, err := s.openReceipt(id)
	if err != nil {
		return Receipt{}, err
	}
	if name == "" {
		receipt = Receipt{Licence: id, By: by, Reason: reason, Started: s.now().UTC()}
		name = s.newReceipt(receipt)
	}
	var doomed []Item
	list, err := s.List()
	if err != nil {
		return Receipt{}, err
	}
	for _, i := range list {
		if i.Manifest.Licence != id {
			continue
		}
		doomed = append(doomed, i)
		if !receipt.has(i.ID) {
			receipt.Removed = append(receipt.Removed, Removed{i.Manifest.Name, i.ID, i.Weights(), i.Manifest.Bytes()})
		}
	}
	if err := s.writeJSON(name, receipt); err != nil {
		return Receipt{}, err
	}
	if err := s.forgetLicence(id, doomed); err != nil {
		return Receipt{}, err
	}
	errs := []error{s.discard(s.path(incomingDir)), s.fs.MkdirAll(s.path(incomingDir))}
	for _, i := range doomed {
		errs = append(errs, s.discard(i.Dir()))
	}
	if err := errors.Join(errs...); err != nil {
		return Receipt{}, err
	}
	receipt.Completed = s.now().UTC()
	return receipt, s.writeJSON(name, receipt)
}

// newReceipt is a name that no receipt has; clocks of boards go wrong.
func (s *Store) newReceipt(r Receipt) string {
	base := fmt.Sprintf("%s/%s-%s", receiptsDir, r.Started.Format("20060102T150405"), r.Licence)
	for n := 1; ; n++ {
		name := fmt.Sprintf("%s-%d.json", base, n)
		if _, err := s.fs.Stat(s.path(name)); err != nil {
			return name
		}
	}
}

func (r Receipt) has(id string) bool {
	for _, x := range r.Removed {
		if x.ID == id {
			return true
		}
	}
	return false
}

// forgetLicence takes what is doomed, and the acceptance, out of the store's own files.
func (s *Store) forgetLicence(id licence.ID, doomed []Item) error {
	err := s.change(func(st *state) error {
		for _, i := range doomed {
			st.forget(i.ID)
		}
		return nil
	})
	if err != nil {
		return err
	}
	site, err := s.Site()
	if err != nil {
		return err
	}
	delete(site.Acceptances, id)
	return s.writeJSON(siteFile, site)
}

// openReceipt finds a purge of the licence that was cut off.
func (s *Store) openReceipt(id licence.ID) (Receipt, string, error) {
	receipts, names, err := s.receipts()
	for i, r := range receipts {
		if r.Licence == id && r.Completed.IsZero() {
			return r, names[i], nil
		}
	}
	return Receipt{}, "", err
}

// Receipts lists all purges, oldest first.
func (s *Store) Receipts() ([]Receipt, error) {
	list, _, err := s.receipts()
	return list, err
}

func (s *Store) receipts() ([]Receipt, []string, error) {
	entries, err := s.fs.ReadDir(s.path(receiptsDir))
	if err != nil {
		return nil, nil, err
	}
	var list []Receipt
	var names []string
	for _, e := range entries {
		name := receiptsDir + "/" + e.Name()
		if len(name) < 5 || name[len(name)-5:] != ".json" {
			continue // a half-written one
		}
		var r Receipt
		if err := s.readJSON(name, &r); err != nil {
			return nil, nil, err
		}
		list, names = append(list, r), append(names, name)
	}
	return list, names, nil
}
