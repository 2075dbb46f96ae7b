package store_test

// Where each fault has its test:
//
//	truncated            bundle.TestTampered (cut weights, cut manifest), gguf.TestEveryTruncation, e2e.TestBadModels
//	bit-flipped          TestRefusedBundles, TestBitRot
//	renamed              bundle.TestTampered (renamed weights), bundle.TestLicenceRules (another name)
//	relabelled           bundle.TestLicenceRules (relabelled as Apache, calls itself mit), bundle.TestDemoIsKnown
//	oversize             bundle.TestTampered (oversize weights)
//	wrong licence text   bundle.TestLicenceRules (reworded licence, licence of another generation)
//	missing notice       bundle.TestLicenceRules (notice missing)
//	wrong signature      bundle.TestWrongSignature, TestRefusedBundles
//	replayed manifest    TestSerials (whole), TestReplayedManifest (over newer files)
//	path traversal       bundle.TestTampered (path upwards, absolute path, hidden name)
//	symlink              bundle.TestTampered (link out, link inside, manifest is a link)
//	full disk            TestSpaceAndPermission (fault layer), TestFullDisk (a real one)
//	no permission        TestSpaceAndPermission (fault layer), TestReadOnlyDisk (a real one)
//	killed at every step TestPowerCutAtEveryStep (fault layer), TestKilled (a real process)

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lineside/inference/model/bundle"
	"lineside/inference/model/gguf"
	"lineside/inference/model/modeltest"
	"lineside/inference/model/store"
)

// TestReplayedManifest lays an old manifest with its good signature over the files of a newer
// bundle.
func TestReplayedManifest(t *testing.T) {
	older := made(t, "one", 100, nil)
	newer := made(t, "one", 200, func(b *bundle.Source) {
		b.Weights = modeltest.Small(t, func(l *gguf.Layout) { l.Set("general.name", "two") })
	})
	for _, name := range []string{"manifest.json", "manifest.json.minisig"} {
		modeltest.Copy(t, filepath.Join(older, name), filepath.Join(newer, name))
	}
	s := open(t, t.TempDir(), nil)
	if _, err := s.Install(t.Context(), newer, store.InstallOptions{}); !errors.Is(err, bundle.ErrContent) {
		t.Errorf("%v", err)
	}
}

// tmpfs mounts a small disk in memory.
func tmpfs(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("only root mounts a disk: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// roomy says that there is room, as another program takes it meanwhile.
type roomy struct{ store.OS }

func (roomy) Free(string) (uint64, error) { return 1 << 40, nil }

// TestFullDisk fills a real file system in mid-copy: what ran runs on, and with room again the
// install goes on.
func TestFullDisk(t *testing.T) {
	dir := tmpfs(t, "size=1m")
	s := open(t, dir, roomy{})
	install(t, s, made(t, "one", 100, nil))
	activate(t, s, "one")
	src := made(t, "two", 100, func(b *bundle.Source) {
		b.Weights = modeltest.Small(t, func(l *gguf.Layout) { l.Set("general.padding", string(make([]byte, 2<<20))) })
	})
	if _, err := s.Install(t.Context(), src, store.InstallOptions{}); !errors.Is(err, store.ErrSpace) {
		t.Errorf("on a full disk: %v", err)
	}
	if i, err := open(t, dir, roomy{}).Active(); err != nil || i.Manifest.Name != "one" {
		t.Errorf("%+v, %v", i, err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size=16m"); err != nil {
		t.Fatal(err)
	}
	if got := running(t, open(t, dir, roomy{})); got != "one" {
		t.Errorf("%q runs", got)
	}
	if i := install(t, s, src); i.State != store.Ready {
		t.Errorf("with room again: %+v", i)
	}
}

// TestReadOnlyDisk changes nothing on a disk that nobody may write.
func TestReadOnlyDisk(t *testing.T) {
	dir := tmpfs(t, "size=16m")
	s := open(t, dir, roomy{})
	install(t, s, made(t, "one", 100, nil))
	activate(t, s, "one")
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, "size=16m"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Install(t.Context(), made(t, "two", 100, nil), store.InstallOptions{}); !errors.Is(err, syscall.EROFS) {
		t.Errorf("install: %v", err)
	}
	if i, err := s.Active(); err != nil || i.Manifest.Name != "one" {
		t.Errorf("%+v, %v", i, err)
	}
	again := open(t, dir, roomy{}) // a daemon that starts
	stop, err := again.Serve()
	if err != nil {
		t.Fatal(err)
	}
	if i, err := again.Active(); err != nil || i.Manifest.Name != "one" {
		t.Errorf("after a start: %+v, %v", i, err)
	}
	stop()
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size=16m"); err != nil {
		t.Fatal(err)
	}
	if got := running(t, s); got != "one" {
		t.Errorf("%q runs", got)
	}
}

// TestReadOnlyFromTheStart has no store on the disk, and none can be made: that is no model.
func TestReadOnlyFromTheStart(t *testing.T) {
	dir := tmpfs(t, "size=16m")
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, "size=16m"); err != nil {
		t.Fatal(err)
	}
	s := open(t, filepath.Join(dir, "models"), roomy{})
	stop, err := s.Serve()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if _, err := s.Active(); !errors.Is(err, store.ErrNoModel) {
		t.Errorf("active: %v", err)
	}
}

const (
	killDir = "LINESIDE_TEST_STORE" // set in the process that is killed
	killSrc = "LINESIDE_TEST_BUNDLE"
)

// TestInstallToBeKilled is the process that TestKilled kills.
func TestInstallToBeKilled(t *testing.T) {
	if os.Getenv(killDir) == "" {
		t.Skip("run by TestKilled")
	}
	s := open(t, os.Getenv(killDir), nil)
	install(t, s, os.Getenv(killSrc))
	activate(t, s, "two")
}

// TestKilled kills a process that installs and activates, a little later each time. The old
// model runs or the new one, whole, and the next try goes through.
func TestKilled(t *testing.T) {
	src := made(t, "two", 100, nil)
	template := t.TempDir()
	s := open(t, template, nil)
	install(t, s, made(t, "one", 100, nil))
	activate(t, s, "one")
	cut := 0
	for after := 5 * time.Millisecond; after < 80*time.Millisecond; after += 5 * time.Millisecond {
		dir := memory(t)
		if err := os.CopyFS(dir, os.DirFS(template)); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0], "-test.run=TestInstallToBeKilled$")
		cmd.Env = append(os.Environ(), killDir+"="+dir, killSrc+"="+src)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(after, func() { _ = cmd.Process.Kill() }) // it may have ended
		if err := cmd.Wait(); err != nil {
			cut++
		}
		kill.Stop()
		s := open(t, dir, nil)
		if got := running(t, s); got != "one" && got != "two" {
			t.Errorf("killed after %s: %q runs", after, got)
		}
		if _, err := s.Find("two"); err != nil {
			install(t, s, src)
		}
		activate(t, s, "two")
		if got := running(t, s); got != "two" {
			t.Errorf("killed after %s, and again: %q runs", after, got)
		}
	}
	if cut == 0 {
		t.Error("no process was killed in time")
	}
}
