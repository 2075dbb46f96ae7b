package systemd

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestExposure holds the two services to the sandbox that was reached, in tenths.
func TestExposure(t *testing.T) {
	analyze(t)
	for unit, threshold := range map[string]string{"linesided.service": "9", "lineside-engine.service": "2"} {
		path := filepath.Join("units", unit)
		out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold="+threshold, path).CombinedOutput()
		if err != nil {
			lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
			t.Errorf("%s is more exposed than %s tenths: %s", unit, threshold, lines[len(lines)-1])
		}
	}
}

// TestVerify has systemd read every unit: no line that it does not understand.
func TestVerify(t *testing.T) {
	analyze(t)
	units, err := filepath.Glob("units/*.*")
	if err != nil || len(units) < 8 {
		t.Fatalf("units: %v %v", units, err)
	}
	for _, path := range units {
		if filepath.Ext(path) == ".d" {
			continue
		}
		out, _ := exec.Command("systemd-analyze", "verify", "--man=no", path).CombinedOutput()
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, "lineside") && !strings.Contains(line, "is not executable") { // nothing is installed here
				t.Error(strings.TrimSpace(line))
			}
		}
	}
}

func analyze(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed")
	}
}
