package broker

import (
	"bufio"
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// access is who may log in and what they may do. It is never changed, only replaced.
type access struct {
	anonymous bool
	users     users
	acl       acl
}

// takesAnothersID: a client that connects with another's id throws that one
// out. A board uses its name and its name with "-work".
func (a *access) takesAnothersID(user, clientID string) bool {
	owner := strings.TrimSuffix(clientID, "-work")
	for _, other := range []string{clientID, owner} {
		if other != user && (a.users[other].hash != nil || a.acl.byUser[other] != nil) {
			return true
		}
	}
	return false
}

// users are passwords by name, as mosquitto_passwd writes them.
type users map[string]password

type password struct {
	iterations int
	salt, hash []byte
}

func readUsers(file string) (users, error) {
	if file == "" {
		return nil, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("password file: %w", err)
	}
	u := users{}
	for i, line := range strings.Split(string(b), "\n") {
		line = strings.TrimSuffix(line, "\r")
		if line == "" || line[0] == '#' {
			continue
		}
		name, rest, _ := strings.Cut(line, ":")
		p, err := parsePassword(rest)
		if err != nil || name == "" {
			return nil, fmt.Errorf("password file %s line %d: want user:$7$… as mosquitto_passwd writes it", file, i+1)
		}
		u[name] = p
	}
	return u, nil
}

// parsePassword reads $7$iterations$salt$hash: PBKDF2 with SHA-512.
func parsePassword(s string) (p password, err error) {
	f := strings.Split(s, "$")
	if len(f) != 5 || f[0] != "" || f[1] != "7" {
		return p, fmt.Errorf("unknown kind of password")
	}
	if p.iterations, err = strconv.Atoi(f[2]); err != nil || p.iterations < 1 || p.iterations > 10_000_000 {
		return p, fmt.Errorf("bad number of iterations")
	}
	if p.salt, err = base64.StdEncoding.DecodeString(f[3]); err != nil {
		return p, err
	}
	if p.hash, err = base64.StdEncoding.DecodeString(f[4]); err != nil || len(p.hash) != sha512.Size {
		return p, fmt.Errorf("bad hash")
	}
	return p, nil
}

// check takes as long for an unknown name as for a wrong password.
func (u users) check(name string, pass []byte) bool {
	p, known := u[name]
	if !known {
		p = password{iterations: 101, salt: []byte("nobody"), hash: make([]byte, sha512.Size)}
	}
	key, err := pbkdf2.Key(sha512.New, string(pass), p.salt, p.iterations, sha512.Size)
	return err == nil && subtle.ConstantTimeCompare(key, p.hash) == 1 && known
}

// rights of one line of an access list.
type rights struct {
	filter      string // with %u and %c where it is a pattern
	read, write bool
	deny        bool
}

// acl is an access list in Mosquitto's format.
type acl struct {
	byUser   map[string][]rights
	patterns []rights // for everybody
}

func readACL(file string) (acl, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return acl{}, fmt.Errorf("access list: %w", err)
	}
	a, err := parseACL(b)
	if err != nil {
		return a, fmt.Errorf("access list %s %w", file, err)
	}
	return a, nil
}

func parseACL(b []byte) (acl, error) {
	a := acl{byUser: map[string][]rights{}}
	user := ""
	s := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; s.Scan(); n++ {
		line := strings.TrimSpace(s.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		switch word {
		case "user":
			if rest == "" {
				return a, fmt.Errorf("line %d: a user has no name", n)
			}
			if user = rest; a.byUser[user] == nil {
				a.byUser[user] = []rights{}
			}
		case "topic", "pattern":
			r, ok := parseRights(rest)
			switch {
			case !ok:
				return a, fmt.Errorf("line %d: want %s [read|write|readwrite|deny] filter", n, word)
			case word == "pattern":
				a.patterns = append(a.patterns, r)
			case user == "":
				return a, fmt.Errorf("line %d: a topic before the first user is for anonymous clients, and there are none", n)
			default:
				a.byUser[user] = append(a.byUser[user], r)
			}
		default:
			return a, fmt.Errorf("line %d: %q is none of user, topic, pattern", n, clip(word))
		}
	}
	if err := s.Err(); err != nil {
		return a, fmt.Errorf("cannot be read: %w", err)
	}
	return a, nil
}

func parseRights(s string) (rights, bool) {
	word, rest, _ := strings.Cut(s, " ")
	r := rights{filter: strings.TrimSpace(rest)}
	switch word {
	case "read":
		r.read = true
	case "write":
		r.write = true
	case "readwrite":
		r.read, r.write = true, true
	case "deny":
		r.deny = true
	default:
		r = rights{filter: s, read: true, write: true}
	}
	return r, r.filter != ""
}

// allows tells whether user may write the topic, or read every topic that the
// filter stands for. A deny counts more than a permission.
func (a acl) allows(user, clientID, topic string, write bool) bool {
	if strings.HasPrefix(topic, "$") {
		return false
	}
	allowed := false
	for _, r := range a.byUser[user] {
		if r.deny && overlaps(r.filter, topic) {
			return false
		}
		allowed = allowed || (write && r.write || !write && r.read) && covers(r.filter, topic)
	}
	for _, r := range a.patterns {
		filter, ok := fill(r.filter, user, clientID)
		if !ok {
			continue
		}
		if r.deny && overlaps(filter, topic) {
			return false
		}
		allowed = allowed || (write && r.write || !write && r.read) && covers(filter, topic)
	}
	return allowed
}

// fill puts the names into a pattern, unless a name would act as a wildcard or
// as more levels.
func fill(pattern, user, clientID string) (string, bool) {
	for _, f := range []struct{ mark, name string }{{"%u", user}, {"%c", clientID}} {
		if !strings.Contains(pattern, f.mark) {
			continue
		}
		if f.name == "" || strings.ContainsAny(f.name, "+#/%\x00") {
			return "", false
		}
		pattern = strings.ReplaceAll(pattern, f.mark, f.name)
	}
	return pattern, true
}

// covers tells whether every topic that filter stands for is one of wide's.
func covers(wide, filter string) bool {
	w, f := strings.Split(wide, "/"), strings.Split(filter, "/")
	for i, level := range w {
		if level == "#" {
			return i <= len(f)
		}
		if i >= len(f) || f[i] == "#" || level != "+" && level != f[i] {
			return false
		}
	}
	return len(w) == len(f)
}

// overlaps tells whether any topic belongs to both filters.
func overlaps(a, b string) bool {
	x, y := strings.Split(a, "/"), strings.Split(b, "/")
	for i := 0; ; i++ {
		switch {
		case i < len(x) && x[i] == "#" || i < len(y) && y[i] == "#":
			return true
		case i >= len(x) || i >= len(y):
			return len(x) == len(y)
		case x[i] != "+" && y[i] != "+" && x[i] != y[i]:
			return false
		}
	}
}
