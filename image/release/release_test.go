package release_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"aead.dev/minisign"

	"lineside/image/release"
)

type seed byte

func (s seed) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(s)
	}
	return len(p), nil
}

func key(t *testing.T, s seed) (minisign.PublicKey, minisign.PrivateKey) {
	t.Helper()
	pub, priv, err := minisign.GenerateKey(s)
	if err != nil {
		t.Fatal(err)
	}
	return pub, priv
}

func TestRelease(t *testing.T) {
	mine, secret := key(t, 1)
	other, _ := key(t, 2)
	content := bytes.Repeat([]byte("image"), 1000)
	sums := fmt.Appendf(nil, "%x  card.img\n%x *card.img.bmap\n", sha256.Sum256(content), sha256.Sum256([]byte("map")))
	for name, c := range map[string]struct {
		change map[string][]byte // nil content: remove
		keys   []minisign.PublicKey
		open   error
		check  error
	}{
		"good":           {nil, []minisign.PublicKey{other, mine}, nil, nil},
		"no key":         {nil, nil, nil, nil},
		"other key":      {nil, []minisign.PublicKey{other}, release.ErrSignature, nil},
		"unsigned":       {map[string][]byte{release.SignatureFile: nil}, []minisign.PublicKey{mine}, release.ErrUnsigned, nil},
		"changed sums":   {map[string][]byte{release.SumsFile: bytes.Replace(sums, []byte("card.img\n"), []byte("carD.img\n"), 1)}, []minisign.PublicKey{mine}, release.ErrSignature, nil},
		"changed image":  {map[string][]byte{"card.img": content[1:]}, []minisign.PublicKey{mine}, nil, release.ErrContent},
		"missing image":  {map[string][]byte{"card.img": nil}, []minisign.PublicKey{mine}, nil, fs.ErrNotExist},
		"no sums":        {map[string][]byte{release.SumsFile: nil}, nil, fs.ErrNotExist, nil},
		"no sums at all": {map[string][]byte{release.SumsFile: []byte("hello\n")}, nil, release.ErrContent, nil},
		"path in sums":   {map[string][]byte{release.SumsFile: bytes.ReplaceAll(sums, []byte("card"), []byte("../card"))}, nil, release.ErrContent, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			files := map[string][]byte{"card.img": content, "card.img.bmap": []byte("map"), release.SumsFile: sums, release.SignatureFile: minisign.Sign(secret, sums)}
			for n, b := range c.change {
				files[n] = b
			}
			for n, b := range files {
				if b == nil {
					continue
				}
				if err := os.WriteFile(filepath.Join(dir, n), b, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			s, err := release.Open(dir, c.keys)
			if !errors.Is(err, c.open) || (err == nil) != (c.open == nil) {
				t.Fatalf("open: %v, want %v", err, c.open)
			}
			if err != nil {
				return
			}
			if s.Signed != (len(c.keys) > 0) || len(s.Names) != 2 {
				t.Errorf("%+v", s)
			}
			done := int64(0)
			err = s.Check(context.Background(), "card.img", func(n int64) { done += n })
			if !errors.Is(err, c.check) || (err == nil) != (c.check == nil) {
				t.Errorf("check: %v, want %v", err, c.check)
			}
			if c.check == nil && done != int64(len(content)) {
				t.Errorf("progress ended at %d", done)
			}
			if err := s.Check(context.Background(), "other.img", nil); !errors.Is(err, release.ErrContent) {
				t.Errorf("a file that is not listed: %v", err)
			}
		})
	}
}
