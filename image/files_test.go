// Package image_test holds the files of the image to the facts and to systemd's own checks.
package image_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lineside/image/layout"
)

// TestUnits has systemd look at the units that only the image has.
func TestUnits(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	units, err := filepath.Glob("files/units/*")
	if err != nil || len(units) == 0 {
		t.Fatalf("no units: %v", err)
	}
	for _, unit := range units {
		out, _ := exec.Command("systemd-analyze", "verify", "--man=no", unit).CombinedOutput()
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, filepath.Base(unit)) && !strings.Contains(line, "is not executable") { // nothing is installed here
				t.Error(strings.TrimSpace(line))
			}
		}
	}
}

// TestRAUC has RAUC's configuration name the partitions of the layout.
func TestRAUC(t *testing.T) {
	b, err := os.ReadFile("files/rauc.conf")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{layout.BootA, layout.BootB, layout.RootA, layout.RootB} {
		if want := "device=/dev/disk/by-partuuid/" + layout.PARTUUID(n) + "\n"; !strings.Contains(string(b), want) {
			t.Errorf("files/rauc.conf lacks %s", want)
		}
	}
	if !strings.Contains(string(b), layout.DataDir) {
		t.Error("RAUC keeps its notes elsewhere than on the data partition")
	}
}

// TestPlaces has the files of a start name the places of the layout.
func TestPlaces(t *testing.T) {
	card := func(partition int) string { return fmt.Sprintf("%s/%d", layout.CardDir, partition) }
	for file, want := range map[string][]string{
		"files/fstab":                       {card(layout.Selector) + " " + layout.SelectorDir + " ", card(layout.Data) + " " + layout.DataDir + " "},
		"files/units/lineside-data.service": {" " + card(layout.Data) + "\n"},
		"files/data.sh":                     {"note=" + layout.DataNote + "\n"},
	} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(string(b), w) {
				t.Errorf("%s lacks %q", file, w)
			}
		}
	}
}
