// Package page reads the commands out of a page of the documentation, so that tests can
// run them and hold their output to what the page promises.
//
// It never runs anything.
package page

import (
	"regexp"
	"strings"
)

// Step is a command of a page and the output it promises.
type Step struct {
	Command string
	Output  []string // lines; … stands for anything
}

// Steps takes the commands out of a page's console blocks.
func Steps(page string) []Step {
	var list []Step
	in := false
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "```"):
			in = line == "```console"
		case in && strings.HasPrefix(line, "$ "):
			list = append(list, Step{Command: line[2:]})
		case in && line != "":
			last := &list[len(list)-1]
			last.Output = append(last.Output, line)
		}
	}
	return list
}

var word = regexp.MustCompile(`"([^"]*)"|(\S+)`)

// Words splits a command at spaces outside double quotes.
func Words(command string) []string {
	var list []string
	for _, m := range word.FindAllStringSubmatch(command, -1) {
		list = append(list, m[1]+m[2])
	}
	return list
}

// Missing are the promised lines that the output does not have.
func (s Step) Missing(output string) []string {
	var list []string
	for _, line := range s.Output {
		parts := strings.Split(line, "…")
		for i, p := range parts {
			parts[i] = regexp.QuoteMeta(p)
		}
		if !regexp.MustCompile(strings.Join(parts, ".*")).MatchString(output) {
			list = append(list, line)
		}
	}
	return list
}
