package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"lineside/daemon/skill"
	"lineside/inference"
	"lineside/inference/model/demo"
	"lineside/tools/demomodel/corpus"
)

// engineStart is how long the engine may take to load the model.
const engineStart = 60 * time.Second

// throughEngine answers as the appliance does: lineside-engine with its chat
// template, greedy, the JSON skills held to their schemas. stop ends the engine.
func throughEngine(program, model string) (answer answerer, stop func(), err error) {
	schemas := map[corpus.Kind]inference.Format{}
	for name, text := range demo.Skills() {
		s, err := skill.Parse(text)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		if s.Schema != nil {
			schemas[corpus.Kind(s.Name)] = inference.Format{Kind: inference.FormatJSONSchema, Schema: s.Schema}
		}
	}
	dir, err := os.MkdirTemp("", "demomodel")
	if err != nil {
		return nil, nil, err
	}
	addr := "unix:" + filepath.Join(dir, "engine.sock")
	cmd := exec.Command(program, "--model", model, "--listen", addr, "--slots", strconv.Itoa(lanes), "--ctx", "2048")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	client, err := inference.NewClient(addr)
	if err != nil {
		return nil, nil, err
	}
	stop = func() {
		client.Close()
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait() // its exit code says nothing that the answers did not
		os.RemoveAll(dir)
	}
	answer = func(ctx context.Context, a corpus.Ask) (string, error) {
		r := &inference.Request{Client: "eval", MaxTokens: 96, Format: schemas[a.Kind]}
		if a.System != "" {
			r.Messages = append(r.Messages, inference.Message{Role: inference.RoleSystem, Content: a.System})
		}
		r.Messages = append(r.Messages, inference.Message{Role: inference.RoleUser, Content: a.User})
		res, err := client.Generate(ctx, r, nil)
		if err != nil {
			return "", err
		}
		return res.Text, nil
	}
	if err := ready(client); err != nil {
		stop()
		return nil, nil, err
	}
	return answer, stop, nil
}

// ready waits until the engine has loaded its model.
func ready(c *inference.Client) error {
	ctx, cancel := context.WithTimeout(context.Background(), engineStart)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		h, err := c.Health(ctx)
		if err == nil && h.State == "ok" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the engine did not get ready: %w", err)
		case <-tick.C:
		}
	}
}
