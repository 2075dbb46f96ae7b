// Command sbom writes what is inside built programs: a CycloneDX 1.6 bill of materials as
// JSON, and the licence texts of the modules, as their licences ask for. Of an image it writes
// the bill of its packages.
//
//	sbom -version 1.0 -o lineside.cdx.json -notices third-party.txt PROGRAM...
//	sbom -version 1.0 -o sbom.cdx.json -dpkg STATUS
//
// It reads the programs, not the source tree, so it lists what was linked and nothing else. The same
// programs give the same bytes.
package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
)

// The subset of CycloneDX 1.6 that is used. https://cyclonedx.org/docs/1.6/json/
type bom struct {
	Format       string       `json:"bomFormat"`
	Spec         string       `json:"specVersion"`
	Serial       string       `json:"serialNumber"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Type     string    `json:"type"`
	Ref      string    `json:"bom-ref"`
	Name     string    `json:"name"`
	Version  string    `json:"version"`
	Purl     string    `json:"purl,omitempty"`
	Hashes   []hash    `json:"hashes,omitempty"`
	Licences []licence `json:"licenses,omitempty"`
	Note     string    `json:"description,omitempty"`

	texts string // folder of its licence; empty: the module's
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type licence struct {
	Licence struct {
		ID string `json:"id"`
	} `json:"license"`
}

type dependency struct {
	Ref     string   `json:"ref"`
	Depends []string `json:"dependsOn"`
}

func main() {
	version := flag.String("version", "", "version of the package")
	out := flag.String("o", "", "bill of materials `FILE`")
	notices := flag.String("notices", "", "licence texts `FILE`")
	status := flag.String("dpkg", "", "dpkg's status `FILE` of an image, instead of programs")
	flag.Parse()
	var err error
	if *status != "" {
		err = image(*version, *out, *status)
	} else {
		err = run(*version, *out, *notices, flag.Args())
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "sbom: %v\n", err)
		os.Exit(1)
	}
}

func run(version, out, notices string, programs []string) error {
	if len(programs) == 0 || out == "" || notices == "" {
		return fmt.Errorf("usage: sbom -version V -o FILE -notices FILE PROGRAM [PROGRAM]")
	}
	main := component{Type: "application", Ref: "lineside@" + version, Name: "lineside", Version: version, Licences: id("Apache-2.0")}
	b := bom{Format: "CycloneDX", Spec: "1.6", Version: 1, Metadata: metadata{main}}
	modules := map[string]component{}
	top := dependency{Ref: main.Ref}
	for _, p := range programs {
		c, uses, err := program(p, modules)
		if err != nil {
			return err
		}
		b.Components = append(b.Components, c)
		b.Dependencies = append(b.Dependencies, uses)
		top.Depends = append(top.Depends, c.Ref)
	}
	b.Dependencies = append([]dependency{top}, b.Dependencies...)
	var text strings.Builder
	for _, ref := range sorted(modules) {
		c := modules[ref]
		if err := describe(&c, &text); err != nil {
			return err
		}
		b.Components = append(b.Components, c)
	}
	if err := b.write(out); err != nil {
		return err
	}
	return os.WriteFile(notices, []byte(text.String()), 0o644)
}

func (b bom) write(file string) error {
	b.Serial = serial(b)
	data, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}

// program is one binary with the modules that are linked into it.
func program(path string, modules map[string]component) (component, dependency, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return component{}, dependency{}, err
	}
	f, err := os.Open(path)
	if err != nil {
		return component{}, dependency{}, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return component{}, dependency{}, err
	}
	sum := hex.EncodeToString(h.Sum(nil))
	c := component{Type: "application", Ref: filepath.Base(path), Name: filepath.Base(path), Version: sum[:12], Hashes: []hash{{"SHA-256", sum}},
		Licences: id("Apache-2.0")}
	uses := dependency{Ref: c.Ref}
	add := func(name, version, sum string) {
		m := component{Type: "library", Name: name, Version: version, Purl: "pkg:golang/" + name + "@" + version}
		m.Ref = m.Purl
		if raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(sum, "h1:")); err == nil && len(raw) == 32 {
			m.Note = "Go module hash " + sum
		}
		modules[m.Ref] = m
		uses.Depends = append(uses.Depends, m.Ref)
	}
	add("std", strings.TrimPrefix(info.GoVersion, "go"), "")
	for _, d := range info.Deps {
		if d.Replace != nil {
			d = d.Replace
		}
		add(d.Path, d.Version, d.Sum)
		if d.Path == llama {
			all, err := native(d.Version, info)
			if err != nil {
				return component{}, dependency{}, err
			}
			for _, n := range all {
				modules[n.Ref] = n
				uses.Depends = append(uses.Depends, n.Ref)
			}
		}
	}
	slices.Sort(uses.Depends)
	return c, uses, nil
}

// llama is the module whose C++ the engine links.
const llama = "github.com/ollama/ollama"

var commit = regexp.MustCompile(`LLAMA_COMMIT = "([0-9a-f]+)"`)

// native is what the engine links and no Go module names: the C++ of llama.cpp, and what Debian's
// compiler and headers bring.
func native(version string, info *debug.BuildInfo) ([]component, error) {
	dir, err := folder(component{Name: llama, Version: version})
	if err != nil {
		return nil, err
	}
	made, err := os.ReadFile(filepath.Join(dir, "llama", "build-info.cpp"))
	if err != nil {
		return nil, err
	}
	at := commit.FindSubmatch(made)
	if at == nil {
		return nil, fmt.Errorf("%s does not say which llama.cpp it has", llama)
	}
	gcc := "libgcc-12-dev"
	if slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "GOARCH" && s.Value == "arm64" }) {
		gcc = "libgcc-12-dev-arm64-cross"
	}
	all := []component{
		{Name: "llama.cpp", Version: string(at[1]), Purl: "pkg:github/ggml-org/llama.cpp@" + string(at[1]), Licences: id("MIT"), texts: filepath.Join(dir, "llama", "llama.cpp")},
		debian("nlohmann-json3-dev", "MIT"), debian("libstb-dev", "MIT"), debian(gcc, "GPL-3.0-with-GCC-exception"),
	}
	for i := range all {
		all[i].Type, all[i].Ref = "library", all[i].Purl
	}
	return all, nil
}

// debian is a package of this machine. Its licence stands in Debian's own words.
func debian(name, licence string) component {
	c := component{Name: name, Version: "unknown", Licences: id(licence), texts: "/usr/share/doc/" + name}
	if out, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", name).Output(); err == nil {
		c.Version = string(out)
	}
	c.Purl = "pkg:deb/debian/" + name + "@" + c.Version
	return c
}

// texts are the files that hold licences and what they ask to hand on.
var texts = regexp.MustCompile(`(?i)^(licen[cs]e|copying|copyright|notice|patents|authors)([.-].*)?$`)

// describe finds a module's licence, and appends its texts.
func describe(c *component, text *strings.Builder) error {
	dir, err := c.texts, error(nil)
	if dir == "" {
		if dir, err = folder(*c); err != nil {
			return err
		}
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	found := false
	for _, n := range names {
		if n.IsDir() || !texts.MatchString(n.Name()) {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, n.Name()))
		if err != nil {
			return err
		}
		if spdx := recognise(string(data)); spdx != "" && len(c.Licences) == 0 {
			c.Licences = id(spdx)
		}
		found = true
		fmt.Fprintf(text, "==== %s %s: %s\n\n%s\n\n", c.Name, c.Version, n.Name(), strings.TrimSpace(string(data)))
	}
	if !found {
		return fmt.Errorf("%s has no licence file in %s: may it be handed on?", c.Name, dir)
	}
	if len(c.Licences) == 0 {
		return fmt.Errorf("the licence of %s is not one that is known here: read it, and add it to recognise", c.Name)
	}
	return nil
}

func folder(c component) (string, error) {
	args := []string{"list", "-m", "-f", "{{.Dir}}", c.Name}
	if c.Name == "std" {
		args = []string{"env", "GOROOT"}
	}
	out, err := exec.Command("go", args...).Output()
	if err != nil {
		return "", fmt.Errorf("find %s: %w", c.Name, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// recognise tells a licence by words that only it has.
func recognise(text string) string {
	text = strings.Join(strings.Fields(strings.ToLower(text)), " ")
	for _, l := range [][2]string{
		{"apache license version 2.0", "Apache-2.0"}, {"licensed under the apache license, version 2.0", "Apache-2.0"},
		{"mozilla public license version 2.0", "MPL-2.0"}, {"mozilla public license, version 2.0", "MPL-2.0"},
		{"eclipse public license - v 2.0", "EPL-2.0"},
		{"permission to use, copy, modify, and/or distribute this software for any purpose", "ISC"},
		{"permission is hereby granted, free of charge, to any person obtaining a copy", "MIT"},
		{"may be used to endorse or promote products", "BSD-3-Clause"},
		{"redistribution and use in source and binary forms", "BSD-2-Clause"},
	} {
		if strings.Contains(text, l[0]) {
			return l[1]
		}
	}
	return ""
}

func id(spdx string) []licence {
	var l licence
	l.Licence.ID = spdx
	return []licence{l}
}

// serial is made of the content, so that it changes with it and with nothing else.
func serial(b bom) string {
	data, _ := json.Marshal(b) // strings and lists of strings always encode
	h := sha256.Sum256(data)
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80 // RFC 9562: version 8, made by a rule of its own
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", h[0:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

func sorted(m map[string]component) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
