// Package notice is how the image's own commands, which run as root and then end, tell the
// daemon what the lamp and the plant should know: one small file each, in a folder under
// /run that a restart of the board empties.
//
// It decides nothing and never grows: a notice has a name and replaces the one before it.
package notice

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"lineside/image/layout"
)

// Dir is where notices stand, below the root.
const Dir = layout.RunDir + "/notices"

// Notice is one thing to know. Its condition is one that the daemon's lamp has
// ("updating", "update_failed", "config_wrong", "config_missing"); empty: only tell.
type Notice struct {
	Name      string `json:"-"` // of the file, without its end
	Condition string `json:"condition,omitempty"`
	Why       string `json:"why"`
}

const end = ".json"

// Put leaves a notice, in place of the one with its name.
func Put(root string, n Notice) error {
	b, err := json.Marshal(n)
	if err != nil {
		return err
	}
	dir := filepath.Join(root, Dir)
	path := filepath.Join(dir, n.Name+end)
	err = os.MkdirAll(dir, 0o755)
	if err == nil {
		err = os.WriteFile(path+".new", b, 0o644)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("leave a notice for the daemon: %w", err)
	}
	return nil
}

// Clear takes a notice away.
func Clear(root, name string) error {
	if err := os.Remove(filepath.Join(root, Dir, name+end)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

const (
	maxNotices = 16
	maxBytes   = 4 << 10
)

// List reads what there is, by name. What cannot be read is left out.
func List(root string) []Notice {
	entries, err := os.ReadDir(filepath.Join(root, Dir))
	if err != nil {
		return nil // no image's board, or nothing was ever said
	}
	var all []Notice
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), end)
		i, err := e.Info()
		if !ok || err != nil || i.Size() > maxBytes || len(all) == maxNotices {
			continue
		}
		n := Notice{Name: name}
		b, err := os.ReadFile(filepath.Join(root, Dir, e.Name()))
		if err == nil && json.Unmarshal(b, &n) == nil && n.Why != "" {
			all = append(all, n)
		}
	}
	return all
}
