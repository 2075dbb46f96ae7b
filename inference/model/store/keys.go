package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"aead.dev/minisign"
)

// Keys reads public keys of owners from files as minisign writes them. A file that is
// not there gives no key: bundles then go into quarantine.
func Keys(paths ...string) ([]minisign.PublicKey, error) {
	var keys []minisign.PublicKey
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var k minisign.PublicKey
		if err == nil {
			err = k.UnmarshalText(b)
		}
		if err != nil {
			return nil, fmt.Errorf("owner's key %s: %w", p, err)
		}
		keys = append(keys, k)
	}
	return keys, nil
}
