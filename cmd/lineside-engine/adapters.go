package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// manifest is what the engine reads of an installed bundle's own; package store has
// checked it.
type manifest struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	Base struct {
		SHA256 string `json:"sha256"`
	} `json:"base"`
	Files []struct {
		Name   string `json:"name"`
		Role   string `json:"role"`
		SHA256 string `json:"sha256"`
	} `json:"files"`
}

// adapters finds what was installed for a model: where that lies in a store, the adapters in
// the folders beside its own that were made for exactly these weights.
func adapters(model string) (map[string]string, error) {
	own, err := readManifest(filepath.Dir(model))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // a file of its own
	}
	if err != nil {
		return nil, err
	}
	weights, sum := own.weights()
	if weights != filepath.Base(model) {
		return nil, nil
	}
	objects := filepath.Dir(filepath.Dir(model))
	entries, err := os.ReadDir(objects)
	if err != nil {
		return nil, fmt.Errorf("look for adapters: %w", err)
	}
	found := map[string]string{}
	for _, e := range entries {
		m, err := readManifest(filepath.Join(objects, e.Name()))
		if file, _ := m.weights(); err == nil && m.Kind == "adapter" && m.Base.SHA256 == sum && file == filepath.Base(file) {
			found[m.Name] = filepath.Join(objects, e.Name(), file)
		}
	}
	return found, nil
}

func readManifest(dir string) (m manifest, err error) {
	b, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("%s/manifest.json: %w", dir, err)
	}
	return m, nil
}

// weights is the file of the weights and its hash.
func (m manifest) weights() (name, sha256 string) {
	for _, f := range m.Files {
		if f.Role == "weights" {
			return f.Name, f.SHA256
		}
	}
	return "", ""
}
