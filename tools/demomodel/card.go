package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
)

// writeCard puts the model's size, hash and scores into its card, between the
// comments <!-- file -->, <!-- scores --> and the next <!-- end -->.
func writeCard(card, model, scores string) error {
	data, err := os.ReadFile(model)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(card)
	if err != nil {
		return err
	}
	text := string(b)
	for name, block := range map[string]string{
		"file":   fmt.Sprintf("`lineside-demo.gguf`, %.2f MB, F16, SHA-256 `%x`", float64(len(data))/1e6, sha256.Sum256(data)),
		"scores": "\n```\n" + scores + "```\n",
	} {
		begin, end := "<!-- "+name+" -->", "<!-- end -->"
		head, rest, ok := strings.Cut(text, begin)
		_, tail, closed := strings.Cut(rest, end)
		if !ok || !closed {
			return fmt.Errorf("%s: no %s … %s to write between", card, begin, end)
		}
		text = head + begin + block + end + tail
	}
	return os.WriteFile(card, []byte(text), 0o644)
}
