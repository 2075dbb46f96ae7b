package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"aead.dev/minisign"
)

// Bundle is an opened folder whose manifest is sound. Its files' contents are not
// checked yet.
type Bundle struct {
	Manifest
	ID        string
	Raw       []byte // the manifest's bytes, as signed
	Signature []byte // empty for an unsigned bundle
	root      *os.Root
}

// Open opens the bundle in a folder and checks manifest, names, links and sizes.
// Nothing outside the folder is ever opened, whatever its links say.
func Open(dir string) (*Bundle, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("%s is no bundle: want the folder that lineside model bundle made: %w", dir, plain(err))
	}
	b := &Bundle{root: root}
	if err := b.read(); err != nil {
		root.Close()
		return nil, fmt.Errorf("bundle %s: %w", dir, err)
	}
	return b, nil
}

// Close closes the folder.
func (b *Bundle) Close() error { return b.root.Close() }

func (b *Bundle) read() error {
	var err error
	if b.Raw, err = b.small(ManifestFile, maxManifest); err != nil {
		return fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if b.Manifest, err = Parse(b.Raw); err != nil {
		return err
	}
	b.ID = ID(b.Raw)
	b.Signature, err = b.small(SignatureFile, 4096)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	for _, f := range b.Files {
		n, err := b.regular(f.Name)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrContent, err)
		}
		if n != f.Bytes {
			return fmt.Errorf("%w: %s has %d bytes, the manifest says %d: copy the bundle again", ErrContent, f.Name, n, f.Bytes)
		}
	}
	return nil
}

// regular is the size of a regular file, not followed through links.
func (b *Bundle) regular(name string) (int64, error) {
	st, err := b.root.Lstat(name)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, plain(err))
	}
	if !st.Mode().IsRegular() {
		return 0, fmt.Errorf("%s is no regular file", name)
	}
	return st.Size(), nil
}

// small reads a file that has to be short.
func (b *Bundle) small(name string, limit int64) ([]byte, error) {
	n, err := b.regular(name)
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, fmt.Errorf("%s has %d bytes, limit is %d", name, n, limit)
	}
	f, err := b.root.Open(name)
	if err != nil {
		return nil, plain(err)
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

// Open opens one file of the bundle for reading.
func (b *Bundle) Open(f File) (*os.File, error) {
	if _, err := b.regular(f.Name); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrContent, err)
	}
	return b.root.Open(f.Name)
}

// Text reads the file in a role of text; nil where the bundle has none.
func (b *Bundle) Text(r Role) ([]byte, error) {
	f, ok := b.File(r)
	if !ok {
		return nil, nil
	}
	text, err := b.small(f.Name, maxTextBytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrContent, err)
	}
	if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) != f.SHA256 {
		return nil, fmt.Errorf("%w: %s was changed: copy the bundle again", ErrContent, f.Name)
	}
	return text, nil
}

// Trust is who vouches for a bundle.
type Trust string

// Kinds of trust.
const (
	Owner    Trust = "signed by the owner"
	Unsigned Trust = "unsigned"
	Stranger Trust = "signed by an unknown key"
)

// Verify finds out who signed the manifest. A signature by one of keys that does
// not fit is ErrSignature.
func (b *Bundle) Verify(keys []minisign.PublicKey) (Trust, error) {
	if len(b.Signature) == 0 {
		return Unsigned, nil
	}
	var s minisign.Signature
	if err := s.UnmarshalText(b.Signature); err != nil {
		return Unsigned, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	for _, k := range keys {
		if k.ID() != s.KeyID {
			continue
		}
		if !minisign.Verify(k, b.Raw, b.Signature) {
			return Unsigned, fmt.Errorf("%w: the manifest of %s was changed after it was signed", ErrSignature, b.Name)
		}
		return Owner, nil
	}
	return Stranger, nil
}

func plain(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
