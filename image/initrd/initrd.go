// Package initrd writes the initial RAM file system that finds a root and starts it:
// one static program, the kernel modules that it loads, and nothing else. It is made
// natively for any architecture in a moment, where Debian's own tools would have to run
// under emulation.
//
// It never runs anything, and takes modules from a folder that is a parameter.
package initrd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Paths inside the archive, which the init program reads.
const (
	ModuleDir  = "modules"      // the modules themselves
	ModuleList = "modules.list" // their names, in the order of loading
	Run        = "run"          // what the started system finds in its /run
)

// Init writes an archive with the program as /init and the modules that it loads at
// start, with all that they need, from a folder like /lib/modules/6.1.0-49-arm64.
func Init(w io.Writer, program, moduleDir string, modules []string) error {
	deps, err := dependencies(moduleDir)
	if err != nil {
		return err
	}
	modules, err = notBuiltIn(moduleDir, modules)
	if err != nil {
		return err
	}
	order, err := loadOrder(deps, modules)
	if err != nil {
		return err
	}
	a := NewArchive(w)
	for _, d := range []string{"dev", "proc", "sys", "root", ModuleDir} {
		a.Dir(d)
	}
	var list strings.Builder
	for _, m := range order {
		name := path.Base(m)
		b, err := os.ReadFile(filepath.Join(moduleDir, m))
		if err != nil {
			return fmt.Errorf("read a kernel module: %w", err)
		}
		a.File(path.Join(ModuleDir, name), 0o644, b)
		fmt.Fprintln(&list, name)
	}
	a.File(ModuleList, 0o644, []byte(list.String()))
	b, err := os.ReadFile(program)
	if err != nil {
		return fmt.Errorf("read the init program: %w", err)
	}
	a.File("init", 0o755, b)
	return a.Close()
}

// dependencies reads modules.dep as depmod(8) writes it: for each module's path the
// paths of all that it needs, the last of them to be loaded first.
func dependencies(moduleDir string) (map[string][]string, error) {
	f, err := os.Open(filepath.Join(moduleDir, "modules.dep"))
	if err != nil {
		return nil, fmt.Errorf("read the modules' dependencies: %w: run depmod", err)
	}
	defer f.Close()
	return parseDependencies(f)
}

// notBuiltIn leaves out the modules that the kernel has in itself, by modules.builtin.
func notBuiltIn(moduleDir string, modules []string) ([]string, error) {
	b, err := os.ReadFile(filepath.Join(moduleDir, "modules.builtin"))
	if errors.Is(err, fs.ErrNotExist) {
		return modules, nil
	}
	if err != nil {
		return nil, err
	}
	inside := map[string]bool{}
	for file := range strings.FieldsSeq(string(b)) {
		inside[moduleName(file)] = true
	}
	return slices.DeleteFunc(slices.Clone(modules), func(m string) bool { return inside[moduleName(m)] }), nil
}

func parseDependencies(r io.Reader) (map[string][]string, error) {
	deps := map[string][]string{}
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		file, needs, ok := strings.Cut(s.Text(), ":")
		if !ok {
			return nil, fmt.Errorf("modules.dep: no colon in %q", s.Text())
		}
		deps[file] = strings.Fields(needs)
	}
	return deps, s.Err()
}

// errNoModule is a module that the folder lacks: it may be part of the kernel.
var errNoModule = errors.New("no such module")

// loadOrder is the paths of the named modules and of all that they need, in an order in
// which each finds what it needs.
func loadOrder(deps map[string][]string, names []string) ([]string, error) {
	byName := make(map[string]string, len(deps))
	for file := range deps {
		byName[moduleName(file)] = file
	}
	var order []string
	done := map[string]bool{}
	add := func(file string) {
		if !done[file] {
			done[file] = true
			order = append(order, file)
		}
	}
	for _, name := range names {
		file, ok := byName[moduleName(name)]
		if !ok {
			return nil, fmt.Errorf("%w: %s", errNoModule, name)
		}
		needs := deps[file]
		for i := len(needs) - 1; i >= 0; i-- {
			add(needs[i])
		}
		add(file)
	}
	return order, nil
}

// moduleName is what the kernel calls the module in a file: dashes are underscores.
func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}
