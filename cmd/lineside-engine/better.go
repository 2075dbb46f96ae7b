package main

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// better is where a package puts a build of the engine for newer processors.
const better = "/usr/lib/lineside/lineside-engine-dotprod"

// becomeBetter goes on as the build for this board's processor, where there is
// one and the processor has what it needs: a Pi 5 or an Orin then answers faster from the
// package that also runs on a Pi 4. It returns only where this build is the right one, or
// the other cannot be run.
func becomeBetter(path string, suits bool) error {
	self, err := os.Executable()
	if err != nil || !suits || self == path {
		return nil
	}
	err = syscall.Exec(path, os.Args, os.Environ())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
