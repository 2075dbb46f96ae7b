package main

import (
	"log/slog"
	"os"

	"lineside/daemon/config"
	"lineside/systemd"
)

// takeCredentials has the daemon read its secrets where systemd has put them for it, as far
// as it has: LoadCredential= is written by `lineside units apply`.
func takeCredentials(c *config.Config) {
	for name, path := range c.Secrets() {
		if given := systemd.Credential(name); given != "" {
			*path = given
		}
	}
}

// The state folders of the two services, where ExecStopPost= counts how their runs end.
var states = map[string]string{"linesided": "/var/lib/lineside", "lineside-engine": "/var/lib/lineside-engine"}

// ends is how the runs of both services ended. What cannot be read is not counted.
func ends() map[string]map[string]int {
	all := map[string]map[string]int{}
	for service, dir := range states {
		if e, err := systemd.ReadEnds(dir); err == nil && len(e.Counts) > 0 {
			all[service] = e.Counts
		}
	}
	return all
}

// tellEnds says after a start why systemd had to end the run before.
func tellEnds(log *slog.Logger) {
	if os.Getenv("STATE_DIRECTORY") == "" { // systemd did not start this
		return
	}
	for service, dir := range states {
		e, err := systemd.ReadEnds(dir)
		if err != nil {
			log.Warn("nobody counts how services end", "service", service, "err", err)
			continue
		}
		if e.Last != "" && e.Last != "success" {
			log.Warn("the run before did not end well", "service", service, "result", e.Last, "times", e.Counts[e.Last])
		}
	}
}
