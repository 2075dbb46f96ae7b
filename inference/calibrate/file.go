package calibrate

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// fileName is the calibration's file in the engine's state folder.
const fileName = "threads.json"

// maxFile bounds it in bytes.
const maxFile = 64 << 10

// ErrOther marks a calibration that is not of this board, or no calibration.
var ErrOther = errors.New("calibration is not used: take it anew with `lineside bench --calibrate`")

// Save puts a calibration into a folder, whole or not at all.
func Save(dir string, r Result) (path string, err error) {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(dir, ".threads-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name()) // there is none any more once it has its name
	_, err = f.Write(append(b, '\n'))
	path = filepath.Join(dir, fileName)
	// Anyone may read it: a technician takes it as root, the engine is not root.
	if err := errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return "", err
	}
	return path, os.Rename(f.Name(), path)
}

// Load reads the calibration of a board with so many CPUs. Errors wrap
// fs.ErrNotExist where there is none, and ErrOther where it is of no use here.
func Load(dir string, cpus int) (Result, error) {
	path := filepath.Join(dir, fileName)
	fi, err := os.Stat(path)
	if err != nil {
		return Result{}, err
	}
	if fi.Size() > maxFile {
		return Result{}, fmt.Errorf("%w: %s has %d bytes", ErrOther, path, fi.Size())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return Result{}, err
	}
	r, err := parse(b, cpus)
	if err != nil {
		return Result{}, fmt.Errorf("%w: %s %w", ErrOther, path, err)
	}
	return r, nil
}

func parse(b []byte, cpus int) (Result, error) {
	var r Result
	if err := json.Unmarshal(b, &r); err != nil {
		return Result{}, fmt.Errorf("is damaged: %w", err)
	}
	switch {
	case r.CPUs != cpus:
		return Result{}, fmt.Errorf("was taken on a board of %d CPUs, this one has %d", r.CPUs, cpus)
	case r.Decode < 1 || r.Decode > cpus || r.Prefill < 1 || r.Prefill > cpus:
		return Result{}, fmt.Errorf("names %d and %d threads, this board has %d CPUs", r.Decode, r.Prefill, cpus)
	}
	return r, nil
}
