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
)

// demo is the appliance on a desk: its own broker, a small model, temporary files.
type demo struct {
	model  string // GGUF file
	engine string // program
	skills string // folder; empty: none
	listen string // of the broker
}

func (d demo) run(ctx context.Context, stderr io.Writer) (err error) {
	at, err := netip.ParseAddrPort(d.listen)
	if err != nil || !at.Addr().IsLoopback() {
		return fmt.Errorf("--listen %q is not a loopback address: write 127.0.0.1:port", d.listen)
	}
	if d.model == "" {
		return errors.New("the demo needs a model: name a GGUF file with --model, or make one: lineside model synth --shape tiny -o tiny.gguf")
	}
	dir, err := os.MkdirTemp("", "lineside-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	h, err := assemble(d.config(dir), stderr)
	if err != nil {
		return err
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
	if d.skills == "" {
		c.Skills.Dir = filepath.Join(dir, "skills")
	}
	c.Audit.Dir, c.Store.Dir, c.Licence.Dir = filepath.Join(dir, "audit"), dir, filepath.Join(dir, "models")
	return c
}
