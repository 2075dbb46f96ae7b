package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"aead.dev/minisign"

	"lineside/inference/model/demo"
	"lineside/inference/model/gguf"
	"lineside/inference/model/licence"
	"lineside/inference/model/lora"
)

// Source is what a bundle is made from.
type Source struct {
	Weights  string // path of the GGUF file
	Texts    string // folder with LICENSE and, where the licence has one, USE_POLICY.md
	Name     string // of the model; empty: the file's name without .gguf
	Origin   string // where the weights were taken from
	Base     string // for an adapter: path of the base model's GGUF file
	Override *Override
	Now      time.Time           // becomes the serial, in Unix seconds
	Key      minisign.PrivateKey // the owner's
	Copied   func(n int64)       // told of each piece of weights as it is copied; may be nil
}

// Make writes a bundle into the new folder out. It refuses what an installer would
// refuse, and what an installer would put into quarantine unless there is an Override.
func Make(ctx context.Context, s Source, out string) (Manifest, error) {
	if s.Name == "" {
		s.Name = strings.TrimSuffix(filepath.Base(s.Weights), ".gguf")
	}
	if _, err := os.Lstat(out); err == nil {
		return Manifest{}, fmt.Errorf("%s is there already: name another folder or remove it", out)
	}
	work, err := os.MkdirTemp(filepath.Dir(out), "."+filepath.Base(out)+".*")
	if err != nil {
		return Manifest{}, err
	}
	defer os.RemoveAll(work) // finds nothing after the rename
	m, err := s.write(ctx, work)
	if err != nil {
		return m, err
	}
	b, err := Open(work)
	if err != nil {
		return m, err
	}
	findings, err := b.Judge()
	b.Close()
	if err := s.decide(findings, err); err != nil {
		return m, err
	}
	if err := os.Chmod(work, 0o755); err != nil {
		return m, err
	}
	return m, os.Rename(work, out)
}

// decide refuses what an installer would not let run.
func (s Source) decide(findings []Finding, err error) error {
	if err == nil && len(findings) > 0 && s.Override == nil {
		return fmt.Errorf("%w: %v: give --override with the reason why it may run all the same", licence.ErrRefused, findings[0])
	}
	return err
}

// write fills the folder work.
func (s Source) write(ctx context.Context, work string) (Manifest, error) {
	m := Manifest{Format: format, Name: s.Name, Kind: Model, Serial: s.Now.Unix(), Created: s.Now.UTC().Truncate(time.Second),
		Source: s.Origin, Override: s.Override}
	if s.Base != "" {
		if err := s.adapter(ctx, &m); err != nil {
			return m, err
		}
	}
	if err := s.texts(work, &m); err != nil {
		return m, err
	}
	h, err := gguf.Open(s.Weights)
	if err != nil {
		return m, err
	}
	defer h.Close()
	if m.Facts, err = factsOf(m.Kind, h.Header); err != nil {
		return m, fmt.Errorf("%s: %w", s.Weights, err)
	}
	if h.Size != demo.Size() { // before gigabytes are copied; the demo model is known by its hash only
		if err := s.decide(judgeWeights(m, h.Header)); err != nil {
			return m, err
		}
	}
	weights := File{Name: s.Name + ".gguf", Role: Weights}
	if weights.Bytes, weights.SHA256, err = copyFile(ctx, s.Weights, filepath.Join(work, weights.Name), s.Copied); err != nil {
		return m, err
	}
	m.Files = append(m.Files, weights)
	raw, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return m, err
	}
	raw = append(raw, '\n')
	if _, err := Parse(raw); err != nil {
		return m, err
	}
	signature := minisign.SignWithComments(s.Key, raw, fmt.Sprintf("%s, serial %d", m.Name, m.Serial), "lineside model bundle")
	return m, errors.Join(writeFile(filepath.Join(work, ManifestFile), raw), writeFile(filepath.Join(work, SignatureFile), signature))
}

// adapter notes the base and holds the adapter to it.
func (s Source) adapter(ctx context.Context, m *Manifest) error {
	a, err := gguf.Open(s.Weights)
	if err != nil {
		return err
	}
	defer a.Close()
	base, err := gguf.Open(s.Base)
	if err != nil {
		return err
	}
	defer base.Close()
	if err := lora.Fits(a.Header, base.Header); err != nil {
		return fmt.Errorf("%s for %s: %w", s.Weights, s.Base, err)
	}
	whole, err := os.Open(s.Base)
	if err != nil {
		return err
	}
	defer whole.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, contextReader{ctx, whole}); err != nil {
		return err
	}
	m.Kind = Adapter
	m.Base = &Base{Name: strings.TrimSuffix(filepath.Base(s.Base), ".gguf"), SHA256: hex.EncodeToString(sum.Sum(nil))}
	return nil
}

// texts copies the licence's texts, finds out which licence that is, and writes the
// notice that it asks for, where the folder has none.
func (s Source) texts(work string, m *Manifest) error {
	add := func(role Role, name string, text []byte) error {
		sum := sha256.Sum256(text)
		m.Files = append(m.Files, File{Name: name, Role: role, Bytes: int64(len(text)), SHA256: hex.EncodeToString(sum[:])})
		return writeFile(filepath.Join(work, name), text)
	}
	text, err := os.ReadFile(filepath.Join(s.Texts, LicenceFile))
	if err != nil {
		return fmt.Errorf("the licence has to lie in %s: %w", s.Texts, err)
	}
	m.Licence = licence.Unknown
	if id, ok := licence.Identify(text); ok {
		m.Licence = id.Licence
	}
	if err := add(Licence, LicenceFile, text); err != nil {
		return err
	}
	duties, _ := licence.Of(m.Licence)
	policy, err := optional(filepath.Join(s.Texts, PolicyFile)) // Judge says where one is missing
	if err != nil {
		return err
	}
	notice, err := optional(filepath.Join(s.Texts, NoticeFile))
	if err != nil {
		return err
	}
	if notice == nil && duties.Notice != "" {
		notice = []byte(duties.Notice + "\n")
	}
	if policy != nil {
		err = add(Policy, PolicyFile, policy)
	}
	if notice != nil && err == nil {
		err = add(Notice, NoticeFile, notice)
	}
	return err
}

// optional reads a file; nil where there is none.
func optional(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// copyFile copies and hashes, and has the copy on the disk when it returns.
func copyFile(ctx context.Context, from, to string, copied func(int64)) (int64, string, error) {
	in, err := os.Open(from)
	if err != nil {
		return 0, "", err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return 0, "", err
	}
	defer out.Close()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(out, sum, counter(copied)), contextReader{ctx, in})
	if err != nil {
		return n, "", err
	}
	return n, hex.EncodeToString(sum.Sum(nil)), out.Sync()
}

func writeFile(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(b); err != nil {
		return err
	}
	return f.Sync()
}

// contextReader stops a long read when its context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// counter tells a function of every piece written.
type counter func(int64)

func (c counter) Write(p []byte) (int, error) {
	if c != nil {
		c(int64(len(p)))
	}
	return len(p), nil
}
