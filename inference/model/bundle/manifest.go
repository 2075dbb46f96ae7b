// Package bundle makes and reads the unit in which a model travels: a folder with the
// weights, their licence, use policy and notice, a manifest with the hash of each,
// and the owner's signature over that.
//
// It trusts no bundle: names, sizes, links, texts and the weights' own header are
// checked, and what a file says of its licence counts for nothing.
package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"lineside/inference/model/licence"
)

// Files of every bundle by name. The weights have their own.
const (
	ManifestFile  = "manifest.json"
	SignatureFile = "manifest.json.minisig"
	LicenceFile   = "LICENSE"
	PolicyFile    = "USE_POLICY.md"
	NoticeFile    = "NOTICE"
)

// Sentinels for callers that decide by the kind of failure.
var (
	// ErrManifest: the manifest is missing, malformed or breaks a limit.
	ErrManifest = errors.New("bad manifest")
	// ErrContent: a file is missing, no regular file, or not what the manifest says.
	ErrContent = errors.New("bundle does not match its manifest")
	// ErrSignature: the signature is wrong: the manifest was changed, or never signed by this key.
	ErrSignature = errors.New("wrong signature")
)

// Kind is what a bundle carries.
type Kind string

// Kinds of bundles.
const (
	Model   Kind = "model"
	Adapter Kind = "adapter" // LoRA weights for a model
)

// Role is what a file is in its bundle.
type Role string

// Roles of files.
const (
	Weights Role = "weights"
	Licence Role = "licence"
	Policy  Role = "use-policy"
	Notice  Role = "notice"
)

// File is one file of a bundle.
type File struct {
	Name   string `json:"name"`
	Role   Role   `json:"role"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Facts are what the weights' header says of their form.
type Facts struct {
	Arch         string   `json:"arch"`
	Form         []string `json:"form"` // models of the catalogue with this shape
	Quantization string   `json:"quantization,omitempty"`
	Params       uint64   `json:"params,omitempty"`
	Context      int      `json:"context,omitempty"` // tokens
	TensorBytes  uint64   `json:"tensor_bytes"`
}

// Override is an owner's reasoned yes to what would be blocked.
type Override struct {
	Reason string `json:"reason"`
	By     string `json:"by"`
	Date   string `json:"date"` // 2026-11-24
}

// Base is the model that an adapter belongs to.
type Base struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"` // of its weights
}

// Manifest says what a bundle is.
type Manifest struct {
	Format   int        `json:"format"`
	Name     string     `json:"name"`
	Kind     Kind       `json:"kind"`
	Serial   int64      `json:"serial"`  // a later bundle of the same name has a higher one
	Created  time.Time  `json:"created"` // by the clock of the machine that made it
	Source   string     `json:"source"`  // where the weights come from
	Licence  licence.ID `json:"licence"`
	Facts    Facts      `json:"facts"`
	Base     *Base      `json:"base,omitempty"`
	Override *Override  `json:"override,omitempty"`
	Files    []File     `json:"files"`
}

const (
	format       = 1
	maxManifest  = 1 << 20
	maxFile      = 1 << 42
	maxTextBytes = 1 << 20 // of licence texts
)

var (
	safeName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)
	hexHash  = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// Parse reads a manifest strictly: unknown fields, unsafe names and anything that
// does not make one whole bundle are errors.
func Parse(b []byte) (Manifest, error) {
	var m Manifest
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return m, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return m, fmt.Errorf("%w: something follows it", ErrManifest)
	}
	if err := m.check(); err != nil {
		return m, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	return m, nil
}

func (m Manifest) check() error {
	switch {
	case m.Format != format:
		return fmt.Errorf("format %d, want %d: update lineside", m.Format, format)
	case !safeName.MatchString(m.Name):
		return fmt.Errorf("name %q: want letters, digits, '.', '_' and '-'", m.Name)
	case m.Kind != Model && m.Kind != Adapter:
		return fmt.Errorf("kind %q", m.Kind)
	case m.Serial <= 0:
		return fmt.Errorf("serial %d", m.Serial)
	case (m.Kind == Adapter) != (m.Base != nil) || m.Base != nil && !hexHash.MatchString(m.Base.SHA256):
		return errors.New("an adapter, and nothing else, has the hash of its base")
	case m.Override != nil && strings.TrimSpace(m.Override.Reason) == "":
		return errors.New("an override without a reason")
	}
	seen := map[string]bool{}
	roles := map[Role]int{}
	for _, f := range m.Files {
		lower := strings.ToLower(f.Name) // sticks do not tell upper from lower case
		switch {
		case !safeName.MatchString(f.Name), strings.HasPrefix(lower, ManifestFile):
			return fmt.Errorf("file name %q", f.Name)
		case seen[lower]:
			return fmt.Errorf("file %s twice", f.Name)
		case !hexHash.MatchString(f.SHA256):
			return fmt.Errorf("file %s has no SHA-256", f.Name)
		case f.Bytes <= 0 || f.Bytes > maxFile || f.Role != Weights && f.Bytes > maxTextBytes:
			return fmt.Errorf("file %s of %d bytes", f.Name, f.Bytes)
		}
		seen[lower] = true
		roles[f.Role]++
	}
	for role, n := range roles {
		if n > 1 || role != Weights && role != Licence && role != Policy && role != Notice {
			return fmt.Errorf("%d files in the role %q", n, role)
		}
	}
	if roles[Weights] == 0 || roles[Licence] == 0 {
		return errors.New("a bundle has weights and a licence")
	}
	return nil
}

// File is the file in a role.
func (m Manifest) File(r Role) (File, bool) {
	for _, f := range m.Files {
		if f.Role == r {
			return f, true
		}
	}
	return File{}, false
}

// WeightsFile is the file of weights, which every parsed manifest has.
func (m Manifest) WeightsFile() File {
	f, _ := m.File(Weights)
	return f
}

// Bytes is the size of all files but manifest and signature.
func (m Manifest) Bytes() int64 {
	var n int64
	for _, f := range m.Files {
		n += f.Bytes
	}
	return n
}

// ID names a bundle by its content: the SHA-256 of its manifest's bytes, which
// has the hash of all the rest.
func ID(manifest []byte) string {
	sum := sha256.Sum256(manifest)
	return hex.EncodeToString(sum[:])
}
