package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"

	"lineside/daemon/config"
	builtin "lineside/inference/model/demo"
)

// demo is the appliance on a desk: its own broker, a small model, temporary files.
type demo struct {
	model  string // GGUF file; empty: the built-in one
	engine string // program
	skills string // folder; empty: the built-in model's
	listen string // of the broker

	builtIn bool // the built-in model runs
}

// fill puts the built-in model and its skills into dir, where none are named.
func (d *demo) fill(dir string) (err error) {
	if d.model == "" {
		d.builtIn = true
		if d.model, err = builtin.Write(dir); err != nil {
			return err
		}
	}
	if d.skills != "" {
		return nil
	}
	d.skills = filepath.Join(dir, "skills")
	if err := os.Mkdir(d.skills, 0o755); err != nil {
		return err
	}
	return builtin.WriteSkills(d.skills)
}

func (d demo) run(ctx context.Context, stderr io.Writer) (err error) {
	at, err := netip.ParseAddrPort(d.listen)
	if err != nil || !at.Addr().IsLoopback() {
		return fmt.Errorf("--listen %q is not a loopback address: write 127.0.0.1:port", d.listen)
	}
	dir, err := os.MkdirTemp("", "lineside-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := d.fill(dir); err != nil {
		return err
	}
	h, err := assemble(d.config(dir), stderr)
	if err != nil {
		return err
	}
	if d.builtIn {
		fmt.Fprintf(stderr, "linesided: %s\n", builtin.Notice)
	}
	fmt.Fprintf(stderr, "linesided: demo board %q on mqtt://%s, anyone on this machine may ask\n", h.config.Board.ID, d.listen)
	return h.run(ctx)
}

// config is the demo's configuration.
func (d demo) config(dir string) config.Config {
	c := config.Defaults()
	c.Board.ID = "demo"
	c.MQTT.URL, c.MQTT.Embedded, c.MQTT.EmbeddedListen = "mqtt://"+d.listen, true, d.listen
	c.Engine.Spawn, c.Engine.Program, c.Engine.Model = true, d.engine, d.model
	c.Engine.Socket = "unix:" + filepath.Join(dir, "engine.sock")
	c.Limits.PerClientPerMinute = 600
	c.Skills.Dir = d.skills
	c.Audit.Dir, c.Store.Dir, c.Licence.Dir = filepath.Join(dir, "audit"), dir, filepath.Join(dir, "models")
	return c
}
