package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lineside/daemon/strict"
)

// TestReference keeps the commented file equal to the code's defaults and complete.
func TestReference(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "lineside.toml")
	got, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	want := Defaults()
	want.Board.Pools, want.MQTT.Operators, want.HW.Ignore = []string{}, []string{}, []string{}
	want.Time.Servers = []string{}
	want.LEDs.Lamps, want.LEDs.Patterns, want.LEDs.Also = map[string]string{}, map[string]string{}, map[string]LEDs{}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/lineside.toml differs from the defaults (-code +file):\n%s", diff)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys() {
		if !strings.Contains(string(text), "\n"+key+" = ") {
			t.Errorf("docs/lineside.toml does not show the key %q", key)
		}
	}
}

func TestParse(t *testing.T) {
	c, err := Parse(strings.NewReader(`
[board]
id = "b03"
prefix = "acme/plant1"
[limits]
queue = 8
max_ask_bytes = "16KiB"
deadline_default = "30s"
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Defaults()
	want.Board.ID, want.Board.Prefix = "b03", "acme/plant1"
	want.Limits.Queue, want.Limits.MaxAsk, want.Limits.DeadlineDefault = 8, 16<<10, Duration{30 * time.Second}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
}

func TestParseErrors(t *testing.T) {
	for _, tt := range []struct {
		name, file   string
		line, column int
		text         string
	}{
		{"unknown key", "[limits]\nqueue = 3\nqueu = 4\n", 3, 1, "unknown key"},
		{"unknown table", "[limit]\nqueue = 3\n", 1, 2, "unknown key"},
		{"syntax", "[limits\n", 1, 8, ""},
		{"wrong type", "[limits]\nqueue = \"many\"\n", 2, 9, "cannot decode TOML string"},
		{"no unit", "[limits]\ndeadline_max = \"60\"\n", 2, 16, "write a number with a unit"},
		{"number for duration", "[limits]\ndeadline_max = 60\n", 2, 1, "number with a unit"},
		{"bad size", "[limits]\n\nmax_ask_bytes = \"64kb\"\n", 3, 17, "whole number with a unit"},
		{"range", "[limits]\n  queue = 0\n", 2, 3, "1 to 1024 is permitted"},
		{"range of duration", "[limits]\ndeadline_max = \"2s\"\n", 2, 1, "1m0s to 24h0m0s"},
		{"range of size", "[audit]\nmax_bytes = \"1KiB\"\n", 2, 1, "1MiB to 1024GiB"},
		{"board id", "[board]\nid = \"a/b\"\n", 2, 1, "not a board id"},
		{"board named reply", "[board]\nid = \"reply\"\n", 2, 1, "neither"},
		{"prefix", "[board]\nprefix = \"a//b\"\n", 2, 1, "not a prefix"},
		{"prefix too deep", "[board]\nprefix = \"a/b/c/d/e/f/g\"\n", 2, 1, "at most 6 levels"},
		{"url", "[mqtt]\nurl = \"broker\"\n", 2, 1, "mqtt://host:1883"},
		{"password in url", "[mqtt]\nurl = \"mqtt://u:p@h:1883\"\n", 2, 1, "password_file"},
		{"version", "[mqtt]\nversion = \"4\"\n", 2, 1, "\"3.1.1\""},
		{"key without certificate", "[mqtt]\nurl = \"mqtts://h:1\"\nkey_file = \"/k\"\n", 0, 0, "needs both"},
		{"open broker", "[mqtt]\nembedded = true\nembedded_listen = \"0.0.0.0:1883\"\n", 3, 1, "users_file"},
		{"socket", "[engine]\nsocket = \"/run/x\"\n", 2, 1, "unix:/path"},
		{"socket on the network", "[engine]\nsocket = \"tcp:0.0.0.0:80\"\n", 2, 1, "loopback"},
		{"open metrics", "[metrics]\nlisten = \":9464\"\n", 2, 1, "loopback"},
		{"light of unknown kind", "[leds]\nkind = \"disco\"\n", 1, 2, "disco"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse(strings.NewReader(tt.file))
			var p *strict.Problem
			if !errors.As(err, &p) {
				t.Fatalf("error is %v, want a Problem", err)
			}
			if p.Line != tt.line || p.Column != tt.column || !strings.Contains(p.Text, tt.text) {
				t.Errorf("got %q, want line %d, column %d and %q", p, tt.line, tt.column, tt.text)
			}
		})
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	_, err := Parse(strings.NewReader("[limits]\nqueue = 0\n[board]\nid = \"a b\"\n"))
	if got := strings.Count(err.Error(), "line "); got != 2 {
		t.Errorf("%d problems reported, want 2:\n%v", got, err)
	}
}

func TestLightsOf(t *testing.T) {
	leds := "[leds]\nkind = \"led\"\nlamps = { status = \"sysfs:ACT\" }\n"
	also := "[leds.also.door]\nkind = \"led\"\nlamps = { x = \"sysfs:PWR\" }\n"
	for _, tt := range []struct {
		name, file string
		lights     int
		broken     bool
	}{
		{"good", leds + also, 2, false},
		{"no light", "[limits]\nqueue = 3\n", 0, false},
		{"bad value before", "[limits]\nqueue = 0\n" + leds, 1, true},
		{"no TOML before and after", "[mqtt]\nurl = \"x\n" + leds + also + "[hw]\n}{\n", 2, true},
		{"unknown key among the lights", leds + "colour = 3\n", 1, true},
		{"one light is bad", leds + "[leds.also.x]\nkind = \"disco\"\n", 1, true},
		{"no TOML among the lights", leds + "lamps = {\n", 0, true},
		{"empty", "", 0, false},
		{"junk", "\x00\xff[leds", 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lineside.toml")
			if err := os.WriteFile(path, []byte(tt.file), 0o600); err != nil {
				t.Fatal(err)
			}
			lights, err := LightsOf(path)
			if len(lights) != tt.lights || (err != nil) != tt.broken {
				t.Errorf("%d lights, error %v", len(lights), err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add("[limits]\nqueue = 3\n")
	f.Add("[mqtt]\nurl = \"mqtt://h:1\"\n[engine]\nsocket = \"tcp:127.0.0.1:1\"")
	f.Fuzz(func(t *testing.T, file string) {
		c, err := Parse(strings.NewReader(file))
		if err == nil && (c.Limits.Queue < 1 || c.Limits.DeadlineDefault.Duration > c.Limits.DeadlineMax.Duration) {
			t.Errorf("accepted limits %+v", c.Limits)
		}
	})
}

// keys lists every toml key of Config.
func keys() []string {
	var all []string
	for t := range reflect.TypeFor[Config]().Fields() {
		for f := range t.Type.Fields() {
			all = append(all, f.Tag.Get("toml"))
		}
	}
	return all
}
