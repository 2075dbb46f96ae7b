package provision

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// store keeps imported configurations, each in a folder named after its contents. current
// is a link to the one in use, so that changing it is one step.
type store struct {
	dir   string
	owner *int // group that may read; nil: leave it
}

const currentLink = "current"

func (s store) path() string { return filepath.Join(s.dir, currentLink) }

// current is the folder in use, nil for none.
func (s store) current() fs.FS {
	if i, err := os.Stat(s.path()); err != nil || !i.IsDir() {
		return nil
	}
	return os.DirFS(s.path())
}

// put imports a plan and takes it into use. What is there already is not written again.
func (s store) put(p *Plan) error {
	name := p.sum()
	if to, err := os.Readlink(s.path()); err == nil && to == name {
		return nil
	}
	if err := s.mkdir(s.dir); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(s.dir, name)); errors.Is(err, fs.ErrNotExist) {
		if err := s.write(p, name); err != nil {
			return err
		}
	}
	link := filepath.Join(s.dir, "link.new")
	if err := errors.Join(remove(link), os.Symlink(name, link), os.Rename(link, s.path()), syncDir(s.dir)); err != nil {
		return err
	}
	return s.clean(name)
}

// write makes the folder of a plan: beside, onto the medium, then under its name.
func (s store) write(p *Plan, name string) error {
	fresh := filepath.Join(s.dir, "folder.new")
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := errors.Join(s.mkdir(fresh), s.mkdir(filepath.Join(fresh, skillsDir))); err != nil {
		return err
	}
	for _, n := range p.names() {
		if err := replace(filepath.Join(fresh, n), p.Files[n], 0o640, s.owner); err != nil {
			return err
		}
	}
	return errors.Join(syncDir(fresh), os.Rename(fresh, filepath.Join(s.dir, name)), syncDir(s.dir))
}

// clean removes what is not in use: an old configuration holds old secrets.
func (s store) clean(inUse string) error {
	list, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		if e.Name() != inUse && e.Name() != currentLink {
			err = errors.Join(err, os.RemoveAll(filepath.Join(s.dir, e.Name())))
		}
	}
	return err
}

func (s store) mkdir(dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	return chgrp(dir, s.owner)
}

// sum names a plan by what is in it.
func (p *Plan) sum() string {
	h := sha256.New()
	for _, n := range p.names() {
		fmt.Fprintf(h, "%d %s %d ", len(n), n, len(p.Files[n]))
		h.Write(p.Files[n])
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// apply puts the configuration in use into effect: network, time zone, SSH, under /run.
func (s store) apply(root string) error {
	current := s.current()
	if current == nil {
		return errors.New("no configuration is in use")
	}
	system, password := defaults(), ""
	if data, err := fs.ReadFile(current, cardFile); err == nil {
		if d, err := parse(data); err == nil {
			if read, errs := d.system(); len(errs) == 0 {
				system = read
			}
		}
	}
	if f := system.WiFi.PasswordFile; f != "" {
		b, err := fs.ReadFile(current, f)
		if err != nil {
			return fmt.Errorf("the Wi-Fi password: %w", err)
		}
		password, _ = passphrase(b)
	}
	files := system.files(password)
	for _, stale := range stale(root, files) {
		if err := remove(stale); err != nil {
			return err
		}
	}
	for name, content := range files {
		mode := fs.FileMode(0o644)
		if name == wifiFile {
			mode = 0o600
		}
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := replace(path, []byte(content), mode, nil); err != nil {
			return err
		}
	}
	zone := filepath.Join(root, zoneFile)
	return errors.Join(os.MkdirAll(filepath.Dir(zone), 0o755), remove(zone), os.Symlink("/usr/share/zoneinfo/"+system.TimeZone, zone))
}

// stale are files of an earlier configuration that this one does not have.
func stale(root string, files map[string]string) []string {
	all, _ := filepath.Glob(filepath.Join(root, networkDir, "*lineside*"))
	all = append(all, filepath.Join(root, wifiFile), filepath.Join(root, sshFile))
	return slices.DeleteFunc(all, func(path string) bool {
		for name := range files {
			if filepath.Join(root, name) == path {
				return true
			}
		}
		return false
	})
}

// replace writes a file whole: beside it, onto the medium, then over it.
func replace(path string, b []byte, mode fs.FileMode, group *int) (err error) {
	fresh := path + ".new"
	f, err := os.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(fresh))
	}
	if err := chgrp(fresh, group); err != nil {
		return err
	}
	return errors.Join(os.Rename(fresh, path), syncDir(filepath.Dir(path)))
}

func chgrp(path string, group *int) error {
	if group == nil {
		return nil
	}
	return os.Chown(path, -1, *group)
}

func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// owner is the group that linesided runs as, by the board's own list; nil where there is none
// or this user may not give files away.
func owner(root string) *int {
	if os.Geteuid() != 0 {
		return nil
	}
	f, err := os.Open(filepath.Join(root, "etc/group"))
	if err != nil {
		return nil
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if w := strings.Split(lines.Text(), ":"); len(w) > 2 && w[0] == "lineside" {
			if gid, err := strconv.Atoi(w[2]); err == nil {
				return &gid
			}
		}
	}
	return nil
}
