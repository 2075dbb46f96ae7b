package notice_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lineside/image/notice"
)

func TestNotices(t *testing.T) {
	root := t.TempDir()
	if got := notice.List(root); got != nil {
		t.Errorf("a board without notices has %v", got)
	}
	a := notice.Notice{Name: "config", Condition: "config_wrong", Why: "line 3: …"}
	b := notice.Notice{Name: "update", Why: "slot B is kept"}
	for _, n := range []notice.Notice{b, {Name: "config", Why: "old"}, a} {
		if err := notice.Put(root, n); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"torn.json": `{"wh`, "other.txt": `{"why":"x"}`, "empty.json": `{}`, "large.json": `{"why":"` + strings.Repeat("x", 5000) + `"}`} {
		if err := os.WriteFile(filepath.Join(root, notice.Dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := notice.List(root); !slices.Equal(got, []notice.Notice{a, b}) {
		t.Errorf("%+v", got)
	}
	for range 2 {
		if err := notice.Clear(root, "config"); err != nil {
			t.Fatal(err)
		}
	}
	if got := notice.List(root); !slices.Equal(got, []notice.Notice{b}) {
		t.Errorf("%+v", got)
	}
}
