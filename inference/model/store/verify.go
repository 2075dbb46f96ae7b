package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime"

	"golang.org/x/sys/unix"

	"lineside/inference/model/bundle"
)

// hashFile hashes a file as it lies on the disk.
func (s *Store) hashFile(ctx context.Context, path string, tell func(int64)) (string, error) {
	r, err := s.fs.Open(path)
	if err != nil {
		return "", err
	}
	defer r.Close()
	sum := sha256.New()
	_, err = io.CopyBuffer(io.MultiWriter(sum, counter(tell)), contextReader{ctx, r}, make([]byte, 1<<20))
	return hex.EncodeToString(sum.Sum(nil)), err
}

// Verify reads every file of an item and compares its hash. What it finds is noted:
// a damaged item cannot be activated until it is installed again. progress, which may
// be nil, is told the bytes read.
func (s *Store) Verify(ctx context.Context, name string, progress func(done, total int64)) (Item, error) {
	i, err := s.Find(name)
	if err != nil {
		return Item{}, err
	}
	why, err := s.compare(ctx, i, progress)
	if err != nil {
		return i, err
	}
	unlock, err := s.lock()
	if err != nil {
		return i, err
	}
	defer unlock()
	err = s.change(func(st *state) error {
		delete(st.Damaged, i.ID)
		if why != "" {
			st.Damaged[i.ID] = why
		} else {
			st.Verified[i.ID] = s.now().UTC()
		}
		return nil
	})
	if err != nil {
		return i, err
	}
	if why != "" {
		return i, fmt.Errorf("%s is %w: %s: install it again", i.Manifest.Name, ErrDamaged, why)
	}
	return s.Find(i.ID)
}

// compare says what is wrong with an item's files, or nothing.
func (s *Store) compare(ctx context.Context, i Item, progress func(done, total int64)) (string, error) {
	raw, err := s.fs.ReadFile(i.Dir() + "/" + bundle.ManifestFile)
	if err != nil || bundle.ID(raw) != i.ID {
		return "its manifest was changed", nil
	}
	var done int64
	tell := func(n int64) {
		done += n
		if progress != nil {
			progress(done, i.Manifest.Bytes())
		}
	}
	for _, f := range i.Manifest.Files {
		sum, err := s.hashFile(ctx, i.Dir()+"/"+f.Name, tell)
		switch {
		case ctx.Err() != nil:
			return "", ctx.Err()
		case err != nil:
			return fmt.Sprintf("%s cannot be read: %v", f.Name, err), nil
		case sum != f.SHA256:
			return f.Name + " has changed on the disk", nil
		}
	}
	return "", nil
}

// Scrub verifies every item once, at idle priority for disk and processor, so that it takes
// nothing from the engine. It returns what is damaged, joined. A daemon calls it now and then.
func (s *Store) Scrub(ctx context.Context) error {
	list, err := s.List()
	if err != nil {
		return err
	}
	result := make(chan error, 1)
	go func() {
		// The priority is the thread's, and the thread is not given back: it ends
		// with this goroutine.
		runtime.LockOSThread()
		idle()
		var errs []error
		for _, i := range list {
			if _, err := s.Verify(ctx, i.ID, nil); err != nil {
				errs = append(errs, err)
			}
		}
		result <- errors.Join(errs...)
	}()
	return <-result
}

// idle gives the calling thread disk and processor only when nobody else wants them.
// Where the kernel does not allow it, the scrub just is not idle.
// https://docs.kernel.org/block/ioprio.html
func idle() {
	const (
		whoProcess = 1
		classIdle  = 3 << 13
	)
	unix.Syscall(unix.SYS_IOPRIO_SET, whoProcess, 0, classIdle)
	unix.Setpriority(unix.PRIO_PROCESS, 0, 19) // of this thread, on Linux
}
