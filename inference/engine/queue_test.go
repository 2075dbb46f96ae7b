package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"lineside/inference"
)

func waiting(client string, priority int) *ask {
	return &ask{req: &inference.Request{ID: client, Client: client, Priority: priority}}
}

// order serves everything and names it.
func order(q *queue) string {
	var got []string
	for q.first() != nil {
		a := q.first()
		q.serve(a)
		got = append(got, fmt.Sprint(a.req.Client, a.req.Priority))
	}
	return strings.Join(got, " ")
}

func TestQueueOrder(t *testing.T) {
	for name, test := range map[string]struct {
		come []*ask
		want string
	}{
		"arrival":   {[]*ask{waiting("a", 0), waiting("b", 0), waiting("c", 0)}, "a0 b0 c0"},
		"turns":     {[]*ask{waiting("a", 0), waiting("a", 0), waiting("a", 0), waiting("b", 0), waiting("c", 0), waiting("b", 0)}, "a0 b0 c0 a0 b0 a0"},
		"alarms":    {[]*ask{waiting("a", 0), waiting("b", 1), waiting("a", 10), waiting("c", 10)}, "a10 c10 b1 a0"},
		"one alarm": {[]*ask{waiting("a", 0), waiting("a", 0), waiting("a", 10)}, "a10 a0 a0"},
	} {
		q := &queue{bound: 100}
		for _, a := range test.come {
			q.push(a)
		}
		if got := order(q); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

// TestQueueNoCredit: who was served much has to stand back, who was away gains nothing.
func TestQueueNoCredit(t *testing.T) {
	q := &queue{bound: 100}
	for range 3 {
		q.push(waiting("a", 0))
	}
	for range 2 {
		q.serve(q.first())
	}
	q.push(waiting("b", 0))
	q.push(waiting("b", 0))
	if got := order(q); got != "a0 b0 b0" && got != "b0 a0 b0" {
		t.Errorf("order %s: b had no turn for long, but that buys it one turn, not two", got)
	}
	q.push(waiting("c", 0))
	if len(q.turns) != 1 {
		t.Errorf("%d clients remembered, one waits", len(q.turns))
	}
}

func TestQueueBound(t *testing.T) {
	q := &queue{bound: 2}
	got := []bool{q.push(waiting("a", 0)), q.push(waiting("a", 0)), q.push(waiting("b", 10))}
	if !slices.Equal(got, []bool{true, true, false}) {
		t.Errorf("taken in: %v", got)
	}
	if gone := q.remove(func(a *ask) bool { return true }); len(gone) != 2 || q.first() != nil {
		t.Errorf("%d removed", len(gone))
	}
}
