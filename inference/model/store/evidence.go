package store

import (
	"time"

	"lineside/inference/model/licence"
)

// Evidence is what an auditor has to see: which models are here, under which
// licence, who accepted that, what was overridden, and what was purged.
type Evidence struct {
	Made     time.Time        `json:"made"`
	Site     licence.Site     `json:"site"`
	Models   []EvidenceModel  `json:"models"`
	Duties   []licence.Duties `json:"duties"` // of the licences of the models here
	Receipts []Receipt        `json:"receipts"`
	LastSwap *Swap            `json:"last_swap,omitempty"`
}

// EvidenceModel is one model with the gate's word on it.
type EvidenceModel struct {
	Item
	MayRun bool                     `json:"may_run"`
	Gate   string                   `json:"gate,omitempty"` // why not
	Uses   map[licence.Class]string `json:"uses"`           // "allowed", or why not
}

// Evidence gathers it.
func (s *Store) Evidence() (Evidence, error) {
	e := Evidence{Made: s.now().UTC(), Models: []EvidenceModel{}, Duties: []licence.Duties{}}
	var err error
	if e.Site, err = s.Site(); err != nil {
		return e, err
	}
	if e.Receipts, err = s.Receipts(); err != nil {
		return e, err
	}
	if e.LastSwap, err = s.LastSwap(); err != nil {
		return e, err
	}
	list, err := s.List()
	seen := map[licence.ID]bool{}
	for _, i := range list {
		m := EvidenceModel{Item: i, MayRun: true, Uses: map[licence.Class]string{}}
		if err := s.Gate(i); err != nil {
			m.MayRun, m.Gate = false, err.Error()
		}
		for _, c := range licence.Classes() {
			m.Uses[c] = "allowed"
			if err := e.Site.Use(i.Manifest.Licence, c); err != nil {
				m.Uses[c] = err.Error()
			}
		}
		e.Models = append(e.Models, m)
		if d, ok := licence.Of(i.Manifest.Licence); ok && !seen[d.ID] {
			seen[d.ID] = true
			e.Duties = append(e.Duties, d)
		}
	}
	return e, err
}
