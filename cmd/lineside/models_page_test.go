package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lineside/inference/model/modeltest"
)

// step is a command of a page and the output it promises.
type step struct {
	command string
	output  []string
}

// steps takes the commands out of a page's console blocks.
func steps(page string) []step {
	var list []step
	in := false
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "```"):
			in = line == "```console"
		case in && strings.HasPrefix(line, "$ "):
			list = append(list, step{command: line[2:]})
		case in && line != "":
			last := &list[len(list)-1]
			last.output = append(last.output, line)
		}
	}
	return list
}

// words splits a command at spaces outside double quotes.
func words(command string) []string {
	var list []string
	for _, m := range regexp.MustCompile(`"([^"]*)"|(\S+)`).FindAllStringSubmatch(command, -1) {
		list = append(list, m[1]+m[2])
	}
	return list
}

// promised turns a line of the page, where … stands for anything, into a pattern.
func promised(line string) *regexp.Regexp {
	parts := strings.Split(line, "…")
	for i, p := range parts {
		parts[i] = regexp.QuoteMeta(p)
	}
	return regexp.MustCompile(strings.Join(parts, ".*"))
}

// TestModelsPage walks the technician's whole path as docs/models.md has it.
func TestModelsPage(t *testing.T) {
	if testing.Short() {
		t.Skip("copies half a gigabyte")
	}
	page, err := os.ReadFile("../../docs/models.md")
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
	list := steps(string(page))
	if len(list) < 20 {
		t.Fatalf("only %d commands on the page", len(list))
	}
	for _, s := range list {
		args := words(strings.ReplaceAll(s.command, "/media/stick", stick))
		if args[0] != "lineside" {
			t.Fatalf("a command that is not ours: %s", s.command)
		}
		var out bytes.Buffer
		if code := run(context.Background(), args[1:], strings.NewReader(""), &out, &out); code != exitDone {
			t.Fatalf("%s\nexits %d:\n%s", s.command, code, out.String())
		}
		got := strings.ReplaceAll(out.String(), stick, "/media/stick")
		for _, line := range s.output {
			if !promised(line).MatchString(got) {
				t.Errorf("%s\npromises %q and prints\n%s", s.command, line, got)
			}
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
