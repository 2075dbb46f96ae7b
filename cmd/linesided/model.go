package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"lineside/daemon"
	"lineside/daemon/supervise"
	"lineside/daemon/swap"
	builtin "lineside/inference/model/demo"
	"lineside/inference/model/licence"
	models "lineside/inference/model/store"
	"lineside/mqtt"
)

// openModel finds the model that runs, and what its licence permits. A model
// named by its path is the owner's own affair: nothing is known of its licence,
// which info then says.
func (h *house) openModel(o *daemon.Options) error {
	if h.config.Engine.Model != "" {
		h.modelFile(o, h.config.Engine.Model)
		return nil
	}
	store, err := models.Open(h.config.Licence.Dir, models.Options{})
	if err != nil {
		return fmt.Errorf("open the models: %w", err)
	}
	so := swap.Options{
		Store: store, Engine: o.Engine, Patience: modelPatience, Log: h.log,
		Command: func(path string) supervise.Command { return engineCommand(h.config, path) },
	}
	if h.child != nil {
		so.Child = h.child
	}
	s, err := swap.New(so)
	switch {
	case errors.Is(err, models.ErrNoModel) && h.config.Engine.Spawn:
		return fmt.Errorf("%w: install one and activate it (lineside model --help), or name a file in engine.model", err)
	case errors.Is(err, models.ErrNoModel):
		return nil // the engine's unit names one
	case err != nil:
		return err
	}
	h.extra = append(h.extra, s.Run, func(ctx context.Context) error { return h.scrub(ctx, store) })
	if h.child != nil {
		h.child.Replace(engineCommand(h.config, s.Active().Path))
		o.UseModel = s.Propose
	}
	o.Permit = s.Permit
	o.About.Model = func() mqtt.ModelInfo { return describe(s.Active()) }
	return nil
}

// scrubEvery is how often installed models are read again, at idle priority.
const scrubEvery = 24 * time.Hour

// scrub looks for bit rot until ctx ends. What it finds is logged and noted in the
// store: a damaged model is not activated again.
func (h *house) scrub(ctx context.Context, store *models.Store) error {
	t := time.NewTicker(scrubEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if err := store.Scrub(ctx); err != nil && ctx.Err() == nil {
			h.log.Error("an installed model is not sound", "err", err)
		}
	}
}

// modelPatience is how long a new model may take to load: gigabytes from an SD card.
const modelPatience = 5 * time.Minute

// describe is what info says of a model.
func describe(item models.Item) mqtt.ModelInfo {
	info := mqtt.ModelInfo{Name: item.Manifest.Name, Quant: item.Manifest.Facts.Quantization, SHA256: weights(item)}
	if d, ok := licence.Of(item.Manifest.Licence); ok {
		info.Licence = strings.Trim(d.Display+"; "+d.Title, "; ")
	}
	return info
}

// weights is the hash of an item's weights, as its manifest has it.
func weights(i models.Item) string {
	for _, f := range i.Manifest.Files {
		if f.Name == filepath.Base(i.Path) {
			return f.SHA256
		}
	}
	return ""
}

// modelFile hashes a model file in the background: it may be gigabytes.
func (h *house) modelFile(o *daemon.Options, path string) {
	var info atomic.Pointer[mqtt.ModelInfo]
	info.Store(&mqtt.ModelInfo{Licence: "not known to this board"})
	o.About.Model = func() mqtt.ModelInfo { return *info.Load() }
	h.extra = append(h.extra, func(ctx context.Context) error {
		sum, err := hashFile(ctx, path)
		if err != nil {
			if ctx.Err() == nil {
				h.log.Warn("the model's hash is not known", "err", err)
			}
			return nil
		}
		m := mqtt.ModelInfo{SHA256: sum, Licence: "not known to this board"} // the engine says its name
		if sum == builtin.SHA256() {
			m.Name, m.Licence = builtin.Name, builtin.Notice
		}
		info.Store(&m)
		return nil
	})
}

func hashFile(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	stop := context.AfterFunc(ctx, func() { f.Close() }) // ends the copy below
	defer stop()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
