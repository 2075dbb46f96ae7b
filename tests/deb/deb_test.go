// Package deb tries the Debian package of this machine's architecture as dpkg meets it: built
// twice, installed, upgraded, removed, purged. What it does in a running machine is tests/vm's.
//
// It needs root, the programs of `make deb-ARCH`, and a Debian root that it makes once and keeps
// in the user's cache. Run it with `make deb-test`.
package deb

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// packages of the Debian root: what a board has at least, and a broker to look around with.
const packages = "systemd,systemd-sysv,dbus,udev,procps,iproute2,nftables,mosquitto,mosquitto-clients"

// source is the top folder of this module's source.
func source() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "../..")
}

// need skips where the test was not asked for.
func need(t *testing.T) {
	t.Helper()
	if os.Getenv("LINESIDE_DEB") == "" {
		t.Skip("installs the package in a Debian root: run make deb-test")
	}
	if os.Geteuid() != 0 {
		t.Skip("dpkg and chroot need root")
	}
	if _, err := os.Stat(filepath.Join(source(), "bin/deb", runtime.GOARCH, "lineside-engine")); err != nil {
		t.Fatalf("%v: run make deb-%s first", err, runtime.GOARCH)
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// build makes the package with a version of its own, and returns its path.
func build(t *testing.T, version string) string {
	t.Helper()
	out := t.TempDir()
	c := exec.Command("tools/deb/build.sh", runtime.GOARCH, out)
	c.Dir = source()
	c.Env = append(os.Environ(), "VERSION="+version, "SOURCE_DATE_EPOCH=1700000000", "COMPRESS=none") // a test need not be small
	if text, err := c.CombinedOutput(); err != nil {
		t.Fatalf("build.sh: %v\n%s", err, text)
	}
	return filepath.Join(out, "lineside_"+version+"-1_"+runtime.GOARCH+".deb")
}

// root unpacks a fresh Debian root.
func root(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.Sum256([]byte(packages))
	tarball := filepath.Join(cache, "lineside", "deb-"+hex.EncodeToString(h[:6])+".tar")
	if _, err := os.Stat(tarball); err != nil {
		if err := os.MkdirAll(filepath.Dir(tarball), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Log("making a Debian root: some minutes, once")
		making := tarball + ".making.tar"
		run(t, "mmdebstrap", "--variant=minbase", "--include="+packages, "bookworm", making)
		if err := os.Rename(making, tarball); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, "tar", "-C", dir, "--exclude=./dev/*", "-xf", tarball)
	return dir
}

// TestReproducible packs the same programs twice, at different times in different folders.
func TestReproducible(t *testing.T) {
	need(t)
	one, two := build(t, "1.0"), build(t, "1.0")
	for _, suffix := range []string{".deb", ".cdx.json"} {
		first, err := os.ReadFile(strings.TrimSuffix(one, ".deb") + suffix)
		if err != nil {
			t.Fatal(err)
		}
		second, err := os.ReadFile(strings.TrimSuffix(two, ".deb") + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, second) {
			t.Errorf("%s is not the same twice", filepath.Base(one)+suffix)
		}
	}
}

// chroot is a root in which commands are run.
type chroot struct {
	t   *testing.T
	dir string
}

func (c chroot) run(args ...string) string {
	c.t.Helper()
	return run(c.t, "chroot", append([]string{c.dir, "env", "DEBIAN_FRONTEND=noninteractive", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, args...)...)
}

func (c chroot) install(deb string) {
	c.t.Helper()
	run(c.t, "cp", deb, filepath.Join(c.dir, "srv/lineside.deb"))
	c.run("dpkg", "--install", "/srv/lineside.deb")
}

// has checks paths: with a ! in front they must not be there. Links need lead nowhere.
func (c chroot) has(paths ...string) {
	c.t.Helper()
	for _, p := range paths {
		p, gone := strings.CutPrefix(p, "!")
		if _, err := os.Lstat(filepath.Join(c.dir, p)); (err == nil) == gone {
			c.t.Errorf("%s: there %v, want %v", p, err == nil, !gone)
		}
	}
}

// TestLife is a package's life: what the owner changed outlives all but the purge.
func TestLife(t *testing.T) {
	need(t)
	c := chroot{t, root(t)}
	const wants = "etc/systemd/system/multi-user.target.wants/"

	c.install(build(t, "1.0"))
	c.has("usr/bin/linesided", "etc/lineside/lineside.toml", wants+"linesided.service", wants+"lineside-engine.service",
		"etc/systemd/system/sockets.target.wants/lineside-engine.socket", "etc/systemd/system/boot-complete.target.requires/lineside-health.service")
	if got := c.run("stat", "-c", "%a %U %G", "/var/lib/lineside", "/var/lib/lineside/models"); got != "750 lineside lineside\n2750 lineside lineside-engine\n" {
		t.Errorf("folders: %s", got)
	}
	if got := c.run("id", "-nG", "lineside"); got != "lineside lineside-engine\n" {
		t.Errorf("groups of linesided's user: %s", got)
	}
	if got := c.run("dpkg", "--verify", "lineside"); got != "" {
		t.Errorf("dpkg --verify: %s", got)
	}
	c.run("linesided", "--check")

	config, model := filepath.Join(c.dir, "etc/lineside/lineside.toml"), filepath.Join(c.dir, "var/lib/lineside/models/a.gguf")
	owned := []byte("[board]\nid = \"b03\"\n")
	for path, data := range map[string][]byte{config: owned, model: []byte("weights")} {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c.run("systemctl", "disable", "lineside-health.service")

	c.install(build(t, "2.0"))
	if got, err := os.ReadFile(config); err != nil || !bytes.Equal(got, owned) {
		t.Errorf("the upgrade touched the configuration: %q, %v", got, err)
	}
	c.has("var/lib/lineside/models/a.gguf", wants+"linesided.service", "!etc/systemd/system/boot-complete.target.requires/lineside-health.service")

	c.run("dpkg", "--remove", "lineside")
	c.has("!usr/bin/linesided", "etc/lineside/lineside.toml", "var/lib/lineside/models/a.gguf")

	c.install(build(t, "2.0"))
	c.has("usr/bin/linesided", "etc/lineside/lineside.toml", "var/lib/lineside/models/a.gguf", wants+"linesided.service")

	c.run("dpkg", "--purge", "lineside")
	c.has("!usr/bin/linesided", "!etc/lineside", "!var/lib/lineside", "!var/lib/lineside-engine", "!"+wants+"linesided.service",
		"!usr/lib/clock-epoch", "!usr/lib/lineside")
	if left := c.run("find", "/etc", "/usr", "/var/lib", "-name", "*lineside*", "-not", "-path", "/var/lib/dpkg/*"); left != "" {
		t.Errorf("left after the purge:\n%s", left)
	}
}

// TestLintian knows every complaint by name.
func TestLintian(t *testing.T) {
	need(t)
	if _, err := exec.LookPath("lintian"); err != nil {
		t.Skip("lintian is not installed")
	}
	known := map[string]string{
		"uses-no-compression":             "the test packs so; build.sh does not",
		"initial-upload-closes-no-bugs":   "this is no upload to Debian",
		"running with root privileges is": "the test needs root",
	}
	out, _ := exec.Command("lintian", build(t, "1.0")).CombinedOutput() // its exit code says that there are complaints
	for line := range strings.Lines(string(out)) {
		explained := false
		for tag := range known {
			explained = explained || strings.Contains(line, tag)
		}
		if !explained {
			t.Error(strings.TrimSpace(line))
		}
	}
	fmt.Fprint(t.Output(), string(out))
}
