package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"lineside/daemon"
	"lineside/daemon/supervise"
	"lineside/daemon/swap"
	"lineside/hw"
	builtin "lineside/inference/model/demo"
	"lineside/inference/model/fit"
	"lineside/inference/model/gguf"
	"lineside/inference/model/licence"
	"lineside/inference/model/shape"
	models "lineside/inference/model/store"
	"lineside/mqtt"
)

// openModel finds the model that runs, and what its licence permits. A model
// named by its path is the owner's own affair: nothing is known of its licence,
// which info then says.
func (h *house) openModel(o *daemon.Options) error {
	if h.config.Engine.Model != "" {
		if h.config.Engine.Spawn {
			h.child = supervise.New(engineCommand(h.config, h.config.Engine.Model), h.log)
			o.Child = h.child
		}
		h.modelFile(o, h.config.Engine.Model)
		return nil
	}
	store, err := models.Open(h.config.Licence.Dir, models.Options{})
	if err != nil {
		return fmt.Errorf("open the models: %w", err)
	}
	first, err := store.Active()
	switch {
	case errors.Is(err, models.ErrNoModel) && h.config.Engine.Spawn:
		return fmt.Errorf("%w: install one and activate it (lineside model --help), or name a file in engine.model", err)
	case err != nil && !errors.Is(err, models.ErrNoModel): // without one the engine's unit waits for the first
		return err
	}
	s, err := swap.New(swap.Options{
		Models: store, First: first, Log: h.log, Start: h.engineOf, Room: func(i models.Item) (bool, error) { return h.room(store, i) },
		Changed: func(c swap.Change) { h.daemon.ModelChange(c) },
	})
	if err != nil {
		return err
	}
	h.extra = append(h.extra, s.Run, func(ctx context.Context) error { return h.scrub(ctx, store) })
	o.Engine, o.Child = s, s
	o.UseModel, o.Sizes, o.Permit = s.Propose, s, s.Permit
	o.About.Model = func() mqtt.ModelInfo { return describe(s.Running()) }
	return nil
}

// engineOf makes the engine of a model, started here or by the service manager.
func (h *house) engineOf(item models.Item, place int) (swap.Engine, swap.Process) {
	if !h.config.Engine.Spawn {
		u := swap.NewUnit(h.clients[0], item, h.log)
		return u, u
	}
	c := h.config
	c.Engine.Socket = h.sockets[place]
	return h.clients[place], supervise.New(engineCommand(c, item.Path), h.log)
}

// room decides where a model is loaded. The plan's margin stays free when it is put
// beside the one that runs.
func (h *house) room(store *models.Store, item models.Item) (beside bool, err error) {
	f, err := gguf.Open(item.Path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	form, err := shape.Of(f.Header)
	if err != nil {
		return false, err
	}
	var s hw.Sample
	h.sensor.Sample(&s)
	ram := uint64(known(s.Value(hw.Memory, "total")))
	if ram == 0 {
		return false, nil // nothing is known of the memory: one at a time
	}
	e := h.config.Engine
	adapters, err := store.Adapters(item)
	if err != nil {
		return false, err
	}
	weights := uint64(f.Size)
	for _, a := range adapters { // the engine loads them with the model
		weights += uint64(a.Manifest.WeightsFile().Bytes)
	}
	plan := fit.Memory(fit.Request{Shape: form, File: weights, RAM: ram, Context: e.Context, Slots: e.Slots})
	if plan.Total > plan.Budget {
		return false, fmt.Errorf("%s does not fit this board: it needs %s, usable are %s: take a smaller quantization, or less engine.ctx",
			item.Manifest.Name, fit.Size(plan.Total), fit.Size(plan.Budget))
	}
	free := known(s.Value(hw.Memory, "available"))
	if group := s.Value(hw.Memory, "group-max") - s.Value(hw.Memory, "group-current"); group < free { // NaN and no limit are not
		free = known(group)
	}
	unix := strings.HasPrefix(e.Socket, "unix:") // a port has no second place
	return e.Spawn && unix && uint64(free) >= plan.Engine()+ram-plan.Budget, nil
}

// known is a reading, or 0 where there is none.
func known(v float64) float64 {
	if v > 0 {
		return v
	}
	return 0
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

// describe is what info says of a model.
func describe(item models.Item) mqtt.ModelInfo {
	if item.ID == "" {
		return mqtt.ModelInfo{Licence: "not known to this board"}
	}
	info := mqtt.ModelInfo{Name: item.Manifest.Name, Quant: item.Manifest.Facts.Quantization, SHA256: item.Weights()}
	if d, ok := licence.Of(item.Manifest.Licence); ok {
		info.Licence = strings.Trim(d.Display+"; "+d.Title, "; ")
	}
	return info
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
