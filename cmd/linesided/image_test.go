package main

import (
	"os"
	"path/filepath"
	"testing"

	"lineside/daemon"
	"lineside/daemon/config"
	"lineside/image/layout"
	"lineside/image/notice"
)

// TestOpenImage ties nothing on a board that does not run from a card.
func TestOpenImage(t *testing.T) {
	root, c := t.TempDir(), config.Defaults()
	c.Store.Dir = root
	var o daemon.Options
	if openImage(root, c, &o); o.Notices != nil || o.Update != nil {
		t.Error("a board without a card takes updates")
	}
	if err := os.MkdirAll(filepath.Join(root, layout.RunDir), 0o755); err != nil {
		t.Fatal(err)
	}
	openImage(root, c, &o)
	if err := notice.Put(root, notice.Notice{Name: "update", Condition: "updating", Why: "x"}); err != nil {
		t.Fatal(err)
	}
	if n := o.Notices(); len(n) != 1 || n[0] != (daemon.Notice{Name: "update", Condition: "updating", Why: "x"}) {
		t.Errorf("%+v", n)
	}
	if err := o.Update(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, updateRequest)); err != nil {
		t.Error(err)
	}
}
