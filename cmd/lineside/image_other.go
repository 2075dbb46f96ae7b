//go:build !linux

package main

import "errors"

// writableSelector exists on boards only.
func writableSelector() (func() error, error) {
	return nil, errors.New("no card's partition can be made writable on this system: run it on the board")
}

// setHostname is for boards.
func setHostname(string) error { return nil }
