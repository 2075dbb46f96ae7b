package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"lineside/tools/demomodel/bpe"
	"lineside/tools/demomodel/corpus"
	"lineside/tools/demomodel/forward"
)

// answerer is who is judged: the engine or the witness.
type answerer func(ctx context.Context, a corpus.Ask) (string, error)

// goals are the shares that the model card promises, in percent, by what is judged.
var goals = map[string]float64{"alarm": 97, "unknown": 95, "triage": 95, "triage json": 100, "extract": 95, "extract json": 100}

// miss is a wrong answer.
type miss struct {
	ask corpus.Ask
	got string
}

// tally counts the answers of one kind.
type tally struct{ asks, right, exact, json int }

// evaluate asks every held-out ask, writes some wrong answers to out and the
// scores to out and table, and fails below a goal. every thins the asks out: 1 is all.
func evaluate(answer answerer, seed uint64, every int, out, table io.Writer) error {
	w := corpus.NewWriter(seed, true)
	var asks []corpus.Ask
	for _, g := range heldPerKind {
		for range g.n {
			asks = append(asks, g.draw(w))
		}
	}
	tallies, wrong, err := askAll(answer, asks, every)
	if err != nil {
		return err
	}
	shown := map[corpus.Kind]int{}
	for _, w := range wrong {
		if shown[w.ask.Kind]++; shown[w.ask.Kind] <= 3 {
			fmt.Fprintf(out, "%s: %s\n  want %s\n  got  %s\n", w.ask.Kind, w.ask.User, w.ask.Answer, w.got)
		}
	}
	return report(tallies, io.MultiWriter(out, table))
}

// lanes is how many asks are under way at once: as many as the engine has slots.
const lanes = 4

// askAll asks all and collects the wrong answers.
func askAll(answer answerer, asks []corpus.Ask, every int) (map[corpus.Kind]*tally, []miss, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	var (
		mu    sync.Mutex
		done  sync.WaitGroup
		wrong []miss
		next  = -every
	)
	tallies := map[corpus.Kind]*tally{}
	start := time.Now()
	for range lanes {
		done.Go(func() {
			for {
				mu.Lock()
				next += every
				i := next
				if i%(every*50) == 0 && i < len(asks) {
					fmt.Fprintf(os.Stderr, "\r%d of %d asks, %.0f s ", i/every, (len(asks)+every-1)/every, time.Since(start).Seconds())
				}
				mu.Unlock()
				if i >= len(asks) || ctx.Err() != nil {
					return
				}
				text, err := answer(ctx, asks[i])
				if err != nil {
					cancel(err)
					return
				}
				mu.Lock()
				if !count(tallies, asks[i], text) {
					wrong = append(wrong, miss{asks[i], text})
				}
				mu.Unlock()
			}
		})
	}
	done.Wait()
	fmt.Fprintln(os.Stderr)
	return tallies, wrong, context.Cause(ctx)
}

// count judges one answer and says whether it is right.
func count(tallies map[corpus.Kind]*tally, a corpus.Ask, text string) bool {
	t := tallies[a.Kind]
	if t == nil {
		t = &tally{}
		tallies[a.Kind] = t
	}
	t.asks++
	if text == a.Answer {
		t.exact++
	}
	if json.Valid([]byte(text)) {
		t.json++
	}
	ok := right(a, text)
	if ok {
		t.right++
	}
	return ok
}

// right says whether an answer has what counts: cause and remedy of an alarm,
// the plain refusal of an unknown one, every field of a JSON answer.
func right(a corpus.Ask, text string) bool {
	switch a.Kind {
	case corpus.Alarm:
		_, want, _ := strings.Cut(a.Answer, "Likely cause: ")
		return strings.HasPrefix(text, a.Answer[:4]) && strings.HasSuffix(text, want)
	case corpus.Unknown:
		want, _, _ := strings.Cut(a.Answer, ".")
		return strings.HasPrefix(text, want)
	}
	return text == a.Answer
}

func report(tallies map[corpus.Kind]*tally, out io.Writer) error {
	var short []error
	check := func(what string, part, of int) string {
		share := 100 * float64(part) / float64(max(of, 1))
		goal, has := goals[what]
		if has && share < goal {
			short = append(short, fmt.Errorf("%s: %.1f %%, the goal is %.0f %%", what, share, goal))
		}
		return fmt.Sprintf("%.1f %%", share)
	}
	fmt.Fprintf(out, "%-10s %6s %9s %9s %9s %7s\n", "held out", "asks", "right", "exact", "JSON", "goal")
	for _, k := range []corpus.Kind{corpus.Alarm, corpus.Unknown, corpus.Triage, corpus.Extract, corpus.SetPoint, corpus.Chat} {
		t := tallies[k]
		if t == nil {
			continue
		}
		valid, goal := "", ""
		if k == corpus.Triage || k == corpus.Extract {
			valid = check(string(k)+" json", t.json, t.asks)
		}
		if g, has := goals[string(k)]; has {
			goal = fmt.Sprintf("%.0f %%", g)
		}
		fmt.Fprintf(out, "%-10s %6d %9s %9s %9s %7s\n", k, t.asks, check(string(k), t.right, t.asks),
			check("", t.exact, t.asks), valid, goal)
	}
	return errors.Join(short...)
}

// witness answers with the plain Go forward pass, greedily and without a grammar.
func witness(model string) (answerer, error) {
	m, err := forward.Open(model)
	if err != nil {
		return nil, err
	}
	tok, err := bpe.Open(model)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, a corpus.Ask) (string, error) {
		s := m.NewSequence()
		var logits []float32
		for _, id := range tok.Prompt(turns(a)) {
			logits = s.Next(id)
		}
		var ids []int
		for len(ids) < 96 && ctx.Err() == nil {
			best := 0
			for i, v := range logits {
				if v > logits[best] {
					best = i
				}
			}
			if best == tok.Special(bpe.EndOfTurn) {
				break
			}
			ids = append(ids, best)
			logits = s.Next(best)
		}
		return tok.Decode(ids), ctx.Err()
	}, nil
}
