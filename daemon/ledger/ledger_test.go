package ledger

import (
	"fmt"
	"testing"
	"time"
)

func TestLook(t *testing.T) {
	now := time.Unix(1000, 0)
	l := Open()
	k, p := Key{"plc", "42"}, PrintOf("text", []byte("a"))
	look := func(k Key, p Print, at time.Time, want Standing) []byte {
		t.Helper()
		got, answer := l.Look(k, p, at)
		if got != want {
			t.Errorf("standing is %d, want %d", got, want)
		}
		return answer
	}
	look(k, p, now, New)
	l.Begin(k, p)
	look(k, p, now, Working)
	look(k, PrintOf("text", []byte("b")), now, Conflict)
	look(k, PrintOf("skill/x", []byte("a")), now, Conflict)
	look(Key{"hmi", "42"}, p, now, New)
	l.Answer(k, p, []byte("yes"), now.Add(Keep))
	if got := look(k, p, now.Add(Keep-1), Answered); string(got) != "yes" {
		t.Errorf("answer is %q", got)
	}
	look(k, p, now.Add(Keep), New)
	if w, a := l.Len(); w != 0 || a != 0 {
		t.Errorf("%d working and %d answered are left", w, a)
	}
}

func TestStaysBounded(t *testing.T) {
	now := time.Unix(1000, 0)
	l := Open()
	l.Begin(Key{"plc", "running"}, Print{})
	for i := range 3 * maxAnswers {
		l.Answer(Key{"plc", fmt.Sprint(i)}, Print{}, make([]byte, 600), now.Add(Keep))
	}
	if _, a := l.Len(); a > maxAnswers || l.bytes > maxBytes {
		t.Errorf("%d answers in %d bytes are kept", a, l.bytes)
	}
	if s, _ := l.Look(Key{"plc", "running"}, Print{}, now); s != Working {
		t.Error("an ask that is being worked on was forgotten")
	}
	if s, _ := l.Look(Key{"plc", fmt.Sprint(3*maxAnswers - 1)}, Print{}, now); s != Answered {
		t.Error("the newest answer was forgotten")
	}
}
