// Package config reads the daemon's one configuration file, TOML at
// /etc/lineside/lineside.toml, strictly: unknown keys, bad units and values out
// of range are errors with line and column, and nothing is repaired silently.
//
// It never opens the files that the configuration names and never reads the environment.
package config

import (
	"fmt"
	"io"
	"maps"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"lineside/daemon/strict"
	"lineside/hw"
)

// Default is where the file stands on a board.
const Default = "/etc/lineside/lineside.toml"

// Config is the whole configuration. docs/lineside.toml explains every key.
type Config struct {
	Board   Board   `toml:"board"`
	MQTT    MQTT    `toml:"mqtt"`
	Engine  Engine  `toml:"engine"`
	Limits  Limits  `toml:"limits"`
	HW      HW      `toml:"hw"`
	LEDs    LEDs    `toml:"leds"`
	Skills  Skills  `toml:"skills"`
	Audit   Audit   `toml:"audit"`
	Store   Store   `toml:"store"`
	Metrics Metrics `toml:"metrics"`
	Licence Licence `toml:"licence"`
	Time    Time    `toml:"time"`
}

// Board names this board on the plant's network.
type Board struct {
	ID     string   `toml:"id"`     // empty: the host's name
	Prefix string   `toml:"prefix"` // 0 to 6 topic levels
	Pools  []string `toml:"pools"`  // pools whose asks this board takes too
}

// MQTT says how the broker is reached, or that the board is the broker.
type MQTT struct {
	URL          string `toml:"url"` // mqtt://host:port or mqtts://host:port
	Version      string `toml:"version"`
	Username     string `toml:"username"`
	PasswordFile string `toml:"password_file"`
	CAFile       string `toml:"ca_file"`
	CertFile     string `toml:"cert_file"`
	KeyFile      string `toml:"key_file"`

	Embedded         bool   `toml:"embedded"`
	EmbeddedListen   string `toml:"embedded_listen"`
	EmbeddedUsers    string `toml:"embedded_users_file"`
	EmbeddedACL      string `toml:"embedded_acl_file"`
	EmbeddedCertFile string `toml:"embedded_cert_file"`
	EmbeddedKeyFile  string `toml:"embedded_key_file"`

	Operators []string `toml:"operators"` // who may use admin verbs; empty: nobody
}

// Engine says where the engine is and how it is started.
type Engine struct {
	Socket  string `toml:"socket"` // unix:PATH or tcp:127.0.0.1:PORT
	Spawn   bool   `toml:"spawn"`  // start and watch the engine here; false: systemd does
	Program string `toml:"program"`
	Model   string `toml:"model"`   // path of a GGUF file; empty: the active one of the store
	Slots   int    `toml:"slots"`   // asks answered at once
	Context int    `toml:"ctx"`     // tokens shared by all slots
	Threads int    `toml:"threads"` // 0: one per core
}

// Limits hold every ask to a size and a time.
type Limits struct {
	Queue              int      `toml:"queue"`                 // asks that wait, all clients together
	PerClientPerMinute int      `toml:"per_client_per_minute"` // 0: no limit
	MaxAsk             Bytes    `toml:"max_ask_bytes"`         // whole payload
	MaxAnswer          Bytes    `toml:"max_answer_bytes"`      // whole payload
	MaxAnswerTokens    int      `toml:"max_answer_tokens"`
	DeadlineDefault    Duration `toml:"deadline_default"` // for an ask that names none
	DeadlineMax        Duration `toml:"deadline_max"`     // longer ones are cut to it
}

// HW says where the board's sensors are read and at what heat work slows and stops.
type HW struct {
	Root        string   `toml:"root"`
	SampleEvery Duration `toml:"sample_every"`
	Margin      float64  `toml:"margin"` // °C that work keeps below the board's own limit
	Button      string   `toml:"button"` // maintenance button, "gpio:CHIP/LINE"; empty: none
	Ignore      []string `toml:"ignore"` // IDs of fans and sensors that this board lacks by intent
}

// LEDs is the status light; docs/leds.md shows its patterns.
type LEDs struct {
	Kind       string            `toml:"kind"`  // empty: no light; "led", "rgb" or "stack"
	Lamps      map[string]string `toml:"lamps"` // by colour, or any name for a single LED
	Inverted   bool              `toml:"inverted"`
	Brightness int               `toml:"brightness"` // percent
	Patterns   map[string]string `toml:"patterns"`   // replace the built-in ones by name
	Exit       string            `toml:"exit"`       // what stays on at the end: "off", "on" or "restore"
	Also       map[string]LEDs   `toml:"also"`       // further lights by any name, which say the same
}

// Lights are all of them as package hw takes them.
func (l LEDs) Lights() []hw.LightConfig {
	var all []hw.LightConfig
	if l.Kind != "" {
		all = append(all, l.light())
	}
	for _, name := range slices.Sorted(maps.Keys(l.Also)) {
		all = append(all, l.Also[name].light())
	}
	return all
}

func (l LEDs) light() hw.LightConfig {
	return hw.LightConfig{Kind: l.Kind, Lamps: l.Lamps, Inverted: l.Inverted, Brightness: l.Brightness, Patterns: l.Patterns, Exit: l.Exit}
}

// Skills is where the plant's skill files stand.
type Skills struct {
	Dir string `toml:"dir"`
}

// Audit is the record of who asked what and got which answer.
type Audit struct {
	Dir         string `toml:"dir"`          // empty: no audit
	MaxBytes    Bytes  `toml:"max_bytes"`    // all files together; the oldest go first
	HashPrompts bool   `toml:"hash_prompts"` // keep SHA-256 of prompts and answers instead of their text
	Required    bool   `toml:"required"`     // refuse asks while a line cannot be written
}

// Store keeps accepted asks and their answers across a power cut.
type Store struct {
	Dir      string `toml:"dir"`
	MaxBytes Bytes  `toml:"max_bytes"`
}

// Metrics serves Prometheus figures. Empty: off.
type Metrics struct {
	Listen string `toml:"listen"` // loopback only
}

// Licence is where the models and the owner's acceptances stand.
type Licence struct {
	Dir string `toml:"dir"`
}

// Time is where the board's clock comes from.
type Time struct {
	Servers []string `toml:"servers"` // NTP servers of the plant, by name or address
}

// Secrets are the files with secrets by their keys, as far as they are named. systemd can
// read them for the daemon, which then needs no right to them (LoadCredential=).
func (c *Config) Secrets() map[string]*string {
	all := map[string]*string{
		"mqtt.password_file": &c.MQTT.PasswordFile, "mqtt.key_file": &c.MQTT.KeyFile,
		"mqtt.embedded_users_file": &c.MQTT.EmbeddedUsers, "mqtt.embedded_key_file": &c.MQTT.EmbeddedKeyFile,
	}
	maps.DeleteFunc(all, func(_ string, path *string) bool { return *path == "" })
	return all
}

// Defaults is the configuration of an empty file.
func Defaults() Config {
	return Config{
		MQTT:    MQTT{URL: "mqtt://127.0.0.1:1883", Version: "auto", EmbeddedListen: "127.0.0.1:1883"},
		Engine:  Engine{Socket: "unix:/run/lineside-engine/engine.sock", Program: "lineside-engine", Slots: 4, Context: 4096},
		Limits:  Limits{Queue: 32, PerClientPerMinute: 60, MaxAsk: 4 << 10, MaxAnswer: 4 << 10, MaxAnswerTokens: 256, DeadlineDefault: Duration{time.Minute}, DeadlineMax: Duration{10 * time.Minute}},
		HW:      HW{Root: "/", SampleEvery: Duration{2 * time.Second}, Margin: 2},
		LEDs:    LEDs{Brightness: 100, Exit: "off"},
		Skills:  Skills{Dir: "/etc/lineside/skills"},
		Audit:   Audit{Dir: "/var/lib/lineside/audit", MaxBytes: 64 << 20},
		Store:   Store{Dir: "/var/lib/lineside", MaxBytes: 16 << 20},
		Licence: Licence{Dir: "/var/lib/lineside/models"},
	}
}

// Load reads and checks the file at path.
func Load(path string) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w: name another file with --config", err)
	}
	defer f.Close()
	c, err := Parse(f)
	if err != nil {
		return Config{}, fmt.Errorf("%s:\n%w", path, err)
	}
	return c, nil
}

// Parse reads and checks a configuration. All mistakes come back together,
// each a *strict.Problem.
func Parse(r io.Reader) (Config, error) {
	data, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w", err)
	}
	c := Defaults()
	doc := strict.Decode(data, &c)
	if doc.Err() == nil {
		c.check(doc)
	}
	if err := doc.Err(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// ID is what a topic level that names somebody looks like (mqtt-api.md).
var id = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// server is a host's name or an address, as systemd-timesyncd takes them.
var server = regexp.MustCompile(`^[A-Za-z0-9:][A-Za-z0-9.:-]{0,252}$`)

func (c *Config) check(doc *strict.Document) {
	c.checkBoard(doc)
	c.checkMQTT(doc)
	c.checkEngine(doc)
	c.checkLimits(doc)
	within(doc, "hw.sample_every", c.HW.SampleEvery.Duration, 100*time.Millisecond, time.Minute)
	absolute(doc, "hw.root", c.HW.Root)
	within(doc, "hw.margin", c.HW.Margin, 1, 30)
	if err := hw.CheckLine(c.HW.Button); err != nil && c.HW.Button != "" {
		doc.Reject("hw.button", "%v", err)
	}
	for _, light := range c.LEDs.Lights() {
		if err := light.Check(); err != nil {
			doc.Reject("leds", "%v", err)
		}
	}
	absolute(doc, "skills.dir", c.Skills.Dir)
	if c.Audit.Dir != "" {
		absolute(doc, "audit.dir", c.Audit.Dir)
	}
	within(doc, "audit.max_bytes", c.Audit.MaxBytes, 1<<20, 1<<40)
	absolute(doc, "store.dir", c.Store.Dir)
	within(doc, "store.max_bytes", c.Store.MaxBytes, 1<<20, 1<<30)
	if c.Metrics.Listen != "" {
		loopback(doc, "metrics.listen", c.Metrics.Listen)
	}
	absolute(doc, "licence.dir", c.Licence.Dir)
	for _, t := range c.Time.Servers {
		if !server.MatchString(t) {
			doc.Reject("time.servers", "%q is no server: write a name or an address", t)
		}
	}
}

func (c *Config) checkBoard(doc *strict.Document) {
	if c.Board.ID != "" && (!id.MatchString(c.Board.ID) || c.Board.ID == "reply" || c.Board.ID == "pool") {
		doc.Reject("board.id", "%q is not a board id: 1 to 64 of A-Z a-z 0-9 _ . - and neither \"reply\" nor \"pool\"", c.Board.ID)
	}
	levels := strings.Split(c.Board.Prefix, "/")
	if c.Board.Prefix != "" && (len(levels) > 6 || slices.ContainsFunc(levels, func(l string) bool { return !id.MatchString(l) })) {
		doc.Reject("board.prefix", "%q is not a prefix: at most 6 levels of 1 to 64 of A-Z a-z 0-9 _ . - with / between them", c.Board.Prefix)
	}
	for _, p := range c.Board.Pools {
		if !id.MatchString(p) {
			doc.Reject("board.pools", "%q is not a pool's name: 1 to 64 of A-Z a-z 0-9 _ . -", p)
		}
	}
}

func (c *Config) checkMQTT(doc *strict.Document) {
	m := &c.MQTT
	u, err := url.Parse(m.URL)
	switch {
	case err != nil || u.Host == "" || u.Port() == "" || !slices.Contains([]string{"mqtt", "mqtts"}, u.Scheme):
		doc.Reject("mqtt.url", "%q is not a broker's address: write mqtt://host:1883 or mqtts://host:8883", m.URL)
	case u.User != nil:
		doc.Reject("mqtt.url", "user and password do not belong in the address: use mqtt.username and mqtt.password_file")
	case u.Scheme == "mqtt" && m.CAFile+m.CertFile+m.KeyFile != "":
		doc.Reject("mqtt.url", "certificates are named but the address is mqtt://: write mqtts://")
	}
	if !slices.Contains([]string{"auto", "3.1.1", "5"}, m.Version) {
		doc.Reject("mqtt.version", "%q is not permitted: write \"auto\", \"3.1.1\" or \"5\"", m.Version)
	}
	if (m.CertFile == "") != (m.KeyFile == "") {
		doc.Reject("mqtt.cert_file", "a client certificate needs both mqtt.cert_file and mqtt.key_file")
	}
	if (m.EmbeddedCertFile == "") != (m.EmbeddedKeyFile == "") {
		doc.Reject("mqtt.embedded_cert_file", "the embedded broker's TLS needs both mqtt.embedded_cert_file and mqtt.embedded_key_file")
	}
	if m.PasswordFile != "" && m.Username == "" {
		doc.Reject("mqtt.password_file", "a password needs mqtt.username too")
	}
	at, err := netip.ParseAddrPort(m.EmbeddedListen)
	if err != nil {
		doc.Reject("mqtt.embedded_listen", "%q is not an address: write an IP and a port, as in \"127.0.0.1:1883\"", m.EmbeddedListen)
	} else if m.Embedded && !at.Addr().IsLoopback() && m.EmbeddedUsers == "" {
		doc.Reject("mqtt.embedded_listen", "a broker that other machines reach needs mqtt.embedded_users_file")
	} else if m.Embedded && m.EmbeddedUsers != "" && m.EmbeddedACL == "" {
		doc.Reject("mqtt.embedded_users_file", "users need mqtt.embedded_acl_file too, which says what each may do")
	}
	for _, o := range m.Operators {
		if !id.MatchString(o) {
			doc.Reject("mqtt.operators", "%q is not an operator's id: 1 to 64 of A-Z a-z 0-9 _ . -", o)
		}
	}
}

func (c *Config) checkEngine(doc *strict.Document) {
	e := &c.Engine
	if path, ok := strings.CutPrefix(e.Socket, "unix:"); ok {
		absolute(doc, "engine.socket", path)
	} else if addr, ok := strings.CutPrefix(e.Socket, "tcp:"); ok {
		loopback(doc, "engine.socket", addr)
	} else {
		doc.Reject("engine.socket", "%q is not permitted: write unix:/path or tcp:127.0.0.1:port", e.Socket)
	}
	within(doc, "engine.slots", e.Slots, 1, 64)
	within(doc, "engine.ctx", e.Context, 256, 131072)
	within(doc, "engine.threads", e.Threads, 0, 256)
}

func (c *Config) checkLimits(doc *strict.Document) {
	l := &c.Limits
	within(doc, "limits.queue", l.Queue, 1, 1024)
	within(doc, "limits.per_client_per_minute", l.PerClientPerMinute, 0, 1_000_000)
	within(doc, "limits.max_ask_bytes", l.MaxAsk, 256, 256<<10)
	within(doc, "limits.max_answer_bytes", l.MaxAnswer, 1<<10, 256<<10)
	within(doc, "limits.max_answer_tokens", l.MaxAnswerTokens, 1, 32768)
	within(doc, "limits.deadline_default", l.DeadlineDefault.Duration, time.Second, time.Hour)
	within(doc, "limits.deadline_max", l.DeadlineMax.Duration, l.DeadlineDefault.Duration, 24*time.Hour)
}

// within rejects a value outside low to high.
func within[T interface {
	~int | ~int64 | ~float64
}](doc *strict.Document, key string, v, low, high T) {
	if v < low || v > high {
		doc.Reject(key, "%v is out of range: %v to %v is permitted", v, low, high)
	}
}

func absolute(doc *strict.Document, key, path string) {
	if !filepath.IsAbs(path) {
		doc.Reject(key, "%q is not an absolute path", path)
	}
}

func loopback(doc *strict.Document, key, addr string) {
	at, err := netip.ParseAddrPort(addr)
	if err != nil || !at.Addr().IsLoopback() {
		doc.Reject(key, "%q is not a loopback address: write 127.0.0.1:port", addr)
	}
}
