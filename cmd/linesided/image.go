package main

import (
	"os"
	"path/filepath"

	"lineside/daemon"
	"lineside/daemon/config"
	"lineside/image/layout"
	"lineside/image/notice"
)

// updateRequest is a file that lineside-update.path waits for: the daemon itself may install
// nothing, and asks the one who may.
const updateRequest = "update-request"

// openImage ties the daemon to the card's own commands, on a board that runs from a card.
func openImage(root string, c config.Config, o *daemon.Options) {
	if _, err := os.Stat(filepath.Join(root, layout.RunDir)); err != nil {
		return
	}
	o.Notices = func() []daemon.Notice {
		var all []daemon.Notice
		for _, n := range notice.List(root) {
			all = append(all, daemon.Notice{Name: n.Name, Condition: n.Condition, Why: n.Why})
		}
		return all
	}
	o.Update = func() error { return os.WriteFile(filepath.Join(c.Store.Dir, updateRequest), nil, 0o600) }
}
