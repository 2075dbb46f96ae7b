package demo_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"lineside/inference/model/demo"
	"lineside/inference/model/gguf"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path, err := demo.Write(dir)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != demo.SHA256() {
		t.Error("the written file has another hash")
	}
	if len(data) > 6_000_000 {
		t.Errorf("the model has %d bytes, at most 6 MB are for it", len(data))
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := demo.Write(dir); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(path)
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("a whole file was written again (%v)", err)
	}
	if err := os.Truncate(path, 100); err != nil {
		t.Fatal(err)
	}
	if _, err := demo.Write(dir); err != nil {
		t.Fatal(err)
	}
	if err := gguf.Check(path); err != nil {
		t.Errorf("a damaged file was left: %v", err)
	}
	if err := demo.WriteSkills(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := demo.Write(dir + "/absent"); err == nil {
		t.Error("an absent folder was no error")
	}
}

// TestCard: the model card speaks of the file that is shipped.
func TestCard(t *testing.T) {
	card, err := os.ReadFile("MODEL_CARD.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(card), demo.SHA256()) {
		t.Errorf("MODEL_CARD.md does not have the model's hash %s: bring it up to date with its scores", demo.SHA256())
	}
}
