package skill

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
)

// maxSkills bounds how many files are taken from a folder.
const maxSkills = 256

// Library is a folder of skills. Scan takes up what changed; a file that is bad
// is reported and its last good version stays. Reading is safe for concurrent
// use; only one goroutine may call Scan.
type Library struct {
	dir    string
	files  map[string]source // by file name
	skills atomic.Pointer[map[string]*Skill]
}

type source struct {
	sum   [sha256.Size]byte
	skill *Skill // last good version; nil: none yet
	err   error  // of the newest content
}

// NewLibrary names the folder; Scan reads it. A folder that does not exist is empty.
func NewLibrary(dir string) *Library {
	l := &Library{dir: dir, files: map[string]source{}}
	l.skills.Store(&map[string]*Skill{})
	return l
}

// Get finds a skill by name.
func (l *Library) Get(name string) (*Skill, bool) {
	s, ok := (*l.skills.Load())[name]
	return s, ok
}

// All lists the skills by name.
func (l *Library) All() []*Skill {
	m := *l.skills.Load()
	all := make([]*Skill, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		all = append(all, m[name])
	}
	return all
}

// Change is what a Scan found.
type Change struct {
	Changed []string // skills that are new or newer, by name
	Removed []string // skills that are gone
	Bad     []error  // files that are refused since now, with their name
}

// Scan reads the folder again. Its error says that the folder itself cannot be
// read; everything then stays as it was.
func (l *Library) Scan() (Change, error) {
	entries, err := os.ReadDir(l.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Change{}, fmt.Errorf("read skills: %w", err)
	}
	var c Change
	next := map[string]source{}
	for _, e := range entries {
		if e.IsDir() || !strings.HasSuffix(e.Name(), ".toml") || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if len(next) == maxSkills {
			c.Bad = append(c.Bad, fmt.Errorf("%s: more than %d skills: the rest is left out", e.Name(), maxSkills))
			break
		}
		was, known := l.files[e.Name()]
		now := l.read(e.Name(), was)
		if now.err != nil && (!known || now.sum != was.sum || was.err == nil) {
			c.Bad = append(c.Bad, fmt.Errorf("%s: %w", e.Name(), now.err))
		}
		next[e.Name()] = now
	}
	before := *l.skills.Load()
	after, clashes := index(next)
	if !maps.EqualFunc(l.files, next, func(a, b source) bool { return a.sum == b.sum }) {
		c.Bad = append(c.Bad, clashes...)
	}
	for name, s := range after {
		if old := before[name]; old == nil || old.hash != s.hash {
			c.Changed = append(c.Changed, name)
		}
	}
	for name := range before {
		if after[name] == nil {
			c.Removed = append(c.Removed, name)
		}
	}
	slices.Sort(c.Changed)
	slices.Sort(c.Removed)
	l.files = next
	l.skills.Store(&after)
	return c, nil
}

// read parses a file if its content is new.
func (l *Library) read(name string, was source) source {
	data, err := readBounded(filepath.Join(l.dir, name))
	if err != nil {
		return source{skill: was.skill, err: err}
	}
	sum := sha256.Sum256(data)
	if sum == was.sum {
		return was
	}
	s, err := Parse(data)
	if err != nil {
		return source{sum: sum, skill: was.skill, err: err}
	}
	return source{sum: sum, skill: s}
}

// Load reads one skill file.
func Load(path string) (*Skill, error) {
	data, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	s, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > MaxFile {
		return nil, fmt.Errorf("%s is not a file of at most %d bytes", path, MaxFile)
	}
	return os.ReadFile(path)
}

// index names the skills; where two files have one name, the first file wins.
func index(files map[string]source) (map[string]*Skill, []error) {
	byName := map[string]*Skill{}
	from := map[string]string{}
	var clashes []error
	for _, file := range slices.Sorted(maps.Keys(files)) {
		s := files[file].skill
		if s == nil {
			continue
		}
		if other, taken := from[s.Name]; taken {
			clashes = append(clashes, fmt.Errorf("%s: skill %q is already in %s: rename one", file, s.Name, other))
			continue
		}
		byName[s.Name], from[s.Name] = s, file
	}
	return byName, clashes
}
