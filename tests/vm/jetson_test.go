package vm

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lineside/mqtt"
	"lineside/tests/vm/base"
)

// TestJetson installs the Jetson's package with dpkg, upgrades it to one that works, which is kept,
// and to one whose engine does not start, which is taken back.
func TestJetson(t *testing.T) {
	deb := packaged(t)
	if v := os.Getenv("LINESIDE_VM"); v != "all" && v != "jetson" {
		t.Skip("takes minutes: run make vm-test")
	}
	dir := t.TempDir()
	a := boot(t, "cortex-a76", // its engine wants dot products, as Orin has them
		jetson(t, dir, deb, "1", ""), jetson(t, dir, deb, "2", ""), jetson(t, dir, deb, "3", "#!/bin/sh\nexit 1\n"))
	a.ready()
	a.install()
	a.status(time.Now(), mqtt.StateReady, "")
	a.answers()
	a.runs("1")

	a.begin()
	a.sh("dpkg -i %s/2.deb", payload)
	a.logged("lineside-gate.service", "Finished")
	a.answers()
	a.runs("2")

	a.begin()
	a.sh("mkdir -p /run/systemd/system/lineside-gate.service.d && printf '[Service]\\nTimeoutStartSec=30\\n' >/run/systemd/system/lineside-gate.service.d/soon.conf")
	a.sh("dpkg -i %s/3.deb", payload)
	a.logged("lineside-back.service", "Finished")
	start := time.Now()
	a.status(start, mqtt.StateReady, "")
	a.runs("2")
	a.Logf("the version that worked answers %s after it was taken back", a.healed(start).Round(time.Second))
}

// jetson makes the Jetson's package with this version, and with another engine where one is given.
func jetson(t *testing.T, dir, deb, version, engine string) string {
	t.Helper()
	sh := func(name string, args ...string) string {
		c := exec.Command(name, args...)
		c.Dir = base.Source()
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	root, plain := filepath.Join(dir, version), filepath.Join(dir, version+".deb")
	sh("dpkg-deb", "-R", deb, root)
	sh("sed", "-i", "s/^Version:.*/Version: "+version+"/", filepath.Join(root, "DEBIAN/control"))
	if engine != "" {
		check(t, os.WriteFile(filepath.Join(root, "usr/lib/lineside/lineside-engine-dotprod"), []byte(engine), 0o755))
	}
	sh("dpkg-deb", "--root-owner-group", "-Znone", "--build", root, plain)
	return sh("tools/deb/jetson.sh", plain, dir)
}

// runs fails the test where another version of the programs is the current one, or the engine's. A
// version's folder has its name and a hash of the programs.
func (a *appliance) runs(version string) {
	a.Helper()
	if got := a.sh("readlink /opt/lineside/current"); !strings.HasPrefix(filepath.Base(got), version+"-") {
		a.Errorf("version %s runs, want %s:\n%s", got, version, a.sh("lineside versions"))
	}
	if exe := a.sh("readlink -f /proc/%s/exe", a.pid(engineUnit)); !strings.Contains(exe, "/"+version+"-") {
		a.Errorf("the engine is %s, want that of version %s", exe, version)
	}
}
