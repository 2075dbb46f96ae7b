package mqtt

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Errors of topics, for callers that decide by them.
var (
	// ErrTopic: the topic is none of the API's, or an id in it is malformed.
	ErrTopic = errors.New("not a topic of this API")
	// ErrOutside: a board may not publish there.
	ErrOutside = errors.New("topic is outside what a board may publish to")
)

// Limits of names, in bytes.
const (
	maxID        = 64
	maxLevels    = 6
	maxTopic     = 1024 // what is honoured of a foreign Response Topic
	maxResponse  = 256
	apiLevels    = "llm/v1"
	replyLevel   = "reply"
	poolLevel    = "pool"
	sharePrefix  = "$share/llm-"
	wildcardRune = "+#\x00"
)

// Kind names what a topic carries.
type Kind string

// The kinds of topic, in the order of the API's table.
const (
	KindStatus     Kind = "status"
	KindInfo       Kind = "info"
	KindSkill      Kind = "skill"
	KindHealth     Kind = "health"
	KindEvent      Kind = "event"
	KindAskText    Kind = "ask_text"
	KindAskSkill   Kind = "ask_skill"
	KindCancel     Kind = "cancel"
	KindAnswer     Kind = "answer"
	KindAck        Kind = "ack"
	KindChunk      Kind = "chunk"
	KindAdmin      Kind = "admin"
	KindAdminReply Kind = "admin_reply"
)

// Address is a parsed topic. Which fields are set follows from Kind; Board is
// empty where Pool is set.
type Address struct {
	Kind   Kind
	Board  string
	Pool   string // asks and cancels to a pool
	Client string // who asks, or the operator: the broker's ACL vouches for it
	Skill  string
	Verb   string // admin verb
}

// IsAsk tells whether the topic carries an ask.
func (a Address) IsAsk() bool { return a.Kind == KindAskText || a.Kind == KindAskSkill }

// Topics builds and parses the topics of one board.
type Topics struct {
	Prefix string // 0 to 6 levels, "acme/plant3/line2"; empty means none
	Board  string // the board's own id
}

// ValidID tells whether s may name a board, client, skill, pool or operator:
// 1 to 64 characters of A-Z a-z 0-9 _ . -
func ValidID(s string) bool {
	if len(s) == 0 || len(s) > maxID {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

// ValidBoard is ValidID without the two words that the topic tree needs itself.
func ValidBoard(s string) bool { return ValidID(s) && s != replyLevel && s != poolLevel }

// Validate says what is wrong with the prefix or the board's id.
func (t Topics) Validate() error {
	if t.Prefix != "" {
		levels := strings.Split(t.Prefix, "/")
		if len(levels) > maxLevels {
			return fmt.Errorf("prefix %q has %d levels: at most %d are allowed", t.Prefix, len(levels), maxLevels)
		}
		for _, l := range levels {
			if !ValidID(l) {
				return fmt.Errorf("prefix %q: level %q must be 1 to 64 characters of A-Z a-z 0-9 _ . - (no slash at either end)", t.Prefix, l)
			}
		}
	}
	if !ValidBoard(t.Board) {
		return fmt.Errorf("board id %q must be 1 to 64 characters of A-Z a-z 0-9 _ . - and neither %q nor %q", t.Board, replyLevel, poolLevel)
	}
	return nil
}

// Root is the P of the API: everything lies below it.
func (t Topics) Root() string {
	if t.Prefix == "" {
		return apiLevels
	}
	return t.Prefix + "/" + apiLevels
}

func (t Topics) own(rest string) string { return t.Root() + "/" + t.Board + "/" + rest }

// Status is the board's retained state, and the topic of its will.
func (t Topics) Status() string { return t.own("status") }

// Info is what the board is and can do, retained.
func (t Topics) Info() string { return t.own("info") }

// Health is the board's readings, retained.
func (t Topics) Health() string { return t.own("health") }

// Event is what happened on the board.
func (t Topics) Event() string { return t.own("event") }

// Skill is the retained card of one skill.
func (t Topics) Skill(skill string) string { return t.own("skill/" + skill) }

// AskText is where client sends this board a free prompt.
func (t Topics) AskText(client string) string { return t.own("ask/" + client + "/text") }

// AskSkill is where client sends this board arguments for a skill.
func (t Topics) AskSkill(client, skill string) string {
	return t.own("ask/" + client + "/skill/" + skill)
}

// Cancel is where client ends its own ask.
func (t Topics) Cancel(client string) string { return t.own("cancel/" + client) }

// Admin is where an operator sends the board a verb.
func (t Topics) Admin(operator, verb string) string { return t.own("admin/" + operator + "/" + verb) }

// AdminReply is where the operator gets the verb's outcome.
func (t Topics) AdminReply(operator string) string { return t.reply(operator, "admin") }

// PoolAskText is where client sends any board of the pool a free prompt.
func (t Topics) PoolAskText(pool, client string) string {
	return t.Root() + "/pool/" + pool + "/ask/" + client + "/text"
}

// PoolAskSkill is where client sends any board of the pool arguments for a skill.
func (t Topics) PoolAskSkill(pool, client, skill string) string {
	return t.Root() + "/pool/" + pool + "/ask/" + client + "/skill/" + skill
}

// PoolCancel is where client ends its own ask to a pool, wherever it landed.
func (t Topics) PoolCancel(pool, client string) string {
	return t.Root() + "/pool/" + pool + "/cancel/" + client
}

// Answer is where client gets this board's terminal answers.
func (t Topics) Answer(client string) string { return t.reply(client, "answer") }

// Ack is where client hears that its ask was taken in.
func (t Topics) Ack(client string) string { return t.reply(client, "ack") }

// Chunk is where client gets the answer's text as it grows.
func (t Topics) Chunk(client string) string { return t.reply(client, "chunk") }

func (t Topics) reply(client, what string) string {
	return t.Root() + "/reply/" + client + "/" + t.Board + "/" + what
}

// Replies is where the messages about one ask go.
type Replies struct {
	Answer, Ack, Chunk string
}

// Replies chooses where to answer a client. A Response Topic (MQTT 5) counts
// only below P/reply/{client}/ and without wildcards, so that nobody can point
// a model's words at a valve; otherwise the standard topics are used.
// honoured is false where a Response Topic was given and refused.
func (t Topics) Replies(client, responseTopic string) (r Replies, honoured bool) {
	std := Replies{Answer: t.Answer(client), Ack: t.Ack(client), Chunk: t.Chunk(client)}
	switch {
	case responseTopic == "" || responseTopic == std.Answer:
		return std, true
	case len(responseTopic) > maxResponse || !t.isReply(client, responseTopic):
		return std, false
	}
	return Replies{Answer: responseTopic, Ack: responseTopic + "/ack", Chunk: responseTopic + "/chunk"}, true
}

// isReply tells whether topic is a proper topic below P/reply/{client}/.
func (t Topics) isReply(client, topic string) bool {
	rest, ok := strings.CutPrefix(topic, t.Root()+"/reply/"+client+"/")
	return ok && len(topic) <= maxTopic && plain(rest)
}

// plain tells whether rest is one or more levels without wildcards, empty
// levels, control characters or broken UTF-8.
func plain(rest string) bool {
	if rest == "" || !utf8.ValidString(rest) || strings.ContainsAny(rest, wildcardRune) {
		return false
	}
	for _, r := range rest {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return false
		}
	}
	return !strings.HasPrefix(rest, "/") && !strings.HasSuffix(rest, "/") && !strings.Contains(rest, "//")
}

// MayPublish is nil for the topics that this board writes, else ErrOutside.
// Publish asks it, and the broker's ACL says the same.
func (t Topics) MayPublish(topic string) error {
	if rest, ok := strings.CutPrefix(topic, t.Root()+"/reply/"); ok {
		if client, _, ok := strings.Cut(rest, "/"); ok && ValidID(client) && t.isReply(client, topic) {
			return nil
		}
	}
	if a, err := t.Parse(topic); err == nil && a.Board == t.Board {
		switch a.Kind {
		case KindStatus, KindInfo, KindHealth, KindEvent, KindSkill:
			return nil
		}
	}
	return fmt.Errorf("%w: %q", ErrOutside, topic)
}

// Parse reads any topic of the API, of this board or another. The error wraps
// ErrTopic.
func (t Topics) Parse(topic string) (Address, error) {
	rest, ok := strings.CutPrefix(topic, t.Root()+"/")
	if !ok || len(topic) > maxTopic {
		return Address{}, fmt.Errorf("%w: %q does not start with %s/", ErrTopic, clip(topic), t.Root())
	}
	l := strings.Split(rest, "/")
	for _, level := range l {
		if !ValidID(level) {
			return Address{}, fmt.Errorf("%w: level %q of %q is no id", ErrTopic, clip(level), clip(topic))
		}
	}
	if a, ok := address(l); ok {
		return a, nil
	}
	return Address{}, fmt.Errorf("%w: %q", ErrTopic, clip(topic))
}

// address reads levels below the root, all of them valid ids.
func address(l []string) (Address, bool) {
	switch l[0] {
	case replyLevel:
		if len(l) != 4 || !ValidBoard(l[2]) {
			return Address{}, false
		}
		a := Address{Client: l[1], Board: l[2]}
		switch l[3] {
		case "answer", "ack", "chunk":
			a.Kind = Kind(l[3])
		case "admin":
			a.Kind = KindAdminReply
		default:
			return Address{}, false
		}
		return a, true
	case poolLevel:
		if len(l) < 2 {
			return Address{}, false
		}
		a, ok := inbound(l[2:])
		a.Pool = l[1]
		return a, ok && a.Kind != KindAdmin
	}
	a := Address{Board: l[0]}
	switch {
	case len(l) == 2 && (l[1] == "status" || l[1] == "info" || l[1] == "health" || l[1] == "event"):
		a.Kind = Kind(l[1])
		return a, true
	case len(l) == 3 && l[1] == "skill":
		a.Kind, a.Skill = KindSkill, l[2]
		return a, true
	}
	a, ok := inbound(l[1:])
	a.Board = l[0]
	return a, ok
}

// inbound reads what follows a board's or a pool's level in topics that
// clients write.
func inbound(l []string) (Address, bool) {
	switch {
	case len(l) == 3 && l[0] == "ask" && l[2] == "text":
		return Address{Kind: KindAskText, Client: l[1]}, true
	case len(l) == 4 && l[0] == "ask" && l[2] == "skill":
		return Address{Kind: KindAskSkill, Client: l[1], Skill: l[3]}, true
	case len(l) == 2 && l[0] == "cancel":
		return Address{Kind: KindCancel, Client: l[1]}, true
	case len(l) == 3 && l[0] == "admin":
		return Address{Kind: KindAdmin, Client: l[1], Verb: l[2]}, true
	}
	return Address{}, false
}

// Topic is Parse backwards: the topic of an address, of this board or another.
func (t Topics) Topic(a Address) string {
	o := Topics{Prefix: t.Prefix, Board: a.Board}
	switch a.Kind {
	case KindStatus, KindInfo, KindHealth, KindEvent:
		return o.own(string(a.Kind))
	case KindSkill:
		return o.Skill(a.Skill)
	case KindAnswer, KindAck, KindChunk:
		return o.reply(a.Client, string(a.Kind))
	case KindAdminReply:
		return o.AdminReply(a.Client)
	case KindAdmin:
		return o.Admin(a.Client, a.Verb)
	}
	base := o.Root() + "/" + a.Board
	if a.Pool != "" {
		base = o.Root() + "/pool/" + a.Pool
	}
	switch a.Kind {
	case KindAskText:
		return base + "/ask/" + a.Client + "/text"
	case KindAskSkill:
		return base + "/ask/" + a.Client + "/skill/" + a.Skill
	case KindCancel:
		return base + "/cancel/" + a.Client
	}
	return ""
}

// clip keeps foreign text short enough for a log line.
func clip(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}
