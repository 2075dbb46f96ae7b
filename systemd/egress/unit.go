package egress

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// own are the settings that make a service what it is; a probe has others in their place. All
// else is its sandbox, and stays. The folders that systemd makes for a service would be removed
// with the probe, while the service still uses them.
var own = []string{
	"Type", "NotifyAccess", "ExecStartPre", "ExecStart", "ExecStartPost", "ExecReload", "ExecStop", "ExecStopPost",
	"Restart", "RestartSec", "RemainAfterExit", "TimeoutStartSec", "TimeoutStopSec", "WatchdogSec", "Environment", "EnvironmentFile",
	"RuntimeDirectory", "RuntimeDirectoryMode", "RuntimeDirectoryPreserve", "StateDirectory", "StateDirectoryMode",
	"ConfigurationDirectory", "LoadCredential", "OOMScoreAdjust", "StandardOutput", "StandardError",
}

// Unit makes a unit of one that `systemctl cat` shows: the same user, the same sandbox, with
// its drop-ins in their order, but it runs program with args, and writes to output. The one wall
// that must open is that program may be run at all. more are further settings.
func Unit(cat []byte, program, output string, args []string, more ...string) []byte {
	var b bytes.Buffer
	b.WriteString("# A copy of a unit's sandbox, to try it from inside. It is removed after use.\n[Unit]\nDescription=Lineside: tries to leave the board\n\n[Service]\n")
	section := ""
	for line := range strings.Lines(string(cat)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = line
			continue
		}
		key, _, ok := strings.Cut(line, "=")
		if section != "[Service]" || !ok || strings.HasPrefix(line, "#") || slices.Contains(own, key) {
			continue
		}
		fmt.Fprintln(&b, line)
	}
	fmt.Fprintf(&b, "Type=oneshot\nTimeoutStartSec=60\nExecPaths=%s\nStandardOutput=truncate:%s\nExecStart=%s", program, output, program)
	for _, a := range args {
		fmt.Fprintf(&b, " %s", quote(a))
	}
	b.WriteString("\n")
	for _, m := range more {
		fmt.Fprintln(&b, m)
	}
	return b.Bytes()
}

// quote keeps an argument whole for systemd: no splitting, no specifiers, no variables.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%", "$", "$$").Replace(s) + `"`
}
