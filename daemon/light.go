package daemon

import (
	"context"

	"lineside/daemon/lamp"
)

// runLight shows what the board says. It stands beside control: a lamp may take seconds to
// obey, as while udev opens its files, and nothing else waits for that.
func (d *Daemon) runLight(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.shine:
			d.mu.Lock()
			says := d.lamp.Signal().Category
			d.mu.Unlock()
			d.tell(d.Light.Show(lamp.Pattern(says)))
		case <-d.beat:
			d.tell(d.Light.Beat())
		}
	}
}
