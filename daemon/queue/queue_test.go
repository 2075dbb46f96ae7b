package queue

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func push(t *testing.T, q *Queue[int], items ...string) {
	t.Helper()
	for _, s := range items {
		client, id, _ := strings.Cut(s, ":")
		priority := 0
		if strings.HasSuffix(id, "!") {
			priority = Alarm
		}
		if _, err := q.Push(Item[int]{Client: client, ID: id, Priority: priority}); err != nil {
			t.Fatalf("push %s: %v", s, err)
		}
	}
}

func order(q *Queue[int]) string {
	var s []string
	for _, it := range q.Drain() {
		s = append(s, it.Client+":"+it.ID)
	}
	return strings.Join(s, " ")
}

func TestOrder(t *testing.T) {
	for _, tt := range []struct {
		name, in, want string
	}{
		{"first come", "a:1 a:2 a:3", "a:1 a:2 a:3"},
		{"clients take turns", "a:1 a:2 a:3 b:1 c:1 b:2", "a:1 b:1 c:1 a:2 b:2 a:3"},
		{"alarms first", "a:1 b:1 c:9!", "c:9! a:1 b:1"},
		{"alarms take turns too", "a:1! a:2! b:1! b:5", "a:1! b:1! a:2! b:5"},
		{"a client's alarm overtakes its own asks", "a:1 a:2!", "a:2! a:1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q := New[int](32)
			push(t, q, strings.Fields(tt.in)...)
			if got := order(q); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// TestAhead checks the promise of a place against what Pop then does.
func TestAhead(t *testing.T) {
	q := New[int](32)
	push(t, q, strings.Fields("a:1 a:2 b:1 c:1! a:3 b:2 c:2 c:3!")...)
	want := map[string]int{}
	for _, s := range strings.Fields("a:1 a:2 b:1 c:1! a:3 b:2 c:2 c:3!") {
		client, id, _ := strings.Cut(s, ":")
		want[s] = q.Ahead(client, id)
	}
	if q.Ahead("d", "1") != -1 {
		t.Error("an unknown ask has a place")
	}
	for i, s := range strings.Fields(order(q)) {
		if want[s] != i {
			t.Errorf("%s was promised place %d and came at %d", s, want[s], i)
		}
	}
}

func TestBounds(t *testing.T) {
	q := New[int](16)
	for i := range 8 {
		push(t, q, fmt.Sprintf("flood:%d", i))
	}
	if _, err := q.Push(Item[int]{Client: "flood", ID: "x"}); !errors.Is(err, ErrFull) {
		t.Errorf("one client took more than half of the queue: %v", err)
	}
	for i := range 6 {
		push(t, q, fmt.Sprintf("other%d:1", i))
	}
	if q.Room("late", 0) {
		t.Error("the places kept for alarms went to others")
	}
	push(t, q, "late:1!", "late:2!")
	if _, err := q.Push(Item[int]{Client: "late", ID: "3!", Priority: Alarm}); !errors.Is(err, ErrFull) {
		t.Errorf("an alarm went into a queue that is full: %v", err)
	}
	q.Return(Item[int]{Client: "crashed", ID: "1"})
	if q.Len() != 17 {
		t.Errorf("length is %d, want 17: what comes back keeps its place", q.Len())
	}
}

func TestTinyQueueTakesOne(t *testing.T) {
	q := New[int](1)
	push(t, q, "a:1")
	if q.Room("a", Alarm) {
		t.Error("a full queue has room")
	}
}

func TestRemoveAndOverdue(t *testing.T) {
	start := time.Unix(1000, 0)
	q := New[int](8)
	for i, s := range []string{"a", "b", "c"} {
		if _, err := q.Push(Item[int]{Client: s, ID: "1", Deadline: start.Add(time.Duration(i) * time.Second)}); err != nil {
			t.Fatal(err)
		}
	}
	if got := q.NextDeadline(); !got.Equal(start) {
		t.Errorf("next deadline is %v", got)
	}
	if _, ok := q.Remove("b", "2"); ok {
		t.Error("removed another ask")
	}
	if _, ok := q.Remove("b", "1"); !ok {
		t.Error("did not remove b:1")
	}
	if late := q.Overdue(start.Add(time.Second)); len(late) != 1 || late[0].Client != "a" {
		t.Errorf("overdue: %v", late)
	}
	if got := order(q); got != "c:1" {
		t.Errorf("left: %s", got)
	}
}

func TestPace(t *testing.T) {
	p := Pace{Lanes: 2}
	if got := p.Wait(2); got != firstGuess {
		t.Errorf("before the first answer: %s", got)
	}
	for range 30 {
		p.Observe(2 * time.Second)
	}
	if got := p.Wait(4); got != 4*time.Second {
		t.Errorf("4 ahead on 2 lanes of 2 s each: %s", got)
	}
}
