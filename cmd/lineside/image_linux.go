package main

import (
	"golang.org/x/sys/unix"

	"lineside/image/layout"
)

// selectorFlags are those that the selector partition is always mounted with.
const selectorFlags = unix.MS_REMOUNT | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME

// writableSelector opens the selector partition for the moment of a change.
func writableSelector() (func() error, error) {
	if err := unix.Mount("", layout.SelectorDir, "", selectorFlags, ""); err != nil {
		return nil, err
	}
	return func() error { return unix.Mount("", layout.SelectorDir, "", selectorFlags|unix.MS_RDONLY, "") }, nil
}

func setHostname(name string) error { return unix.Sethostname([]byte(name)) }
