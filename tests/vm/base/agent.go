package base

import (
	"context"
	_ "embed"
	"errors"
	"os"
	"path/filepath"

	"lineside/image/initrd"
)

//go:embed agent.service
var agentUnit []byte

//go:embed shell.service
var shellUnit []byte

// Agent writes a second initial RAM file system that hands the test's agent to whatever
// system starts, so that systems are tested as they ship. It is made in dir.
func Agent(ctx context.Context, dir string) (file string, err error) {
	built, err := Program(ctx, dir, "./tests/vm/agent")
	if err != nil {
		return "", err
	}
	program, err := os.ReadFile(built)
	if err != nil {
		return "", err
	}
	return runtimeUnit(dir, "vm-agent", program, agentUnit)
}

// Shell writes one that puts root's shell on the console, for people.
func Shell(dir string) (file string, err error) {
	return runtimeUnit(dir, "vm-shell", nil, shellUnit)
}

// runtimeUnit writes the archive of a service that lives in /run only, and its program.
func runtimeUnit(dir, name string, program, unit []byte) (file string, err error) {
	file = filepath.Join(dir, name+".initrd")
	f, err := os.Create(file)
	if err != nil {
		return "", err
	}
	a := initrd.NewArchive(f)
	const units, wants = "/systemd/system", "/systemd/system/sysinit.target.wants"
	for _, d := range []string{"", "/systemd", units, wants} {
		a.Dir(initrd.Run + d)
	}
	if program != nil {
		a.File(initrd.Run+"/"+name, 0o755, program)
	}
	a.File(initrd.Run+units+"/"+name+".service", 0o644, unit)
	a.Link(initrd.Run+wants+"/"+name+".service", "../"+name+".service")
	return file, errors.Join(a.Close(), f.Close())
}
