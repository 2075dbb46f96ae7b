package main

import (
	"lineside/daemon"
	"lineside/hw"
)

// openLight opens the status light. One that does not open is reported, and
// the daemon goes on without it.
func (h *house) openLight(o *daemon.Options) error {
	lights := h.config.LEDs.Lights()
	if len(lights) == 0 {
		return nil
	}
	panel, err := hw.OpenPanel(h.config.HW.Root, lights, nil)
	if err != nil {
		h.log.Error("the status light does not open: lineside hw lists the lamps", "err", err)
	}
	if panel != nil {
		h.panel, o.Light = panel, panel
	}
	return nil
}
