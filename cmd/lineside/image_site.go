package main

import (
	"io/fs"

	"lineside/image/layout"
)

// renamed is a folder in which another file stands for lineside.toml.
type renamed struct {
	fs.FS
	config string
}

// Open opens a file of the folder.
func (r renamed) Open(name string) (fs.File, error) {
	if name == layout.ConfigFile {
		name = r.config
	}
	return r.FS.Open(name)
}
