package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lineside/inference/model/modeltest"
	"lineside/tests/page"
)

// TestModelsPage walks the technician's whole path as docs/models.md has it, but for the ask:
// there is no board. tests/e2e walks it with one.
func TestModelsPage(t *testing.T) {
	if testing.Short() {
		t.Skip("copies half a gigabyte")
	}
	text, err := os.ReadFile("../../docs/models.md")
	if err != nil {
		t.Fatal(err)
	}
	texts := modeltest.Texts(t, "llama3_2")
	own := modeltest.Apache(t)
	weights := modeltest.Real(t, "llama-3.2-1b", nil)
	stick := t.TempDir()
	t.Setenv("LINESIDE_MODELS", t.TempDir())
	t.Chdir(t.TempDir())
	t.Setenv("LINESIDE_OWNER_KEY", "owner.pub")
	for to, from := range map[string]string{"texts": texts, "own": own, "Llama-3.2-1B-Instruct-Q4_0.gguf": weights} {
		if err := os.Symlink(from, to); err != nil {
			t.Fatal(err)
		}
	}
	list := page.Steps(string(text))
	if len(list) < 20 {
		t.Fatalf("only %d commands on the page", len(list))
	}
	for _, s := range list {
		args := page.Words(strings.ReplaceAll(s.Command, "/media/stick", stick))
		if args[0] != "lineside" {
			t.Fatalf("a command that is not ours: %s", s.Command)
		}
		if args[1] == "ask" {
			continue
		}
		var out bytes.Buffer
		if code := run(context.Background(), args[1:], strings.NewReader(""), &out, &out); code != exitDone {
			t.Fatalf("%s\nexits %d:\n%s", s.Command, code, out.String())
		}
		got := strings.ReplaceAll(out.String(), stick, "/media/stick")
		if missing := s.Missing(got); len(missing) > 0 {
			t.Errorf("%s\npromises %q and prints\n%s", s.Command, missing, got)
		}
	}
	if _, err := os.Stat(filepath.Join("evidence.json")); err != nil {
		t.Error(err)
	}
}

// TestModelCommands holds exit codes and messages for what people get wrong.
func TestModelCommands(t *testing.T) {
	t.Setenv("LINESIDE_MODELS", t.TempDir())
	t.Setenv("LINESIDE_OWNER_KEY", "none.pub")
	t.Chdir(t.TempDir())
	put := func(name, content string) {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("empty.gguf", "")
	put("text.gguf", "no model at all")
	put("cut.gguf", "GGUF\x03\x00\x00\x00")
	tests := []struct {
		args string
		code int
		says string
	}{
		{"model", exitDone, "Available Commands"},
		{"model nothing", exitUsage, "unknown command"},
		{"model catalogue extra", exitUsage, "no arguments"},
		{"model inspect", exitUsage, "one FILE"},
		{"model inspect absent.gguf", exitFailed, "absent.gguf: no such file"},
		{"model inspect empty.gguf", exitFailed, "the file is empty"},
		{"model inspect text.gguf", exitFailed, "not a GGUF file"},
		{"model inspect cut.gguf", exitFailed, "truncated"},
		{"model inspect .", exitFailed, "a directory"},
		{"model fit text.gguf --ram 4bananas", exitUsage, "4bananas"},
		{"model fit text.gguf --ctx 0", exitUsage, "at least 1"},
		{"model synth", exitUsage, "-o FILE"},
		{"model synth -o x.gguf --shape huge", exitUsage, "unknown shape"},
		{"model synth -o x.gguf --quant q9", exitUsage, "unknown quantization"},
		{"model synth -o none/x.gguf", exitFailed, "no such file"},
		{"model synth -o x.gguf --vocab text.gguf", exitFailed, "not a GGUF file"},
		{"model bundle text.gguf", exitUsage, "is missing"},
		{"model install absent", exitFailed, "is no bundle"},
		{"model activate absent", exitFailed, "nothing is installed"},
		{"model rollback", exitFailed, "no such model"},
		{"model verify absent", exitFailed, "nothing is installed"},
		{"model verify", exitDone, ""},
		{"model list", exitDone, "MODEL"},
		{"model list --json", exitDone, "[]"},
		{"model licences", exitDone, "no model is installed"},
		{"model accept llama3.2 --class poetry", exitUsage, "unknown use class"},
		{"model accept llama3.2", exitFailed, "give --yes"},
		{"model accept llama3.2 --yes", exitFailed, "install one first"},
		{"model purge", exitUsage, "--licence"},
		{"model except apache-2.0 instruct", exitFailed, "needs a reason"},
	}
	for _, tt := range tests {
		var out bytes.Buffer
		code := run(context.Background(), strings.Fields(tt.args), strings.NewReader(""), io.Writer(&out), &out)
		if code != tt.code || !strings.Contains(out.String(), tt.says) {
			t.Errorf("lineside %s exits %d, want %d with %q:\n%s", tt.args, code, tt.code, tt.says, out.String())
		}
	}
}
