package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lineside/hw"
	"lineside/hw/hwtest"
	"lineside/mqtt"
)

// record opens the log in dir, appends entries and closes it.
func record(t *testing.T, dir string, max int64, hashes bool, from, n int) {
	t.Helper()
	l, err := Open(dir, max, hashes)
	if err != nil {
		t.Fatal(err)
	}
	for i := from; i < from+n; i++ {
		err := l.Append(Entry{At: time.Unix(1000, 0), Client: "plc", Topic: "t", Ask: fmt.Appendf(nil, `{"id":"%d","prompt":"secret"}`, i),
			Answer: mqtt.Answer{ID: fmt.Sprint(i), Text: "answer", Stamps: mqtt.Stamps{Boot: "b"}}})
		if err != nil {
			t.Fatal(err)
		}
		if i%100 == 0 {
			if err := l.flush(false); err != nil {
				t.Fatal(err)
			}
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestChainGoesOnAcrossRestarts(t *testing.T) {
	dir := t.TempDir()
	record(t, dir, 1<<20, false, 1, 3)
	record(t, dir, 1<<20, false, 4, 2)
	var ids []string
	r, err := Read(dir, func(l Line, _ []byte) error { ids = append(ids, l.Answer.ID); return nil })
	if err != nil || r.Lines != 5 || r.First != 1 || r.Last != 5 || r.Torn {
		t.Errorf("%+v %v", r, err)
	}
	if got := strings.Join(ids, " "); got != "1 2 3 4 5" {
		t.Errorf("lines: %s", got)
	}
}

func TestTampering(t *testing.T) {
	for name, change := range map[string]func([]byte) []byte{
		"changed": func(b []byte) []byte { return bytes.Replace(b, []byte("answer\""), []byte("Answer\""), 1) },
		"cut out": func(b []byte) []byte {
			l := bytes.SplitAfter(b, []byte("\n"))
			return bytes.Join(append(l[:2:2], l[3:]...), nil)
		},
		"put in": func(b []byte) []byte { l := bytes.SplitAfter(b, []byte("\n")); return append(bytes.Clone(l[0]), b...) },
		"reordered": func(b []byte) []byte {
			l := bytes.SplitAfter(b, []byte("\n"))
			l[1], l[2] = l[2], l[1]
			return bytes.Join(l, nil)
		},
		"junk": func(b []byte) []byte { return append([]byte("{}\n"), b...) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			record(t, dir, 1<<20, false, 1, 5)
			path := filepath.Join(dir, "audit-00000001.jsonl")
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, change(b), 0o600); err != nil {
				t.Fatal(err)
			}
			if r, err := Read(dir, nil); !errors.Is(err, ErrTampered) {
				t.Errorf("%+v %v", r, err)
			}
		})
	}
}

func TestTornLineIsCutOff(t *testing.T) {
	dir := t.TempDir()
	record(t, dir, 1<<20, false, 1, 3)
	path := filepath.Join(dir, "audit-00000001.jsonl")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()-10); err != nil {
		t.Fatal(err)
	}
	if r, err := Read(dir, nil); err != nil || !r.Torn || r.Lines != 2 {
		t.Errorf("before the start: %+v %v", r, err)
	}
	record(t, dir, 1<<20, false, 4, 1)
	var notes int
	r, err := Read(dir, func(l Line, _ []byte) error {
		if l.Note != "" {
			notes++
		}
		return nil
	})
	if err != nil || r.Torn || r.Lines != 4 || notes != 1 {
		t.Errorf("after the start: %+v %v, %d notes", r, err, notes)
	}
}

func TestRotationIsBounded(t *testing.T) {
	dir := t.TempDir()
	const max = 1 << 20
	record(t, dir, max, false, 1, 8000)
	names, err := list(dir)
	if err != nil || len(names) != files {
		t.Fatalf("%v %v", names, err)
	}
	var total int64
	for _, n := range names {
		info, err := os.Stat(filepath.Join(dir, n))
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	r, err := Read(dir, nil)
	if err != nil || r.First < 2 || r.Last != 8000 || total > max*3/2 {
		t.Errorf("%+v %v, %d bytes", r, err, total)
	}
}

func TestHashesOnly(t *testing.T) {
	dir := t.TempDir()
	record(t, dir, 1<<20, true, 1, 2)
	b, err := os.ReadFile(filepath.Join(dir, "audit-00000001.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte("secret")) || bytes.Contains(b, []byte(`"text":"answer"`)) || !bytes.Contains(b, []byte("ask_sha256")) {
		t.Errorf("the record holds texts:\n%s", b)
	}
	if _, err := Read(dir, nil); err != nil {
		t.Error(err)
	}
}

func TestDiskThatTakesNothing(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(dir, 1<<20, false)
	if err != nil {
		t.Fatal(err)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full here")
	}
	good := l.file
	l.file = full
	entry := Entry{Client: "plc", Ask: []byte(`{"id":"1"}`)}
	if err := l.Append(entry); err != nil {
		t.Error("the first append knows of nothing yet")
	}
	if l.flush(true) == nil || l.Append(entry) == nil {
		t.Error("a full disk was not told")
	}
	l.file = good
	if err := l.flush(true); err != nil {
		t.Error(err)
	}
	if err := errors.Join(l.close(), full.Close()); err != nil {
		t.Error(err)
	}
	if r, err := Read(dir, nil); err != nil || r.Lines != 2 {
		t.Errorf("%+v %v: nothing may be missing", r, err)
	}
}

// TestReadOnly: lines that a file system took that had turned read-only count as missing
// until it takes them in earnest, and stand there once.
func TestReadOnly(t *testing.T) {
	for _, c := range []struct {
		name string
		good int // looks at the file system that find it writable, of the two of each flush
	}{{"before the write", 0}, {"during the write", 1}} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			l, err := Open(dir, 1<<20, false)
			if err != nil {
				t.Fatal(err)
			}
			looks, fixed := 0, true
			l.writable = func() error {
				if looks++; fixed && looks > c.good {
					return hw.ErrReadOnly
				}
				return nil
			}
			entry := Entry{Client: "plc", Ask: []byte(`{"id":"1"}`)}
			if err := l.Append(entry); err != nil {
				t.Error("the first append knows of nothing yet")
			}
			if err := l.flush(true); !errors.Is(err, hw.ErrReadOnly) || !errors.Is(l.Append(entry), hw.ErrReadOnly) {
				t.Errorf("a read-only disk was not told: %v", err)
			}
			fixed = false
			if err := l.flush(true); err != nil || l.Err() != nil {
				t.Error(err, l.Err())
			}
			if err := l.close(); err != nil {
				t.Error(err)
			}
			if r, err := Read(dir, nil); err != nil || r.Lines != 2 {
				t.Errorf("%+v %v: nothing may be missing", r, err)
			}
		})
	}
}

// TestReadOnlyFromTheStart tells at once that nothing is recorded, and leaves what is there.
func TestReadOnlyFromTheStart(t *testing.T) {
	disk := t.TempDir()
	dir := filepath.Join(disk, "audit")
	entry := Entry{Client: "plc", Ask: []byte(`{"id":"1"}`)}
	l, err := Open(dir, 1<<20, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Append(entry), l.flush(true), l.close()); err != nil {
		t.Fatal(err)
	}
	hwtest.Fix(t, disk)
	for _, d := range []string{dir, filepath.Join(disk, "none")} {
		l, err := Open(d, 1<<20, false)
		if err != nil {
			t.Fatal(err)
		}
		for name, err := range map[string]error{"err": l.Err(), "append": l.Append(entry), "flush": l.flush(true)} {
			if !errors.Is(err, hw.ErrReadOnly) {
				t.Errorf("%s: %s: %v", d, name, err)
			}
		}
		ended, end := context.WithCancel(t.Context())
		end()
		if err := l.Run(ended); err != nil {
			t.Errorf("the end: %v", err)
		}
	}
	if r, err := Read(dir, nil); err != nil || r.Lines != 1 {
		t.Errorf("%+v %v", r, err)
	}
}
