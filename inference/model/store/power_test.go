package store_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"lineside/inference/model/bundle"
	"lineside/inference/model/licence"
	"lineside/inference/model/store"
	"lineside/inference/model/store/storetest"
)

// TestPowerCutAtEveryStep runs each change of the store again and again, with the
// power cut one step later each time. Once with everything lost that was not synced,
// once with nothing lost. Afterwards the old model must run, whole, or the new one; and
// the same change must go through.
func TestPowerCutAtEveryStep(t *testing.T) {
	two, unsigned := made(t, "two", 100, nil), made(t, "three", 100, nil)
	if err := os.Remove(unsigned + "/manifest.json.minisig"); err != nil {
		t.Fatal(err)
	}
	template := t.TempDir()
	s := open(t, template, nil)
	install(t, s, made(t, "one", 100, nil))
	install(t, s, made(t, "old", 100, nil))
	install(t, s, unsigned)
	activate(t, s, "one")

	changes := []struct {
		name string
		do   func(*store.Store) error
		runs []string // what may run after a cut; the first is what runs in the end
		goal func(*store.Store) error
	}{
		{"install", func(s *store.Store) error {
			_, err := s.Install(t.Context(), two, store.InstallOptions{})
			return err
		}, []string{"one"}, state("two", store.Ready)},
		{"install and activate", func(s *store.Store) error {
			if _, err := s.Install(t.Context(), two, store.InstallOptions{}); err != nil {
				return err
			}
			_, err := s.Activate("two")
			return err
		}, []string{"two", "one"}, state("one", store.Previous)},
		{"activate", func(s *store.Store) error { _, err := s.Activate("old"); return err },
			[]string{"old", "one"}, state("one", store.Previous)},
		{"propose", func(s *store.Store) error { _, err := s.Propose("old"); return err },
			[]string{"one"}, func(s *store.Store) error { _, err := s.Proposed(); return err }},
		{"lead", func(s *store.Store) error { return s.Lead("old") }, []string{"one"}, state("old", store.Ready)},
		{"remove", func(s *store.Store) error {
			if _, err := s.Remove("old"); !errors.Is(err, store.ErrNoModel) {
				return err
			}
			return nil // removed by the try that was cut off
		}, []string{"one"}, gone("old")},
		{"override", func(s *store.Store) error {
			if i, err := s.Find("three"); err == nil && i.State == store.Ready {
				return nil
			}
			_, err := s.Override("three", bundle.Override{Reason: "mine", By: "A"})
			return err
		}, []string{"one"}, state("three", store.Ready)},
		{"except", func(s *store.Store) error {
			return s.Except(licence.Exception{Class: licence.Instruct, Licence: licence.Apache20, Reason: "counsel", By: "A"})
		}, []string{"one"}, func(s *store.Store) error {
			if site, err := s.Site(); err != nil || len(site.Exceptions) == 0 {
				return fmt.Errorf("no exception: %w", err)
			}
			return nil
		}},
		{"purge", func(s *store.Store) error { _, err := s.Purge(licence.Apache20, "A", "a test"); return err },
			[]string{"", "one"}, purged},
	}
	for _, c := range changes {
		for _, lose := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, lose %v", c.name, lose), func(t *testing.T) {
				steps, stride := 0, 1
				if testing.Short() {
					stride = 4
				}
				for ; ; steps += stride {
					dir := memory(t)
					if err := os.CopyFS(dir, os.DirFS(template)); err != nil {
						t.Fatal(err)
					}
					disk := storetest.NewDisk()
					s := open(t, dir, disk)
					disk.Steps = steps
					err := c.do(s)
					if err == nil {
						break // it needs no more steps than that
					}
					if !disk.Dead() {
						t.Fatalf("%d steps are left: %v", disk.Steps, err)
					}
					if err := disk.Cut(lose); err != nil {
						t.Fatal(err)
					}
					s = open(t, dir, storetest.NewDisk())
					after(t, s, steps, c.runs)
					if err := c.do(s); err != nil {
						t.Fatalf("cut after %d steps: again: %v", steps, err)
					}
					after(t, s, steps, c.runs[:1])
					if err := c.goal(s); err != nil {
						t.Fatalf("cut after %d steps: again: %v", steps, err)
					}
				}
				if steps < 5 {
					t.Errorf("only %d steps: the disk was not used", steps)
				}
			})
		}
	}
}

// memory is a folder in memory where there is one: this test makes a thousand stores.
func memory(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "lineside-test-*")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// after holds the store to its promise.
func after(t *testing.T, s *store.Store, steps int, allowed []string) {
	t.Helper()
	stop, err := s.Serve() // as a daemon does that starts
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	got := running(t, s)
	for _, name := range allowed {
		if got == name {
			return
		}
	}
	t.Fatalf("cut after %d steps: %q runs, want one of %q", steps, got, allowed)
}

func state(name string, want store.State) func(*store.Store) error {
	return func(s *store.Store) error {
		i, err := s.Find(name)
		if err == nil && i.State != want {
			err = fmt.Errorf("%s is %s, want %s", name, i.State, want)
		}
		return err
	}
}

func gone(name string) func(*store.Store) error {
	return func(s *store.Store) error {
		if _, err := s.Find(name); !errors.Is(err, store.ErrNoModel) {
			return fmt.Errorf("%s is still there: %v", name, err)
		}
		return nil
	}
}

// purged wants nothing left, and one completed receipt that names all that was there.
func purged(s *store.Store) error {
	list, err := s.List()
	if err != nil || len(list) > 0 {
		return fmt.Errorf("left: %v, %v", list, err)
	}
	receipts, err := s.Receipts()
	if err != nil {
		return err
	}
	names := map[string]bool{}
	for _, r := range receipts {
		if r.Completed.IsZero() {
			return fmt.Errorf("an open receipt: %+v", r)
		}
		for _, x := range r.Removed {
			names[x.Name] = true
		}
	}
	if len(names) != 3 {
		return fmt.Errorf("receipts name %v", names)
	}
	return nil
}
