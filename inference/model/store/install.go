package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"strings"
	"syscall"

	"lineside/inference/model/bundle"
)

// spare is the room that an install leaves on the partition, in bytes.
const spare = 64 << 20

// whyFile lies beside a quarantined bundle and says what speaks against it.
const whyFile = "quarantine.json"

// InstallOptions are the technician's choices.
type InstallOptions struct {
	AllowOlder bool                    // install although a newer one of that name was there
	Progress   func(done, total int64) // bytes copied and checked; may be nil
	Judged     func([]bundle.Finding)  // told what speaks against the bundle; may be nil
}

// Install copies the bundle in the folder src into the store. It checks signature,
// texts and space first, goes on where an earlier try stopped, hashes while it
// copies, and reads all back from the disk before the bundle gets its place.
//
// A bundle that something speaks against gets its place in quarantine.
func (s *Store) Install(ctx context.Context, src string, o InstallOptions) (Item, error) {
	unlock, err := s.lock()
	if err != nil {
		return Item{}, err
	}
	defer unlock()
	b, err := bundle.Open(src)
	if err != nil {
		return Item{}, err
	}
	defer b.Close()
	findings, err := s.admit(b, o)
	if err != nil {
		return Item{}, err
	}
	if o.Judged != nil {
		o.Judged(findings)
	}
	switch i, err := s.installed(b.ID); {
	case err == nil && i.State == Quarantined && len(findings) == 0: // its owner's key was added since
		return s.release(i, nil)
	case err == nil:
		return i, nil // again is no error
	case !errors.Is(err, ErrNoModel):
		return Item{}, err
	}
	work := s.path(incomingDir, b.ID)
	if err := s.room(b, work); err != nil {
		return Item{}, err
	}
	if err := s.copyBundle(ctx, b, work, o); err != nil {
		return Item{}, err
	}
	return s.place(b, work, findings)
}

// admit decides whether the bundle may be copied at all.
func (s *Store) admit(b *bundle.Bundle, o InstallOptions) ([]bundle.Finding, error) {
	trust, err := b.Verify(s.keys)
	if err != nil {
		return nil, err
	}
	findings, err := b.Judge()
	if err != nil {
		return nil, fmt.Errorf("bundle %s: %w", b.Name, err)
	}
	if b.Override != nil && trust == bundle.Owner {
		findings = nil // the owner has signed the reason too
	}
	if trust != bundle.Owner {
		findings = append(findings, bundle.Finding{Rule: bundle.RuleVouch, Why: "the bundle is " + string(trust)})
	}
	newest, err := s.newestSerial(b.Name)
	if err != nil {
		return nil, err
	}
	if b.Serial < newest && !o.AllowOlder {
		return nil, fmt.Errorf("%w: serial %d of %s, but %d was installed: give --allow-older if you mean it", ErrOld, b.Serial, b.Name, newest)
	}
	return findings, nil
}

// newestSerial is the highest serial of a name that was ever installed.
func (s *Store) newestSerial(name string) (int64, error) {
	st, err := s.readState()
	if err != nil {
		return 0, err
	}
	newest := st.Serials[name]
	list, err := s.List()
	for _, i := range list {
		if i.Manifest.Name == name && i.State != Quarantined {
			newest = max(newest, i.Manifest.Serial)
		}
	}
	return newest, err
}

func (s *Store) installed(id string) (Item, error) {
	list, err := s.List()
	for _, i := range list {
		if i.ID == id && i.State != Damaged {
			return i, err
		}
	}
	return Item{}, errors.Join(err, ErrNoModel)
}

// room checks the space before anything is copied.
func (s *Store) room(b *bundle.Bundle, work string) error {
	need := b.Bytes() + spare
	for _, f := range b.Files {
		if st, err := s.fs.Stat(work + "/" + f.Name); err == nil {
			need -= st.Size()
		}
	}
	free, err := s.fs.Free(s.dir)
	if err != nil {
		return err
	}
	if need > 0 && free < uint64(need) {
		return fmt.Errorf("%w: %s needs %d MB, %s has %d MB: remove a model with lineside model remove", ErrSpace, b.Name, need/1e6, s.dir, free/1e6)
	}
	return nil
}

// copyBundle brings every file of the bundle into the folder work, checked.
func (s *Store) copyBundle(ctx context.Context, b *bundle.Bundle, work string, o InstallOptions) error {
	if err := s.fs.MkdirAll(work); err != nil {
		return err
	}
	total, done := 2*b.Bytes(), int64(0) // each byte is written, then read back
	tell := func(n int64) {
		done += n
		if o.Progress != nil {
			o.Progress(done, total)
		}
	}
	for _, f := range b.Files {
		if err := s.copyFile(ctx, b, f, work+"/"+f.Name, tell); err != nil {
			if errors.Is(err, syscall.ENOSPC) {
				return fmt.Errorf("%w: it ran out while %s was copied: make room and install again, it goes on where it stopped", ErrSpace, f.Name)
			}
			return err
		}
	}
	for _, f := range b.Files {
		sum, err := s.hashFile(ctx, work+"/"+f.Name, tell)
		if err != nil {
			return err
		}
		if sum != f.SHA256 {
			return errors.Join(fmt.Errorf("%w: %s reads back differently from this disk: install again, and if it stays, the disk is failing", ErrDamaged, f.Name),
				s.fs.RemoveAll(work+"/"+f.Name))
		}
	}
	if err := s.write(work+"/"+bundle.ManifestFile, strings.NewReader(string(b.Raw))); err != nil {
		return err
	}
	if len(b.Signature) > 0 {
		return s.write(work+"/"+bundle.SignatureFile, strings.NewReader(string(b.Signature)))
	}
	return nil
}

// copyFile copies one file, behind what an earlier try has left. What is left may end
// in rubbish after a power cut: then it is copied from its start.
func (s *Store) copyFile(ctx context.Context, b *bundle.Bundle, f bundle.File, to string, tell func(int64)) error {
	sum := sha256.New()
	have, err := s.resume(ctx, f, to, sum)
	if err != nil {
		return err
	}
	got, err := s.copyFrom(ctx, b, f, to, have, sum, tell)
	if err == nil && got != f.SHA256 && have > 0 {
		tell(-f.Bytes)
		sum.Reset()
		got, err = s.copyFrom(ctx, b, f, to, 0, sum, tell)
	}
	if err != nil {
		return err
	}
	if got != f.SHA256 {
		return errors.Join(fmt.Errorf("%w: %s is not what the manifest says: copy the bundle to the stick again", bundle.ErrContent, f.Name), s.fs.RemoveAll(to))
	}
	return nil
}

// resume hashes what an earlier try has left and returns its length.
func (s *Store) resume(ctx context.Context, f bundle.File, to string, sum hash.Hash) (int64, error) {
	r, err := s.fs.Open(to)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return io.Copy(sum, io.LimitReader(contextReader{ctx, r}, f.Bytes))
}

func (s *Store) copyFrom(ctx context.Context, b *bundle.Bundle, f bundle.File, to string, have int64, sum hash.Hash, tell func(int64)) (string, error) {
	in, err := b.Open(f)
	if err != nil {
		return "", err
	}
	defer in.Close()
	if _, err := in.Seek(have, io.SeekStart); err != nil {
		return "", err
	}
	out, err := s.fs.Append(to, have)
	if err != nil {
		return "", err
	}
	tell(have)
	_, err = io.CopyBuffer(io.MultiWriter(out, sum, counter(tell)), io.LimitReader(contextReader{ctx, in}, f.Bytes-have), make([]byte, 1<<20))
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// place gives a copied bundle its final name, in one step.
func (s *Store) place(b *bundle.Bundle, work string, findings []bundle.Finding) (Item, error) {
	dir := objectsDir
	if len(findings) > 0 {
		dir = quarantineDir
		why, err := json.Marshal(findings)
		if err != nil {
			return Item{}, err
		}
		if err := s.write(work+"/"+whyFile, strings.NewReader(string(why))); err != nil {
			return Item{}, err
		}
	}
	to := s.path(dir, b.ID)
	if err := s.fs.SyncDir(work); err != nil {
		return Item{}, err
	}
	if err := s.discard(to); err != nil { // a damaged one that this replaces
		return Item{}, err
	}
	if err := s.fs.Rename(work, to); err != nil {
		return Item{}, err
	}
	if err := errors.Join(s.fs.SyncDir(s.path(dir)), s.fs.SyncDir(s.path(incomingDir))); err != nil {
		return Item{}, err
	}
	err := s.change(func(st *state) error {
		delete(st.Damaged, b.ID)
		st.Verified[b.ID] = s.now().UTC()
		if dir == objectsDir {
			st.Serials[b.Name] = max(st.Serials[b.Name], b.Serial)
		}
		return nil
	})
	if err != nil {
		return Item{}, err
	}
	return s.Find(b.ID)
}

// whyQuarantined reads what speaks against a bundle.
func (s *Store) whyQuarantined(id string) string {
	var findings []bundle.Finding
	if err := s.readJSON(quarantineDir+"/"+id+"/"+whyFile, &findings); err != nil || len(findings) == 0 {
		return "what speaks against it was lost: install it again"
	}
	var list []string
	for _, f := range findings {
		list = append(list, f.String())
	}
	return strings.Join(list, "; ")
}

// counter tells a function of every piece written.
type counter func(int64)

func (c counter) Write(p []byte) (int, error) {
	c(int64(len(p)))
	return len(p), nil
}
