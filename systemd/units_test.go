package systemd

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestUnits has systemd's own tools look at the unit files: no line that they do
// not understand, and no wider sandbox than what was reached.
func TestUnits(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	for unit, threshold := range map[string]string{"linesided.service": "14", "lineside-engine.service": "5"} {
		path := filepath.Join("units", unit)
		out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold="+threshold, path).CombinedOutput()
		if err != nil {
			lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
			t.Errorf("%s is more exposed than %s tenths: %s", unit, threshold, lines[len(lines)-1])
		}
		out, _ = exec.Command("systemd-analyze", "verify", "--man=no", path).CombinedOutput()
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, unit) && !strings.Contains(line, "is not executable") { // nothing is installed here
				t.Error(strings.TrimSpace(line))
			}
		}
	}
}
