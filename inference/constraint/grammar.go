package constraint

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxRepeats is the largest bound of a repetition, as in llama.cpp.
const maxRepeats = 2000

// readGrammar builds the machine of a GBNF grammar: llama.cpp's notation,
// whose first rule to run is called root.
// https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md
func readGrammar(text string) (*builder, error) {
	if len(text) > maxSource {
		return nil, unsupported("the grammar has %d bytes: at most %d are taken", len(text), maxSource)
	}
	if !utf8.ValidString(text) {
		return nil, bad("the grammar is not UTF-8")
	}
	g := &gbnf{builder: newBuilder(), text: text, rules: map[string]*gbnfRule{}}
	if err := g.file(); err != nil {
		return nil, err
	}
	for _, name := range g.order {
		if r := g.rules[name]; !r.defined {
			return nil, bad("grammar line %d: rule %q is used but not defined", r.line, name)
		}
	}
	root := g.rules["root"]
	if root == nil {
		return nil, bad("the grammar has no rule named root")
	}
	g.root = root.start
	return g.builder, nil
}

// gbnf parses into trees first, as the machine is built from its end.
type gbnf struct {
	*builder
	text  string
	at    int
	deep  int
	rules map[string]*gbnfRule
	order []string
}

type gbnfRule struct {
	start   int32 // filled when the rule is defined
	line    int   // of its first mention
	defined bool
}

// part consumes one thing and goes on to next.
type part func(next int32) int32

func (g *gbnf) fail(format string, args ...any) error {
	line := 1 + strings.Count(g.text[:min(g.at, len(g.text))], "\n")
	return bad("grammar line %d: "+format, append([]any{line}, args...)...)
}

func (g *gbnf) peek() byte {
	if g.at < len(g.text) {
		return g.text[g.at]
	}
	return 0
}

// space skips blanks and comments, and with lines also line ends.
func (g *gbnf) space(lines bool) {
	for g.at < len(g.text) {
		switch c := g.text[g.at]; {
		case c == ' ' || c == '\t' || lines && (c == '\n' || c == '\r'):
			g.at++
		case c == '#':
			for g.at < len(g.text) && g.text[g.at] != '\n' && g.text[g.at] != '\r' {
				g.at++
			}
		default:
			return
		}
	}
}

func (g *gbnf) file() error {
	for g.space(true); g.at < len(g.text); g.space(true) {
		name := g.name()
		if name == "" {
			return g.fail("a rule's name must stand here, not %q", g.rest())
		}
		g.space(false)
		if !strings.HasPrefix(g.text[g.at:], "::=") {
			return g.fail("::= must follow the name %s", name)
		}
		g.at += 3
		g.space(true)
		r := g.rule(name)
		if r.defined {
			return g.fail("rule %s is defined twice", name)
		}
		r.defined = true
		body, err := g.alternatives(false)
		if err != nil {
			return err
		}
		g.fill(r.start, body(g.ret))
		if c := g.peek(); g.at < len(g.text) && c != '\n' && c != '\r' {
			return g.fail("a line end must follow the rule %s, not %q", name, g.rest())
		}
	}
	return nil
}

func (g *gbnf) rest() string {
	rest, _, _ := strings.Cut(g.text[g.at:], "\n")
	if len(rest) > 20 {
		rest = strings.ToValidUTF8(rest[:20], "") + "..."
	}
	return rest
}

func (g *gbnf) name() string {
	from := g.at
	for c := g.peek(); c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'; c = g.peek() {
		g.at++
	}
	return g.text[from:g.at]
}

func (g *gbnf) rule(name string) *gbnfRule {
	r := g.rules[name]
	if r == nil {
		r = &gbnfRule{start: g.hole(), line: 1 + strings.Count(g.text[:g.at], "\n")}
		g.ruleCount++
		g.rules[name] = r
		g.order = append(g.order, name)
	}
	return r
}

func (g *gbnf) alternatives(nested bool) (part, error) {
	if g.deep++; g.deep > maxNesting {
		return nil, unsupported("the grammar nests deeper than %d levels", maxNesting)
	}
	defer func() { g.deep-- }()
	var alts []part
	for {
		p, err := g.sequence(nested)
		if err != nil {
			return nil, err
		}
		alts = append(alts, p)
		if g.peek() != '|' {
			break
		}
		g.at++
		g.space(true)
	}
	return func(next int32) int32 {
		outs := make([]int32, len(alts))
		for i, p := range alts {
			outs[i] = p(next)
		}
		return g.split(outs...)
	}, nil
}

func (g *gbnf) sequence(nested bool) (part, error) {
	var parts []part
	for g.at < len(g.text) {
		p, err := g.element()
		if err != nil {
			return nil, err
		}
		if p == nil {
			break
		}
		g.space(nested)
		for p2 := p; p2 != nil; {
			p = p2
			if p2, err = g.repeated(p); err != nil {
				return nil, err
			}
			if p2 != nil {
				g.space(nested)
			}
		}
		parts = append(parts, p)
	}
	return func(next int32) int32 {
		for _, p := range slices.Backward(parts) {
			next = p(next)
		}
		return next
	}, nil
}

// element is the next thing of a sequence, or nil where it ends.
func (g *gbnf) element() (part, error) {
	switch c := g.peek(); {
	case c == '"':
		return g.literal()
	case c == '[':
		return g.class()
	case c == '.':
		g.at++
		return g.chars(complement(nil)), nil
	case c == '(':
		g.at++
		g.space(true)
		p, err := g.alternatives(true)
		if err != nil {
			return nil, err
		}
		if g.peek() != ')' {
			return nil, g.fail("a ) is missing")
		}
		g.at++
		return p, nil
	case c == '<' || c == '!':
		return nil, unsupported("grammar at %q: tokens by number or name are not held; write their text", g.rest())
	}
	if name := g.name(); name != "" {
		r := g.rule(name)
		return func(next int32) int32 { return g.call(r.start, next) }, nil
	}
	return nil, nil
}

func (g *gbnf) chars(ranges []runeRange) part {
	return func(next int32) int32 { return g.runes(ranges, next) }
}

func (g *gbnf) literal() (part, error) {
	g.at++
	var text strings.Builder
	for g.peek() != '"' {
		r, err := g.char()
		if err != nil {
			return nil, err
		}
		text.WriteRune(r)
	}
	g.at++
	s := text.String()
	return func(next int32) int32 { return g.lit(s, next) }, nil
}

func (g *gbnf) class() (part, error) {
	g.at++
	not := g.peek() == '^'
	if not {
		g.at++
	}
	var ranges []runeRange
	for g.peek() != ']' {
		lo, err := g.char()
		if err != nil {
			return nil, err
		}
		hi := lo
		if strings.HasPrefix(g.text[g.at:], "-") && !strings.HasPrefix(g.text[g.at:], "-]") {
			g.at++
			if hi, err = g.char(); err != nil {
				return nil, err
			}
		}
		if hi < lo {
			return nil, g.fail("the range %q-%q runs backwards", lo, hi)
		}
		ranges = append(ranges, runeRange{lo, hi})
	}
	g.at++
	if not {
		ranges = complement(ranges)
	}
	return g.chars(ranges), nil
}

// char reads one character of a literal or class, escapes resolved.
func (g *gbnf) char() (rune, error) {
	if g.at >= len(g.text) {
		return 0, g.fail("the grammar ends within a text or class")
	}
	r, n := utf8.DecodeRuneInString(g.text[g.at:])
	g.at += n
	if r != '\\' {
		return r, nil
	}
	c := g.peek()
	g.at++
	switch c {
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case '"', '\\', '[', ']', '-', '^':
		return rune(c), nil
	case 'x':
		return g.hex(2)
	case 'u':
		return g.hex(4)
	case 'U':
		return g.hex(8)
	}
	return 0, g.fail("the escape \\%c is not known", c)
}

func (g *gbnf) hex(digits int) (rune, error) {
	if g.at+digits > len(g.text) {
		return 0, g.fail("%d hexadecimal digits must follow", digits)
	}
	n, err := strconv.ParseUint(g.text[g.at:g.at+digits], 16, 32)
	if err != nil || !utf8.ValidRune(rune(n)) || n > utf8.MaxRune {
		return 0, g.fail("%q is no character's number", g.text[g.at:g.at+digits])
	}
	g.at += digits
	return rune(n), nil
}

// repeated is p with the repetition that stands here, or nil if none does.
func (g *gbnf) repeated(p part) (part, error) {
	low, high := int32(0), none
	switch g.peek() {
	case '*':
	case '+':
		low = 1
	case '?':
		high = 1
	case '{':
		return g.bounds(p)
	default:
		return nil, nil
	}
	g.at++
	return g.repeat(p, low, high), nil
}

func (g *gbnf) bounds(p part) (part, error) {
	end := strings.IndexByte(g.text[g.at:], '}')
	if end < 0 {
		return nil, g.fail("a } is missing")
	}
	inside := g.text[g.at+1 : g.at+end]
	first, second, comma := strings.Cut(inside, ",")
	low, err := strconv.ParseUint(strings.TrimSpace(first), 10, 16)
	if err != nil {
		return nil, g.fail("{%s} is no repetition: write {n}, {n,} or {n,m}", inside)
	}
	high := int64(low)
	if comma {
		if second = strings.TrimSpace(second); second == "" {
			high = int64(none)
		} else if n, err := strconv.ParseUint(second, 10, 16); err != nil || n < low {
			return nil, g.fail("{%s} is no repetition: write {n}, {n,} or {n,m}", inside)
		} else {
			high = int64(n)
		}
	}
	if low > maxRepeats || high > maxRepeats {
		return nil, unsupported("grammar repetition {%s}: at most %d times", inside, maxRepeats)
	}
	g.at += end + 1
	return g.repeat(p, int32(low), int32(high)), nil
}

// repeat builds loops for *, + and ?, and a counting rule for other bounds.
func (g *gbnf) repeat(p part, low, high int32) part {
	return func(next int32) int32 {
		switch {
		case high == 0:
			return next
		case low == 0 && high == 1:
			return g.split(next, p(next))
		case low <= 1 && high == none:
			again := g.hole()
			body := p(again)
			g.fill(again, next, body)
			if low == 1 {
				return body
			}
			return again
		case low == 1 && high == 1:
			return p(next)
		}
		g.ruleCount++
		one := p(g.ret)
		start := g.counting(loop{low, one, 0, 0}, high,
			func() int32 { return g.ret },
			func(next int32) int32 { return g.call(one, next) })
		return g.call(start, next)
	}
}
