package skill

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocs keeps the example of docs/skills.md a skill that loads.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "skills.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "```toml\n")
	example, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatal("docs/skills.md has no example")
	}
	if s := load(t, example); len(s.Examples) != 2 || s.Deadline == 0 {
		t.Errorf("the example lost its parts: %+v", s)
	}
}
