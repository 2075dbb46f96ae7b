// Package demo holds the demonstration model, a Llama of two million
// parameters that this project trained itself, and the three skills it was
// trained for. With it a newcomer gets sensible answers without weights or
// network, and tests can check words.
//
// It knows a made-up bottling plant and nothing else, and is no stand-in for
// Llama 3.2. MODEL_CARD.md says how it was made and how well it answers.
package demo

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Name is the model's name where answers show one.
const Name = "lineside-demo"

// Notice says what the model is; it is shown wherever the model runs.
const Notice = "demonstration model: knows a made-up bottling plant and nothing else; install Llama 3.2 for real work"

//go:embed lineside-demo.gguf
var model []byte

//go:embed skills/alarm.toml skills/triage.toml skills/extract.toml
var skills embed.FS

//go:embed golden.json
var golden []byte

// Ask is a fixed ask with the answer that the model gives to the letter,
// greedily. Tests expect it; `demomodel golden` writes it.
type Ask struct {
	Skill  string          `json:"skill,omitempty"` // empty: a free prompt
	Args   json.RawMessage `json:"args,omitempty"`
	Prompt string          `json:"prompt,omitempty"`
	Answer string          `json:"answer"` // text, or the JSON of a skill with a schema
}

// Golden are the fixed asks.
func Golden() []Ask {
	var asks []Ask
	if err := json.Unmarshal(golden, &asks); err != nil {
		panic(err) // the file is part of the program
	}
	return asks
}

// SHA256 is the hash of the model file, in hex.
func SHA256() string {
	sum := sha256.Sum256(model)
	return hex.EncodeToString(sum[:])
}

// Size is the size of the model file in bytes.
func Size() int64 { return int64(len(model)) }

// Skills are the skill files by name: "alarm.toml" and so on.
func Skills() map[string][]byte {
	files := map[string][]byte{}
	entries, err := skills.ReadDir("skills")
	for _, e := range entries {
		var b []byte
		if b, err = skills.ReadFile("skills/" + e.Name()); err != nil {
			break
		}
		files[e.Name()] = b
	}
	if err != nil {
		panic(err) // the files are part of the program
	}
	return files
}

// Write puts the model into dir, which must exist, and returns the file's path.
// A file that is already there with the same bytes is left alone.
func Write(dir string) (string, error) {
	path := filepath.Join(dir, Name+".gguf")
	return path, write(path, model)
}

// WriteSkills puts the skill files into dir, which must exist.
func WriteSkills(dir string) error {
	for name, text := range Skills() {
		if err := write(filepath.Join(dir, name), text); err != nil {
			return err
		}
	}
	return nil
}

// write puts a whole file in place, or leaves what was there.
func write(path string, data []byte) error {
	if have, err := os.ReadFile(path); err == nil && sha256.Sum256(have) == sha256.Sum256(data) {
		return nil
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".demo-*")
	if err != nil {
		return fmt.Errorf("writing the demo's files: %w", err)
	}
	defer os.Remove(tmp.Name()) // it is gone once renamed
	_, err = tmp.Write(data)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Chmod(tmp.Name(), 0o644) // the engine may run as another user
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing the demo's files: %w", err)
	}
	return nil
}
