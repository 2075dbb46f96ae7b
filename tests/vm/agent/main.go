//go:build linux

// Command agent runs inside a test machine: it executes the commands that arrive on a
// virtio-serial port and sends back what they print. The test hands it to the machine in
// its initial RAM file system; no image contains it.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"lineside/tests/vm/machine/wire"
)

func main() {
	if err := serve(); err != nil {
		fmt.Fprintf(os.Stderr, "agent: %v\n", err)
		os.Exit(1)
	}
}

func serve() error {
	name, err := port(wire.Port)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	var mu sync.Mutex // one message at a time
	send := func(m wire.Reply) error {
		b, err := json.Marshal(m)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		_, err = f.Write(append(b, '\n'))
		return err
	}
	// A line that a reset cut off ends here.
	if _, err := f.WriteString("\n"); err != nil {
		return err
	}
	if err := send(wire.Reply{Boot: strings.TrimSpace(string(boot))}); err != nil {
		return err
	}
	dec := json.NewDecoder(f)
	for {
		var c wire.Command
		if err := dec.Decode(&c); err != nil {
			if errors.Is(err, io.EOF) {
				return errors.New("the other side is gone") // systemd starts the agent again
			}
			return err
		}
		go func() {
			if err := send(run(c)); err != nil {
				fmt.Fprintf(os.Stderr, "agent: answer %d: %v\n", c.ID, err)
			}
		}()
	}
}

func run(c wire.Command) wire.Reply {
	cmd := exec.Command("/bin/sh", "-c", c.Shell)
	cmd.Stdin = bytes.NewReader(c.Stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	r := wire.Reply{ID: c.ID, Output: out.Bytes()}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		r.Code = exit.ExitCode()
	case err != nil:
		r.Code, r.Output = 127, append(r.Output, err.Error()...)
	}
	return r
}

// port finds the device file of a named virtio-serial port, without udev's help.
func port(name string) (string, error) {
	files, err := filepath.Glob("/sys/class/virtio-ports/*/name")
	if err != nil {
		return "", err
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err == nil && strings.TrimSpace(string(b)) == name {
			return filepath.Join("/dev", filepath.Base(filepath.Dir(f))), nil
		}
	}
	return "", fmt.Errorf("no virtio-serial port is named %s", name)
}
