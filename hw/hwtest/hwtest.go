// Package hwtest makes boards out of folders: trees of the files that the
// kernel shows on a Raspberry Pi, a Jetson or another machine, and scripts that
// change them over time.
//
// The trees are written from the kernel's documented interfaces and from what
// these boards are publicly known to show; no machine was copied. A regular file cannot
// answer "try again", so a sensor that is offline is made with Offline.
package hwtest

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Board is a machine as files. Paths are relative to its root.
type Board struct {
	Name  string
	Files map[string]string
	Links map[string]string // path → target, as the kernel links its classes

	// Where scripts turn the knobs; empty where the board has none.
	Temp      string // the zone that the work heats
	Throttled string // the Pi's throttle word
	Fan       string // fan tachometer
	Alarm     string // a rail's critical alarm
	Limit     int    // °C, where it slows down
}

// Boards are all of them.
func Boards() []Board {
	return []Board{Pi3(), Pi4(), CM4(), Pi5(), JetsonNano(), XavierNX(), OrinNano(), AGXOrin(), Generic(), PC()}
}

// Find returns the board of that name.
func Find(name string) (Board, error) {
	var names []string
	for _, b := range Boards() {
		if b.Name == name {
			return b, nil
		}
		names = append(names, b.Name)
	}
	return Board{}, fmt.Errorf("no board %q: there are %s", name, strings.Join(names, ", "))
}

// Write makes the board's tree in dir.
func (b Board) Write(dir string) error {
	for _, path := range slices.Sorted(maps.Keys(b.Files)) {
		if err := put(dir, path, b.Files[path]); err != nil {
			return err
		}
	}
	for _, path := range slices.Sorted(maps.Keys(b.Links)) {
		full := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		if err := os.Symlink(b.Links[path], full); err != nil {
			return err
		}
	}
	return nil
}

// put replaces a file at once, so that a reader never meets half of it.
func put(dir, path, content string) error {
	full := filepath.Join(dir, path)
	// Written through the class's link where there is one.
	if parent, err := filepath.EvalSymlinks(filepath.Dir(full)); err == nil {
		full = filepath.Join(parent, filepath.Base(full))
	}
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		return err
	}
	tmp := full + ".new"
	if err := os.WriteFile(tmp, []byte(content), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, full)
}

// Step is what changes at one time of a script.
type Step struct {
	At     time.Duration
	Set    map[string]string
	Remove []string
}

// Script changes a board over time.
type Script struct {
	Name  string
	Steps []Step // by time
}

// Length is when the last step happens.
func (s Script) Length() time.Duration { return s.Steps[len(s.Steps)-1].At }

// Apply makes the changes with from < At <= to. A first call uses a negative from.
func (s Script) Apply(root string, from, to time.Duration) error {
	for _, step := range s.Steps {
		if step.At <= from || step.At > to {
			continue
		}
		for path, content := range step.Set {
			if err := put(root, path, content); err != nil {
				return fmt.Errorf("script %s at %s: %w", s.Name, step.At, err)
			}
		}
		for _, path := range step.Remove {
			if err := os.Remove(filepath.Join(root, path)); err != nil && !os.IsNotExist(err) {
				return fmt.Errorf("script %s at %s: %w", s.Name, step.At, err)
			}
		}
	}
	return nil
}

// Play applies the script in real time, speed times as fast, until its end or ctx's.
func (s Script) Play(ctx context.Context, root string, speed float64) error {
	start := time.Now()
	done := time.Duration(-1)
	for _, step := range s.Steps {
		due := time.Duration(float64(step.At) / speed)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Until(start.Add(due))):
		}
		if err := s.Apply(root, done, step.At); err != nil {
			return err
		}
		done = step.At
	}
	return nil
}
