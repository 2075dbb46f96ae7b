package main

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"lineside/daemon/config"
	"lineside/image/provision"
)

// TestCardFiles has the card's policy know every file that linesided's configuration can
// name, and which of them are secret.
func TestCardFiles(t *testing.T) {
	policy := cardPolicy()
	c := config.Defaults()
	tables := reflect.ValueOf(&c).Elem()
	n := 0
	for i := range tables.NumField() {
		table := tables.Type().Field(i)
		if table.Type.Kind() != reflect.Struct {
			continue
		}
		for j := range table.Type.NumField() {
			key := table.Tag.Get("toml") + "." + table.Type.Field(j).Tag.Get("toml")
			if !strings.HasSuffix(key, "_file") {
				continue
			}
			n++
			if _, ok := policy.Files[key]; !ok {
				t.Errorf("the card's policy does not know %s: its file would stay on the card", key)
			}
			tables.Field(i).Field(j).SetString("x")
		}
	}
	if n != len(policy.Files) {
		t.Errorf("%d keys name files, the card's policy knows %d", n, len(policy.Files))
	}
	for key := range c.Secrets() {
		if k := policy.Files[key]; k != provision.Key && k != provision.Secret {
			t.Errorf("%s is a secret for linesided, %q for the card", key, k)
		}
	}
}

// TestCardTemplate finds one thing to fill in, in the lineside.toml that new cards carry.
func TestCardTemplate(t *testing.T) {
	b, err := os.ReadFile("../../image/files/lineside.toml")
	if err != nil {
		t.Fatal(err)
	}
	read := func(text string) error {
		_, err := provision.Read(fstest.MapFS{"lineside.toml": {Data: []byte(text)}}, nil, cardPolicy())
		return err
	}
	if err := read(string(b)); err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "mqtt.url") {
		t.Errorf("a fresh card says: %v", err)
	}
	filled := strings.Replace(string(b), `url = ""`, `url = "mqtt://10.0.3.1:1883"`, 1)
	if err := read(filled); err != nil {
		t.Error(err)
	}
	if err := cardPolicy().Check(cardPolicy().Default); err != nil {
		t.Errorf("the configuration of a fresh board: %v", err)
	}
}
