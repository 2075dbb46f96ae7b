// Package jetson_test makes the Jetson's package of a small stand-in for the arm64 one,
// and looks into it.
package jetson_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

// standIn is a package like make deb's, with scripts of the real one.
func standIn(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, p := range []string{"bin/linesided", "bin/lineside", "bin/lineside-engine", "lib/lineside/lineside-engine-dotprod", "lib/systemd/system/linesided.service"} {
		write(t, filepath.Join(root, "usr", p), filepath.Base(p), 0o755)
	}
	for _, s := range []string{"postinst", "prerm", "postrm"} {
		b, err := os.ReadFile(filepath.Join("../../tools/deb", s))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(root, "DEBIAN", s), string(b), 0o755)
	}
	write(t, filepath.Join(root, "DEBIAN/control"), `Package: lineside
Version: 1.2.3
Architecture: arm64
Maintainer: Nobody <nobody@lineside.invalid>
Depends: systemd (>= 249)
Description: a stand-in
`, 0o644)
	deb := filepath.Join(t.TempDir(), "lineside_1.2.3_arm64.deb")
	run(t, "dpkg-deb", "--root-owner-group", "--build", root, deb)
	return deb
}

func TestPackage(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("this is no Debian")
	}
	from, out := standIn(t), t.TempDir()
	deb := strings.TrimSpace(run(t, "../../tools/deb/jetson.sh", from, out))
	first, err := os.ReadFile(deb)
	if err != nil {
		t.Fatal(err)
	}
	run(t, "../../tools/deb/jetson.sh", from, out)
	if again, err := os.ReadFile(deb); err != nil || string(again) != string(first) {
		t.Errorf("made twice, the package differs: %v", err)
	}

	root := t.TempDir()
	run(t, "dpkg-deb", "-R", deb, root)
	for _, field := range []string{"Package: lineside-jetson", "Version: 1.2.3", "Conflicts: lineside", "Provides: lineside", "Architecture: arm64"} {
		if control := run(t, "cat", filepath.Join(root, "DEBIAN/control")); !strings.Contains(control, field+"\n") {
			t.Errorf("control lacks %s:\n%s", field, control)
		}
	}
	for link, want := range map[string]string{"linesided": "linesided", "lineside": "lineside", "lineside-engine": "lineside-engine-dotprod"} {
		to, err := os.Readlink(filepath.Join(root, "usr/bin", link))
		if err != nil || to != "/opt/lineside/current/"+link {
			t.Errorf("/usr/bin/%s leads to %s, %v", link, to, err)
		}
		if b, err := os.ReadFile(filepath.Join(root, "usr/lib/lineside/programs", link)); err != nil || string(b) != want {
			t.Errorf("the package brings %q as %s, %v", b, link, err)
		}
	}
	postinst := filepath.Join(root, "DEBIAN/postinst")
	run(t, "sh", "-n", postinst)
	order(t, run(t, "cat", postinst), "versions install --version \"1.2.3\"", "package() {", "systemd-sysusers", "package \"$@\"", "lineside-gate.service")
	run(t, "sh", "-n", filepath.Join(root, "DEBIAN/postrm"))
}

// order wants the words one after the other.
func order(t *testing.T, text string, words ...string) {
	t.Helper()
	at := 0
	for _, w := range words {
		i := strings.Index(text[at:], w)
		if i < 0 {
			t.Fatalf("%q is missing, or stands too early:\n%s", w, text)
		}
		at += i
	}
}

// TestPostinst runs the script as dpkg does, with stand-ins for what it calls.
func TestPostinst(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("this is no Debian")
	}
	root := t.TempDir()
	run(t, "dpkg-deb", "-R", strings.TrimSpace(run(t, "../../tools/deb/jetson.sh", standIn(t), t.TempDir())), root)
	bin, log := t.TempDir(), filepath.Join(t.TempDir(), "calls")
	for _, p := range []string{"systemctl", "systemd-sysusers", "systemd-tmpfiles", "udevadm", "deb-systemd-helper", "deb-systemd-invoke"} {
		write(t, filepath.Join(bin, p), "#!/bin/sh\necho "+p+" \"$@\" >>"+log+"\n", 0o755)
	}
	b, err := os.ReadFile(filepath.Join(root, "DEBIAN/postinst"))
	if err != nil {
		t.Fatal(err)
	}
	// Where the programs are on a board, a stand-in here; and a board where systemd runs.
	script := strings.ReplaceAll(string(b), "/usr/lib/lineside/programs/lineside ", "echo lineside >>"+log+" ")
	script = strings.ReplaceAll(script, "/run/systemd/system", bin)
	policy := filepath.Join(bin, "policy-rc.d")
	script = strings.ReplaceAll(script, "/usr/sbin/policy-rc.d", policy)
	write(t, filepath.Join(root, "postinst"), script, 0o755)
	calls := func(args ...string) string {
		t.Helper()
		write(t, log, "", 0o644)
		cmd := exec.Command("sh", append([]string{filepath.Join(root, "postinst")}, args...)...)
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return run(t, "cat", log)
	}
	order(t, calls("configure", ""), "lineside versions install", "enable lineside-versions.service", "systemd-sysusers")
	order(t, calls("configure", "1.2.2"), "lineside versions install", "deb-systemd-invoke try-restart", "--no-block restart lineside-gate.service")
	if got := calls("abort-upgrade", "1.2.2"); got != "" {
		t.Errorf("abort-upgrade does %s", got)
	}
	write(t, policy, "#!/bin/sh\nexit 101\n", 0o755)
	if got := calls("configure", "1.2.2"); strings.Contains(got, "restart lineside-gate") {
		t.Errorf("the gate is started where nothing may be:\n%s", got)
	}
}
