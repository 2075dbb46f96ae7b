package systemd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Ends counts how the runs of a service ended, by systemd's word for it: "success",
// "exit-code", "signal", "core-dump", "watchdog", "oom-kill", "timeout" and so on.
// https://www.freedesktop.org/software/systemd/man/systemd.exec.html ($SERVICE_RESULT)
type Ends struct {
	Last   string         `json:"last"`
	Counts map[string]int `json:"counts"`
}

const endsFile = "ends.json"

// NoteEnd adds the end that ExecStopPost= is called for to the service's state folder.
// result is $SERVICE_RESULT. The file is written whole or not at all.
func NoteEnd(dir, result string) error {
	if result == "" {
		return errors.New("note the end of a run: $SERVICE_RESULT is empty: only systemd calls this, from ExecStopPost=")
	}
	e, err := ReadEnds(dir)
	if err != nil {
		e = Ends{Counts: map[string]int{}} // a count is no reason to stay down
	}
	e.Last = result
	e.Counts[result]++
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, endsFile)
	if err := os.WriteFile(path+".new", append(data, '\n'), 0o640); err != nil {
		return fmt.Errorf("note the end of a run: %w", err)
	}
	if err := os.Chmod(path+".new", 0o640); err != nil { // linesided reads the engine's, whatever the umask
		return fmt.Errorf("note the end of a run: %w", err)
	}
	return os.Rename(path+".new", path)
}

// ReadEnds reads the counts; there are none before the first end.
func ReadEnds(dir string) (Ends, error) {
	e := Ends{Counts: map[string]int{}}
	data, err := os.ReadFile(filepath.Join(dir, endsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return e, nil
	}
	if err != nil {
		return e, fmt.Errorf("read the ends of runs: %w", err)
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return e, fmt.Errorf("read the ends of runs: %s: %w: remove it", endsFile, err)
	}
	if e.Counts == nil {
		e.Counts = map[string]int{}
	}
	return e, nil
}
