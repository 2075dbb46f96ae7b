package provision

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"lineside/image/layout"
)

// Policy is what the caller knows of linesided's part of the file.
type Policy struct {
	// Files are the keys of linesided's part that name files, and what these hold.
	Files map[string]Kind
	// Check says what is wrong with linesided's part, in which files have the names
	// that they get on the board.
	Check func(toml []byte) error
	// Default is linesided's part before there is a lineside.toml.
	Default []byte
}

// Kind of a file that lineside.toml names.
type Kind string

// Kinds.
const (
	Plain       Kind = "file"
	Certificate Kind = "certificate" // PEM
	Key         Kind = "key"         // PEM; a secret
	Secret      Kind = "secret"
)

func (k Kind) secret() bool { return k == Key || k == Secret }

// etc is where linesided finds its files; the mount leads to the imported ones.
const etc = "/etc/lineside"

// Sizes of what is read from a card, which anybody can have written.
const (
	maxConfig = 256 << 10
	maxFile   = 256 << 10
	maxSkills = 200
)

// Plan is a checked configuration with everything that belongs to it.
type Plan struct {
	System  System
	Files   map[string][]byte // by name below the configuration's folder
	Secrets []string          // names on the card that must not stay there
	wifi    string            // password
}

// Names inside a configuration's folder.
const (
	cardFile   = "card.toml"     // as the technician wrote it
	daemonFile = "lineside.toml" // linesided's part
	ownerFile  = "owner.pub"     // whose models are trusted
	skillsDir  = "skills"
)

// ErrNone says that the card has no lineside.toml.
var ErrNone = errors.New("there is no " + layout.ConfigFile)

// Read reads and checks the configuration on a card. earlier is the folder that was
// imported before, nil for none: files that were taken off the card are found there.
// All mistakes come back together.
func Read(card, earlier fs.FS, policy Policy) (*Plan, error) {
	data, err := readFile(card, layout.ConfigFile, maxConfig)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := fs.Stat(card, layout.ConfigFile+".txt"); err == nil {
			return nil, fmt.Errorf("%w, but a %s.txt: rename it; the laptop may hide the .txt", ErrNone, layout.ConfigFile)
		}
		return nil, ErrNone
	}
	if err != nil {
		return nil, err
	}
	d, err := parse(data)
	if err != nil {
		return nil, err
	}
	p := &Plan{Files: map[string][]byte{cardFile: data}}
	var errs []error
	p.System, errs = d.system()
	g := gathering{plan: p, card: card, earlier: earlier, doc: d}
	p.Files[daemonFile] = d.rename(data, g.files(policy))
	if password := p.System.WiFi.PasswordFile; p.System.WiFi.SSID != "" && password != "" {
		g.wifi(password)
	}
	g.extras()
	errs = append(errs, g.errs...)
	if err := policy.Check(p.Files[daemonFile]); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return p, nil
}

// readFile reads a file of a bounded size.
func readFile(f fs.FS, name string, limit int64) ([]byte, error) {
	i, err := fs.Stat(f, name)
	switch {
	case err != nil:
		return nil, err
	case !i.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no file", name)
	case i.Size() > limit:
		return nil, fmt.Errorf("%s has %d bytes, %d are permitted", name, i.Size(), limit)
	}
	return fs.ReadFile(f, name)
}

// gathering collects the files that a configuration names.
type gathering struct {
	plan          *Plan
	card, earlier fs.FS
	doc           *document
	errs          []error
}

// fileName is how a file beside lineside.toml may be called.
var fileName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_. -]{0,63}$`)

// files takes in what linesided's part names, and says how the keys read on the board.
func (g *gathering) files(policy Policy) map[string]string {
	names := map[string]string{}
	pem := map[string][]byte{}
	for _, s := range g.doc.strings {
		kind, ok := policy.Files[s.key]
		if !ok || s.value == "" || path.IsAbs(s.value) {
			continue
		}
		b := g.take(s.key, s.value, kind)
		if b == nil {
			continue
		}
		pem[s.key] = b
		names[s.key] = path.Join(etc, s.value)
	}
	for key, b := range pem {
		if cert, ok := strings.CutSuffix(key, "key_file"); ok && policy.Files[key] == Key {
			if c := pem[cert+"cert_file"]; c != nil {
				if _, err := tls.X509KeyPair(c, b); err != nil {
					g.reject(key, "key and certificate do not belong together: %v", err)
				}
			}
		}
	}
	return names
}

func (g *gathering) reject(key, format string, args ...any) {
	g.errs = append(g.errs, g.doc.at(key, format, args...))
}

// take reads one file from the card, or as it was imported before; nil where neither has it.
func (g *gathering) take(key, name string, kind Kind) []byte {
	if !fileName.MatchString(name) || strings.EqualFold(name, layout.ConfigFile) || name == cardFile || strings.EqualFold(name, layout.StatusFile) {
		g.reject(key, "%q is no name of a file beside %s: letters, digits, space and _ . - only, no folder", name, layout.ConfigFile)
		return nil
	}
	b, err := readFile(g.card, name, maxFile)
	switch {
	case err == nil && kind.secret():
		g.plan.Secrets = append(g.plan.Secrets, name)
	case errors.Is(err, fs.ErrNotExist) && g.earlier != nil:
		b, err = readFile(g.earlier, name, maxFile)
	}
	if errors.Is(err, fs.ErrNotExist) {
		g.reject(key, "the file %s is not on the card: copy it beside %s", name, layout.ConfigFile)
		return nil
	}
	if err == nil {
		err = kind.check(b)
	}
	if err != nil {
		g.reject(key, "%s: %v", name, err)
		return nil
	}
	g.plan.Files[name] = b
	return b
}

// check looks at the form of a file.
func (k Kind) check(b []byte) error {
	if len(bytes.TrimSpace(b)) == 0 {
		return errors.New("it is empty")
	}
	switch k {
	case Certificate:
		n := 0
		for rest := b; ; n++ {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			if _, err := x509.ParseCertificate(block.Bytes); err != nil {
				return fmt.Errorf("no certificate in PEM form: %w", err)
			}
		}
		if n == 0 {
			return errors.New("no certificate in PEM form: convert it (-----BEGIN CERTIFICATE-----)")
		}
	case Key:
		block, _ := pem.Decode(b)
		if block == nil || !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return errors.New("no key in PEM form: convert it (-----BEGIN PRIVATE KEY-----)")
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
			return errors.New("the key has a password: nobody is there to type it, store it without one")
		}
	}
	return nil
}

func (g *gathering) wifi(name string) {
	const key = "system.wifi.password_file"
	b := g.take(key, name, Secret)
	if b == nil {
		return
	}
	var ok bool
	if g.plan.wifi, ok = passphrase(b); !ok {
		g.reject(key, "%s: a Wi-Fi password has 8 to 63 letters, digits and signs of the English keyboard on the first line", name)
	}
}

// extras takes in what the configuration does not name: the owner's key and skills.
func (g *gathering) extras() {
	for _, f := range []fs.FS{g.card, g.earlier} {
		if f == nil || g.plan.Files[ownerFile] != nil {
			continue
		}
		if b, err := readFile(f, ownerFile, maxFile); err == nil {
			g.plan.Files[ownerFile] = b
		}
	}
	list, err := fs.ReadDir(g.card, skillsDir)
	if err != nil {
		return // none is no mistake
	}
	for i, e := range list {
		name := path.Join(skillsDir, e.Name())
		if i == maxSkills {
			g.errs = append(g.errs, &Problem{Text: fmt.Sprintf("more than %d files in %s", maxSkills, skillsDir)})
			return
		}
		if path.Ext(name) != ".toml" || !fileName.MatchString(e.Name()) {
			continue
		}
		b, err := readFile(g.card, name, maxFile)
		if err != nil {
			g.errs = append(g.errs, &Problem{Text: err.Error()})
			continue
		}
		g.plan.Files[name] = b
	}
}

// names of the files, in order.
func (p *Plan) names() []string {
	var all []string
	for name := range p.Files {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// Card are the files as they stand on a card, for whoever writes one.
func (p *Plan) Card() map[string][]byte {
	all := map[string][]byte{}
	for name, b := range p.Files {
		switch name {
		case daemonFile:
		case cardFile:
			all[layout.ConfigFile] = b
		default:
			all[name] = b
		}
	}
	return all
}
