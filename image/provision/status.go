package provision

import (
	"errors"
	"fmt"
	"strings"

	"lineside/image/layout"
)

// statusText is STATUS.txt: for a person at any laptop, so with the line ends of Windows
// and without characters that an old editor would garble. It holds no time, since the board may
// not know it, and so that the same state is the same file.
func statusText(r Result, board string, trouble error) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("LINESIDE STATUS")
	line("Written by the board at its start. Changing this file has no effect.")
	if board != "" {
		line("\n%s", board)
	}
	line("")
	if r.Reset {
		line("FACTORY RESET DONE: the board has forgotten its plant.\n")
	}
	if r.Lost != "" {
		line("%s%s.", lostLine, r.Lost)
	}
	switch {
	case r.State == InUse:
		line("CONFIGURATION: GOOD\n%s on this card is in use.", layout.ConfigFile)
		for _, name := range r.Removed {
			line("%s%s", removedLine, name)
		}
	case errors.Is(r.Problem, ErrNone) && len(r.Problems) == 1:
		line("CONFIGURATION: MISSING\n%s.", upper(r.Problems[0]))
		mend(line, r.State)
	case r.Problem != nil:
		line("CONFIGURATION: WRONG\nNothing of it was taken over. What is wrong:\n")
		for i, p := range r.Problems {
			line("  %d. %s", i+1, p)
		}
		line("")
		mend(line, r.State)
	}
	if trouble != nil {
		line("\nTROUBLE OF THE BOARD ITSELF\n%s", upper(trouble.Error()))
		if r.Problem == nil && r.State != InUse {
			mend(line, r.State)
		}
	}
	return strings.ReplaceAll(ascii(b.String()), "\n", "\r\n")
}

// Lines that stay until something else is to be said.
const (
	removedLine = "Imported, then taken off this card because it is secret: "
	lostLine    = "DATA: "
)

// sameButEarlier reports whether two texts differ only in what an earlier start did.
func sameButEarlier(old, new string) bool {
	var b strings.Builder
	for line := range strings.Lines(old) {
		if !strings.HasPrefix(line, removedLine) && !strings.HasPrefix(line, lostLine) {
			b.WriteString(line)
		}
	}
	return b.String() == new
}

func mend(line func(string, ...any), s State) {
	if s == Kept {
		line("The board goes on with the configuration from before.")
	} else {
		line("The board has no configuration and cannot reach a broker: it answers nobody.")
	}
	line("To mend it: put %s right on this card, put the card back, switch the board on.", layout.ConfigFile)
	line("A laptop checks it first: lineside image provision --check %s", layout.ConfigFile)
}

func upper(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// ascii replaces what an old editor shows as garbage.
func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r >= 0x20 && r < 0x7f {
			return r
		}
		return '?'
	}, s)
}
