package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"aead.dev/minisign"

	"lineside/inference/model/bundle"
	"lineside/inference/model/gguf"
	"lineside/inference/model/licence"
	"lineside/inference/model/modeltest"
	"lineside/inference/model/store"
	"lineside/inference/model/store/storetest"
)

type seeded byte

func (s seeded) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(s)
	}
	return len(p), nil
}

func ownerKey(t testing.TB) (minisign.PublicKey, minisign.PrivateKey) {
	t.Helper()
	pub, priv, err := minisign.GenerateKey(seeded(1))
	if err != nil {
		t.Fatal(err)
	}
	return pub, priv
}

var because = &bundle.Override{Reason: "made for a test", By: "A. Muster", Date: "2026-11-24"}

// made is a bundle of a small Apache model, signed by the owner.
func made(t testing.TB, name string, serial int64, change func(*bundle.Source)) string {
	t.Helper()
	_, priv := ownerKey(t)
	s := bundle.Source{Weights: modeltest.Small(t, func(l *gguf.Layout) { l.Set("general.name", name) }), Texts: modeltest.Apache(t),
		Name: name, Origin: "a test", Override: because, Now: time.Unix(serial, 0), Key: priv}
	if change != nil {
		change(&s)
	}
	out := filepath.Join(t.TempDir(), name)
	if _, err := bundle.Make(t.Context(), s, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func open(t testing.TB, dir string, disk store.FS) *store.Store {
	t.Helper()
	pub, _ := ownerKey(t)
	s, err := store.Open(dir, store.Options{FS: disk, Keys: []minisign.PublicKey{pub},
		Now: func() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func install(t testing.TB, s *store.Store, src string) store.Item {
	t.Helper()
	i, err := s.Install(t.Context(), src, store.InstallOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func activate(t testing.TB, s *store.Store, name string) {
	t.Helper()
	if _, err := s.Activate(name); err != nil {
		t.Fatal(err)
	}
}

// running is the name of the active model after all its hashes were checked.
func running(t testing.TB, s *store.Store) string {
	t.Helper()
	i, err := s.Active()
	if errors.Is(err, store.ErrNoModel) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Verify(t.Context(), i.ID, nil); err != nil {
		t.Fatalf("the active model %s: %v", i.Manifest.Name, err)
	}
	linked, err := filepath.EvalSymlinks(filepath.Join(filepath.Dir(filepath.Dir(i.Dir())), store.ActiveLink))
	if err != nil {
		t.Fatal(err)
	}
	if path, err := filepath.EvalSymlinks(i.Path); err != nil || linked != path {
		t.Fatalf("the link leads to %s, the active model is %s (%v)", linked, path, err)
	}
	return i.Manifest.Name
}

func TestInstallActivateRollback(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	one := install(t, s, made(t, "one", 100, nil))
	if one.State != store.Ready || one.Verified.IsZero() || one.Override == nil {
		t.Errorf("%+v", one)
	}
	if again := install(t, s, made(t, "one", 100, nil)); again.ID != one.ID {
		t.Errorf("the same bundle again is %s, not %s", again.ID, one.ID)
	}
	if _, err := s.Active(); !errors.Is(err, store.ErrNoModel) {
		t.Errorf("active before activate: %v", err)
	}
	activate(t, s, "one")
	install(t, s, made(t, "two", 100, nil))
	activate(t, s, "TWO")
	if got := running(t, s); got != "two" {
		t.Fatalf("%q runs", got)
	}
	former, err := s.Former()
	if err != nil || former.Manifest.Name != "one" {
		t.Fatalf("former is %s, %v", former.Manifest.Name, err)
	}
	activate(t, s, former.ID)
	if got := running(t, s); got != "one" {
		t.Errorf("%q runs", got)
	}
	if _, err := s.Remove("one"); !errors.Is(err, store.ErrInUse) {
		t.Errorf("removing what runs: %v", err)
	}
	if _, err := s.Remove("two"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Find("two"); !errors.Is(err, store.ErrNoModel) {
		t.Errorf("found after removal: %v", err)
	}
	if _, err := s.Former(); !errors.Is(err, store.ErrNoModel) {
		t.Errorf("former points to what is gone: %v", err)
	}
}

func TestSerials(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	newer := made(t, "one", 200, nil)
	older := made(t, "one", 100, nil)
	install(t, s, newer)
	if _, err := s.Install(t.Context(), older, store.InstallOptions{}); !errors.Is(err, store.ErrOld) {
		t.Errorf("an old manifest replayed: %v", err)
	}
	if _, err := s.Remove("one"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Install(t.Context(), older, store.InstallOptions{}); !errors.Is(err, store.ErrOld) {
		t.Errorf("replayed after the newer was removed: %v", err)
	}
	if _, err := s.Install(t.Context(), older, store.InstallOptions{AllowOlder: true}); err != nil {
		t.Errorf("allowed: %v", err)
	}
}

func TestQuarantine(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	unsigned := made(t, "one", 100, nil)
	if err := os.Remove(unsigned + "/manifest.json.minisig"); err != nil {
		t.Fatal(err)
	}
	i := install(t, s, unsigned)
	if i.State != store.Quarantined || !strings.Contains(i.Why, "unsigned") || !strings.Contains(i.Why, "unknown-form") {
		t.Fatalf("%+v", i)
	}
	if _, err := s.Activate("one"); !errors.Is(err, store.ErrQuarantine) {
		t.Errorf("activated from quarantine: %v", err)
	}
	if _, err := s.Override("one", bundle.Override{By: "A"}); err == nil {
		t.Error("overridden without a reason")
	}
	if _, err := s.Override("one", bundle.Override{By: "A. Muster", Reason: "I made it"}); err != nil {
		t.Fatal(err)
	}
	activate(t, s, "one")
	e, err := s.Evidence()
	if err != nil || len(e.Models) != 1 || e.Models[0].Override.Reason != "I made it" || e.Models[0].Override.Date != "2026-11-24" {
		t.Errorf("evidence %+v, %v", e.Models, err)
	}
}

// TestKeyAddedLater lets a bundle out once its owner's key is known.
func TestKeyAddedLater(t *testing.T) {
	dir := t.TempDir()
	src := made(t, "one", 100, nil)
	stranger, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if i := install(t, stranger, src); i.State != store.Quarantined || !strings.Contains(i.Why, "unknown key") {
		t.Fatalf("%+v", i)
	}
	if i := install(t, open(t, dir, nil), src); i.State != store.Ready {
		t.Errorf("%+v", i)
	}
}

func TestRefusedBundles(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, dir string)
		want   error
	}{
		{"flipped bit in the weights", func(t *testing.T, dir string) { flip(t, dir+"/one.gguf", -1) }, bundle.ErrContent},
		{"flipped bit in the manifest", func(t *testing.T, dir string) { flip(t, dir+"/manifest.json", 60) }, nil},
		{"flipped bit in the signature", func(t *testing.T, dir string) { flip(t, dir+"/manifest.json.minisig", 80) }, bundle.ErrSignature},
		{"random weights", func(t *testing.T, dir string) {
			b, err := os.ReadFile(dir + "/one.gguf")
			if err != nil {
				t.Fatal(err)
			}
			for i := range b {
				b[i] = byte(i * 7)
			}
			put(t, dir+"/one.gguf", b)
		}, gguf.ErrNotGGUF},
		{"no folder", func(t *testing.T, dir string) { os.RemoveAll(dir) }, os.ErrNotExist},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, nil)
			src := made(t, "one", 100, nil)
			tt.change(t, src)
			_, err := s.Install(t.Context(), src, store.InstallOptions{})
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if list, err := s.List(); err != nil || len(list) > 0 {
				t.Errorf("installed all the same: %v, %v", list, err)
			}
		})
	}
}

func flip(t *testing.T, path string, at int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 1
	put(t, path, b)
}

func put(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestBitRot(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	src := made(t, "one", 100, nil)
	i := install(t, s, src)
	install(t, s, made(t, "two", 100, nil))
	if err := s.Scrub(t.Context()); err != nil {
		t.Fatal(err)
	}
	flip(t, i.Path, -1)
	if err := s.Scrub(t.Context()); !errors.Is(err, store.ErrDamaged) || !strings.Contains(err.Error(), "one.gguf") {
		t.Errorf("scrub: %v", err)
	}
	if _, err := s.Activate("one"); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("activated though damaged: %v", err)
	}
	if i := install(t, s, src); i.State != store.Ready {
		t.Errorf("installed again it is %s: %s", i.State, i.Why)
	}
	activate(t, s, "one")
	flip(t, filepath.Join(i.Dir(), "manifest.json"), 60)
	list, err := s.List()
	if err != nil || len(list) != 2 || list[0].State != store.Damaged {
		t.Errorf("%+v, %v", list, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Scrub(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled scrub: %v", err)
	}
}

func TestSpaceAndPermission(t *testing.T) {
	src := made(t, "two", 100, nil)
	for name, breakIt := range map[string]func(*storetest.Disk){
		"full in the middle": func(d *storetest.Disk) { d.Room = 5000 },
		"full at once":       func(d *storetest.Disk) { d.Room = 0 },
		"no permission":      func(d *storetest.Disk) { d.Deny = true },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, nil)
			install(t, s, made(t, "one", 100, nil))
			activate(t, s, "one")
			disk := storetest.NewDisk()
			breakIt(disk)
			_, err := open(t, dir, disk).Install(t.Context(), src, store.InstallOptions{})
			if disk.Deny && !errors.Is(err, os.ErrPermission) || !disk.Deny && !errors.Is(err, store.ErrSpace) {
				t.Errorf("%v", err)
			}
			if got := running(t, open(t, dir, nil)); got != "one" {
				t.Errorf("%q runs", got)
			}
			if i := install(t, open(t, dir, nil), src); i.State != store.Ready { // with room again
				t.Errorf("%+v", i)
			}
		})
	}
	s := open(t, t.TempDir(), tooSmall{})
	if _, err := s.Install(t.Context(), src, store.InstallOptions{}); !errors.Is(err, store.ErrSpace) || !strings.Contains(err.Error(), "needs 67 MB") {
		t.Errorf("%v", err)
	}
}

// tooSmall is a disk with a megabyte left.
type tooSmall struct{ store.OS }

func (tooSmall) Free(string) (uint64, error) { return 1e6, nil }

func TestResume(t *testing.T) {
	dir := t.TempDir()
	src := made(t, "one", 100, nil)
	for _, rubbish := range []bool{false, true} {
		disk := storetest.NewDisk()
		disk.Room = 20000 // LICENSE and a part of the weights
		if _, err := open(t, dir, disk).Install(t.Context(), src, store.InstallOptions{}); !errors.Is(err, store.ErrSpace) {
			t.Fatal(err)
		}
		parts, err := filepath.Glob(dir + "/incoming/*/one.gguf")
		if err != nil || len(parts) != 1 {
			t.Fatalf("%v, %v", parts, err)
		}
		if rubbish {
			flip(t, parts[0], -1)
		}
		var first int64
		disk = storetest.NewDisk()
		s := open(t, dir, disk)
		i, err := s.Install(t.Context(), src, store.InstallOptions{Progress: func(done, _ int64) {
			if first == 0 {
				first = done
			}
		}})
		if err != nil || i.State != store.Ready {
			t.Fatalf("rubbish %v: %+v, %v", rubbish, i, err)
		}
		if first == 0 {
			t.Error("no progress was told")
		}
		if _, err := s.Remove("one"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBusy(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	src := made(t, "one", 100, nil)
	var inner error
	_, err := s.Install(t.Context(), src, store.InstallOptions{Progress: func(int64, int64) {
		if inner == nil {
			_, inner = open(t, dir, nil).Remove("x")
		}
	}})
	if err != nil || !errors.Is(inner, store.ErrBusy) {
		t.Errorf("%v, then %v", err, inner)
	}
}

// TestLicenceGate takes the exact form of a Llama through acceptance, use and purge.
func TestLicenceGate(t *testing.T) {
	if testing.Short() {
		t.Skip("copies 240 MB twice")
	}
	s := open(t, t.TempDir(), nil)
	install(t, s, made(t, "free", 100, nil))
	llama := install(t, s, made(t, "Llama-3.2-1B-Instruct", 100, func(b *bundle.Source) {
		b.Texts, b.Override = modeltest.Texts(t, "llama3_2"), nil
		b.Weights = modeltest.Real(t, "llama-3.2-1b", nil)
	}))
	if llama.State != store.Ready || llama.Manifest.Licence != licence.Llama32 {
		t.Fatalf("%+v", llama)
	}
	if _, err := s.Activate(llama.ID); !errors.Is(err, licence.ErrRefused) || !strings.Contains(err.Error(), "lineside model accept llama3.2") {
		t.Errorf("activated without acceptance: %v", err)
	}
	a := licence.Acceptance{Licence: licence.Llama32, Entity: "Werk GmbH", Country: "DE", EUSeat: true, By: "A. Muster",
		Classes: []licence.Class{licence.Lookup}}
	if err := s.Accept(licence.Acceptance{Licence: licence.Llama31}); err == nil {
		t.Error("accepted a licence that no model here has")
	}
	if err := s.Accept(a); err != nil {
		t.Fatal(err)
	}
	activate(t, s, llama.ID)
	site, err := s.Site()
	if err != nil || site.Use(licence.Llama32, licence.Lookup) != nil || site.Use(licence.Llama32, licence.Operation) == nil {
		t.Errorf("%+v, %v", site, err)
	}
	e, err := s.Evidence()
	if err != nil || len(e.Duties) != 2 || e.Models[0].Uses[licence.Operation] == "allowed" || e.Site.Acceptances[licence.Llama32].TextHash == "" {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := s.Purge(licence.Llama32, "", ""); err == nil {
		t.Error("purged without a reason")
	}
	r, err := s.Purge(licence.Llama32, "A. Muster", "terminated")
	if err != nil || len(r.Removed) != 1 || r.Removed[0].Weights != llama.Weights() || r.Completed.IsZero() {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := os.Stat(llama.Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the weights are still there: %v", err)
	}
	if got := running(t, s); got != "" {
		t.Errorf("%q runs after the purge", got)
	}
	activate(t, s, "free")
}

// TestRootLeavesTheStoreToTheDaemon makes a store as sudo does, below a folder that
// belongs to somebody else.
func TestRootLeavesTheStoreToTheDaemon(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give folders away")
	}
	const daemon = 4242
	dir := t.TempDir()
	if err := os.Chown(dir, daemon, daemon); err != nil {
		t.Fatal(err)
	}
	install(t, open(t, filepath.Join(dir, "a", "models"), nil), made(t, "one", 100, nil))
	for _, sub := range []string{"a", "a/models", "a/models/objects"} {
		var st syscall.Stat_t
		if err := syscall.Stat(filepath.Join(dir, sub), &st); err != nil || st.Uid != daemon || st.Gid != daemon {
			t.Errorf("%s belongs to %d:%d, %v", sub, st.Uid, st.Gid, err)
		}
	}
}
