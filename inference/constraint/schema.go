package constraint

import (
	"strconv"
	"strings"
)

// site is one schema inside the document.
type site struct {
	id   int
	at   string  // JSON pointer, as a fragment
	body *object // nil for true and false
	no   bool    // the schema false
	bare bool    // its anyOf and oneOf are being taken care of elsewhere
}

// schemas reads one document.
type schemas struct {
	*builder
	root     any
	sites    map[string]*site  // by pointer, bare ones with a star behind
	shapes   map[string]*shape // by the sites that hold at once
	rules    map[string]int32  // the same
	anys     []int32           // rules of JSON that the schema says nothing about, by nesting left
	texts    map[[2]int32]int32
	loopFree map[string]bool // by pointer; false while it is being looked at
	check    *checker

	compared int // pairs of branches looked at
}

// readSchema builds the machine of a JSON Schema.
func readSchema(text []byte) (*builder, error) {
	root, err := parseOrdered(text)
	if err != nil {
		return nil, err
	}
	check, err := newChecker(root)
	if err != nil {
		return nil, err
	}
	s := &schemas{
		builder: newBuilder(), root: root, check: check,
		sites: map[string]*site{}, shapes: map[string]*shape{}, loopFree: map[string]bool{}, rules: map[string]int32{}, texts: map[[2]int32]int32{},
	}
	top, err := s.site("#", root)
	if err != nil {
		return nil, err
	}
	if s.builder.root, err = s.rule(conj{top}); err != nil {
		return nil, err
	}
	_, err = check.valid("#", nil) // the whole document, also what nothing leads to
	return s.builder, err
}

// anyObjectMachine builds the machine of any JSON object of bounded nesting.
func anyObjectMachine() (*builder, error) {
	s := &schemas{builder: newBuilder(), texts: map[[2]int32]int32{}}
	s.builder.root = s.anyObject(maxAnyDeep)
	return s.builder, nil
}

// refuse says which keyword is not held and where it stands.
func refuse(at, keyword, why string) error {
	return unsupported("schema keyword %q at %s: %s", keyword, at+"/"+escapePointer(keyword), why)
}

// site is the schema v at a pointer, its keywords known to be held.
func (s *schemas) site(at string, v any) (*site, error) {
	if have := s.sites[at]; have != nil {
		return have, nil
	}
	t := &site{id: len(s.sites), at: at}
	switch v := v.(type) {
	case bool:
		t.no = !v
	case *object:
		t.body = v
		if err := knownKeywords(at, v); err != nil {
			return nil, err
		}
	default:
		return nil, bad("schema at %s: a schema is an object, true or false", at)
	}
	s.sites[at] = t
	return t, nil
}

// withoutChoice is t with its anyOf and oneOf left out.
func (s *schemas) withoutChoice(t *site) *site {
	key := t.at + "*"
	if have := s.sites[key]; have != nil {
		return have
	}
	bare := *t
	bare.id, bare.bare = len(s.sites), true
	s.sites[key] = &bare
	return &bare
}

// child is the schema under a key of t.
func (s *schemas) child(t *site, path ...string) (*site, error) {
	var v any = t.body
	at := t.at
	for _, p := range path {
		switch o := v.(type) {
		case *object:
			v = o.values[p]
		case []any:
			i, _ := strconv.Atoi(p)
			v = o[i]
		}
		at += "/" + escapePointer(p)
	}
	return s.site(at, v)
}

// children are the schemas of a list under a key of t.
func (s *schemas) children(t *site, key string) ([]*site, error) {
	v, ok := t.body.get(key)
	if !ok {
		return nil, nil
	}
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return nil, bad("schema at %s/%s: must be a list of schemas", t.at, key)
	}
	var out []*site
	for i := range list {
		c, err := s.child(t, key, strconv.Itoa(i))
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// resolve finds what a $ref points to: a place in this document.
func (s *schemas) resolve(t *site, ref any) (*site, error) {
	text, ok := ref.(string)
	if !ok {
		return nil, bad("schema at %s/$ref: must be a text", t.at)
	}
	if text != "#" && !strings.HasPrefix(text, "#/") {
		return nil, refuse(t.at, "$ref", strconv.Quote(text)+" is not within this schema; use #/$defs/...")
	}
	v, at := s.root, "#"
	for _, p := range strings.Split(text, "/")[1:] {
		p = unescapePointer(p)
		var next any
		found := false
		switch o := v.(type) {
		case *object:
			next, found = o.get(p)
		case []any:
			if i, err := strconv.Atoi(p); err == nil && i >= 0 && i < len(o) {
				next, found = o[i], true
			}
		}
		if !found {
			return nil, bad("schema at %s/$ref: %q points to nothing", t.at, text)
		}
		v, at = next, at+"/"+escapePointer(p)
	}
	return s.site(at, v)
}

func escapePointer(p string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "%", "%25").Replace(p)
}

func unescapePointer(p string) string {
	if strings.Contains(p, "%") {
		var out []byte
		for i := 0; i < len(p); i++ {
			if p[i] == '%' && i+2 < len(p) {
				if n, err := strconv.ParseUint(p[i+1:i+3], 16, 8); err == nil {
					out = append(out, byte(n))
					i += 2
					continue
				}
			}
			out = append(out, p[i])
		}
		p = string(out)
	}
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(p)
}
