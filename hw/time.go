package hw

// Words for how the clock is set, as MQTT status says them.
const (
	ClockSynced   = "synced"   // a source sets it
	ClockHoldover = "holdover" // it was set since boot, the source is gone
	ClockUnsynced = "unsynced" // nothing set it since boot
)

// findTime adds uptime and clock state.
func (b *Board) findTime() {
	b.addFile(Uptime, "boot", "proc/uptime", parseUptime)
	// systemd-timesyncd makes this file when it sets the clock first.
	const stamp = "run/systemd/timesync/synchronized"
	stampPath := cpath(stamp)
	b.add(source{
		call: func(out []float64) error {
			var once [1]byte
			_, err := b.tree.read(stampPath, once[:])
			stamped := err == nil
			if b.tree.whole {
				// The daemon's sandbox may forbid the question; then the file decides.
				if synced, err := kernelSynced(); err == nil {
					out[0] = clockState(synced, stamped)
					return nil
				}
			}
			out[0] = clockState(stamped, stamped)
			return nil
		},
		text: func(out []float64) string {
			switch out[0] {
			case 1:
				return ClockSynced
			case 0.5:
				return ClockHoldover
			}
			return ClockUnsynced
		},
	}, reading(TimeSync, "kernel", stamp))
}

// clockState is 1 synced, 0.5 holdover, 0 unsynced.
func clockState(synced, stamped bool) float64 {
	switch {
	case synced:
		return 1
	case stamped:
		return 0.5
	}
	return 0
}

// Clock is the clock's state in the words of MQTT status.
func (s *Sample) Clock() string {
	if r := s.Find(TimeSync, "kernel"); r != nil && r.OK() {
		return r.Text
	}
	return ClockUnsynced
}
