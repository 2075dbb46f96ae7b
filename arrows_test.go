package lineside_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// arrows is the law of imports: what stands below a folder may import its own
// tree and what is listed here, nothing else of this module. Longest match wins.
// ARCHITECTURE.md draws the same table.
var arrows = map[string][]string{
	// floor 0: none imports another
	"hw":        {},
	"mqtt":      {},
	"inference": {},
	"systemd":   {},
	"image":     {},
	// floor 1: the model's side
	"inference/inferencetest": {"inference"},
	"inference/chat":          {"inference", "inference/model/gguf"}, // templates stand in the file's header
	"inference/constraint":    {"inference"},
	"inference/serve":         {"inference"},
	"inference/bench":         {"inference", "inference/calibrate"},
	"inference/engine":        {"inference", "inference/constraint", "inference/chat"},
	"inference/calibrate":     {"inference/engine"},
	"inference/llama":         {"inference", "inference/engine", "inference/model"},
	"inference/model":         {"inference"},
	// floor 2: policy
	"daemon": {"hw", "mqtt", "inference", "inference/model"},
	// floor 3: wiring, and tests of the whole house
	"cmd":   {"*"},
	"tests": {"*"},
	"tools": {"*"},
}

// exact lists packages that are named alone in a list above, without their tree.
var exact = map[string]bool{"inference": true, "mqtt": true} // the daemon speaks through mqtt, never past it to mqtt/wire

type pkg struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
	CgoFiles                           []string
	GoFiles                            []string
	Doc                                string
}

const module = "lineside/"

func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports,CgoFiles,GoFiles,Doc", "./...")
	// With cgo on, the one cgo package shows its C files; listing needs no compiler.
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []pkg
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(p.ImportPath, module) { // the root itself holds no code
			pkgs = append(pkgs, p)
		}
	}
}

// home is the entry of arrows that governs a package of this module.
func home(path string) string {
	path = strings.TrimPrefix(path, module)
	best := ""
	for h := range arrows {
		if (path == h || strings.HasPrefix(path, h+"/")) && len(h) > len(best) {
			best = h
		}
	}
	return best
}

func allowed(from, to string) bool {
	h, rel := home(from), strings.TrimPrefix(to, module)
	if h == home(to) {
		return true
	}
	for _, a := range arrows[h] {
		if a == "*" || rel == a || !exact[a] && strings.HasPrefix(rel, a+"/") {
			return true
		}
	}
	return false
}

// TestArrows holds every import of the module to the table.
func TestArrows(t *testing.T) {
	for _, p := range list(t) {
		if home(p.ImportPath) == "" {
			t.Errorf("%s stands on no floor: give it a place in arrows and in ARCHITECTURE.md", p.ImportPath)
			continue
		}
		for _, to := range p.Imports {
			if strings.HasPrefix(to, module) && !allowed(p.ImportPath, to) {
				t.Errorf("%s imports %s: no such arrow", p.ImportPath, to)
			}
		}
	}
}

// TestTestArrows lets tests import their contract's suite too, but nothing above them.
func TestTestArrows(t *testing.T) {
	for _, p := range list(t) {
		for _, to := range slices.Concat(p.TestImports, p.XTestImports) {
			if !strings.HasPrefix(to, module) || allowed(p.ImportPath, to) {
				continue
			}
			if strings.HasSuffix(to, "test") && allowed(p.ImportPath, to[:strings.LastIndex(to, "/")]) {
				continue
			}
			if strings.HasPrefix(to, module+"inference/model/") && strings.HasPrefix(p.ImportPath, module+"inference/") {
				continue // the model's side makes its test models with the project's own writer
			}
			t.Errorf("tests of %s import %s: no such arrow", p.ImportPath, to)
		}
	}
}

// TestOnlyOneCgoPackage keeps C where it can be guarded.
func TestOnlyOneCgoPackage(t *testing.T) {
	for _, p := range list(t) {
		if len(p.CgoFiles) > 0 && p.ImportPath != module+"inference/llama" {
			t.Errorf("%s imports C: only inference/llama may", p.ImportPath)
		}
		uses := slices.ContainsFunc(p.Imports, func(i string) bool { return strings.HasPrefix(i, "github.com/ollama/") })
		if uses && p.ImportPath != module+"inference/llama" && home(p.ImportPath) != "tools" {
			t.Errorf("%s imports the llama binding: only inference/llama may", p.ImportPath)
		}
	}
}

// TestPackageDocs asks every package to say what it is for.
func TestPackageDocs(t *testing.T) {
	for _, p := range list(t) {
		if len(p.GoFiles) > 0 && len(strings.Fields(p.Doc)) < 5 {
			t.Errorf("%s has no package doc: say what it is for and what it never does", p.ImportPath)
		}
	}
}
