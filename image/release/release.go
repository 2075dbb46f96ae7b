// Package release checks the files of a release: their sums against SHA256SUMS, and that
// file against its minisign signature.
//
// It never downloads anything and trusts no key that the caller did not name.
package release

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"aead.dev/minisign"
)

// Files of a release beside the images.
const (
	SumsFile      = "SHA256SUMS"
	SignatureFile = SumsFile + ".minisig"
)

// Errors that callers decide on.
var (
	ErrUnsigned  = errors.New("not signed")
	ErrSignature = errors.New("the signature does not fit")
	ErrContent   = errors.New("the file is damaged or was changed: copy or download it again")
)

// Sums are the sums of a release by file name, and whether their signature was checked.
type Sums struct {
	dir    string
	Names  []string
	sums   map[string]string
	Signed bool // by one of the keys
}

const maxSums = 1 << 20

// Open reads the sums in a folder and checks their signature. Without keys nothing is
// checked and Signed is false. A missing signature is ErrUnsigned, one that does not fit
// ErrSignature.
func Open(dir string, keys []minisign.PublicKey) (*Sums, error) {
	raw, err := small(filepath.Join(dir, SumsFile))
	if err != nil {
		return nil, err
	}
	s := &Sums{dir: dir, sums: map[string]string{}}
	for lines := bufio.NewScanner(bytes.NewReader(raw)); lines.Scan(); {
		sum, name, ok := strings.Cut(lines.Text(), " ")
		name = strings.TrimPrefix(strings.TrimLeft(name, " "), "*")
		if b, err := hex.DecodeString(sum); !ok || err != nil || len(b) != sha256.Size || name == "" || name != filepath.Base(name) {
			return nil, fmt.Errorf("%w: %s: line %q", ErrContent, SumsFile, lines.Text())
		}
		s.Names = append(s.Names, name)
		s.sums[name] = sum
	}
	if len(keys) == 0 {
		return s, nil
	}
	signature, err := small(filepath.Join(dir, SignatureFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w: %s is missing", SumsFile, ErrUnsigned, SignatureFile)
	}
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(keys, func(k minisign.PublicKey) bool { return minisign.Verify(k, raw, signature) }) {
		return nil, fmt.Errorf("%w: %s was not signed by this key, or was changed", ErrSignature, SumsFile)
	}
	s.Signed = true
	return s, nil
}

func small(path string) ([]byte, error) {
	i, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if i.Size() > maxSums {
		return nil, fmt.Errorf("%s has %d bytes, %d are permitted", path, i.Size(), maxSums)
	}
	return os.ReadFile(path)
}

// Check reads a file of the release and compares its sum. done is told of every piece; nil: nobody.
func (s *Sums) Check(ctx context.Context, name string, done func(n int64)) error {
	want, ok := s.sums[name]
	if !ok {
		return fmt.Errorf("%w: %s is not in %s", ErrContent, name, SumsFile)
	}
	f, err := os.Open(filepath.Join(s.dir, name))
	if err != nil {
		return err
	}
	defer f.Close()
	h, buf := sha256.New(), make([]byte, 1<<20)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := f.Read(buf)
		h.Write(buf[:n])
		if done != nil {
			done(int64(n))
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if hex.EncodeToString(h.Sum(nil)) != want {
		return fmt.Errorf("%w: %s", ErrContent, name)
	}
	return nil
}
