package main

import (
	"context"

	"lineside/daemon/lamp"
	"lineside/hw"
)

// runButton follows the maintenance button until ctx ends: a short press tests the
// lamps and flashes the state's number, a long one drains the board or resumes.
func (h *house) runButton(ctx context.Context) error {
	b, err := hw.OpenButton(h.config.HW.Button, false, nil)
	if err != nil {
		h.log.Error("the maintenance button does not open", "err", err)
		return nil
	}
	return b.Run(ctx, func(p hw.Press) {
		if p == hw.LongPress {
			h.daemon.Drain(!h.daemon.Draining())
			return
		}
		if h.panel == nil {
			return
		}
		code := h.daemon.Signal().BlinkCode()
		h.log.Info("lamp test by the button", "code", code)
		h.daemon.LampTest(true)
		defer h.daemon.LampTest(false)
		if err := h.panel.Test(ctx); err != nil {
			h.log.Warn("lamp test", "err", err)
		}
		if err := h.panel.Once(ctx, lamp.BlinkOut(code)); err != nil {
			h.log.Warn("lamp test", "err", err)
		}
	})
}
