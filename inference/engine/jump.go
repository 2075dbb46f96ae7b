package engine

import (
	"math/bits"
	"slices"

	"lineside/inference/constraint"
)

// Bounds of looking ahead.
const (
	maxWays   = 64  // texts that a choice is laid out in
	maxBranch = 16  // bytes that may follow at one place before it counts as free
	maxWay    = 512 // bytes of one text
	endOfWay  = -1  // stands for the end of the answer in a plan
)

// plan is what a format leaves open at one place, as tokens: all ways on, each
// in its canonical tokens. Where the ways agree there is nothing to ask the
// model; where they part, the model chooses between their tokens.
//
// A plan is made from the tokens before it and the state of the format alone,
// and walked to its end before the next is made. How many of its tokens go
// into one pass therefore changes nothing about the answer: that is why an
// answer with jump-forward and one without are the same text.
type plan struct {
	ways [][]int32
	at   int // tokens walked
}

// next lists the tokens that may follow, in order of their ids; none when the
// plan is at its end.
func (p *plan) next() []int32 {
	if p == nil {
		return nil
	}
	var ids []int32
	for _, w := range p.ways {
		if p.at >= len(w) {
			return nil
		}
		if !slices.Contains(ids, w[p.at]) {
			ids = append(ids, w[p.at])
		}
	}
	slices.Sort(ids)
	return ids
}

// take goes on by one of next's tokens.
func (p *plan) take(id int32) {
	p.ways = slices.DeleteFunc(p.ways, func(w []int32) bool { return w[p.at] != id })
	p.at++
}

// way is one text on from a place, and the state behind it.
type way struct {
	text  []byte
	state constraint.State
	ended bool // the answer is over after text
	free  bool // too much may follow to look further
}

// lookAhead makes the plan for what follows the token last (-1 at the start),
// or nil where the model has to choose freely.
//
// The last tokens of a way may still change with what comes after them, so they
// do not belong to the plan unless the answer ends there: a plan with a "p" of
// its own for "pa", where "packer" is one token, would never see that word
// chosen. A way without any token of its own is followed further, as long as
// that leads to few ways.
func (v *vocab) lookAhead(state constraint.State, last int32) (*plan, error) {
	ways, forced := spread(way{state: state})
	tokens := make([][]int32, len(ways))
	for i := 0; i < len(ways); {
		w := &ways[i]
		ids, err := v.continuation(last, w.text)
		if err != nil {
			return nil, err
		}
		if w.ended {
			ids = append(ids, endOfWay)
		} else {
			ids = v.settled(ids, w.text)
		}
		if len(ids) > 0 {
			tokens[i] = ids
			i++
			continue
		}
		if w.free || len(w.text) >= maxWay || len(ways) > maxWays {
			return v.common(forced, last)
		}
		more, _ := spread(*w)
		ways = slices.Replace(ways, i, i+1, more...)
		tokens = append(tokens, make([][]int32, len(more)-1)...)
	}
	return &plan{ways: tokens}, nil
}

// common is the plan of a forced text behind which the ways are many.
func (v *vocab) common(forced []byte, last int32) (*plan, error) {
	ids, err := v.continuation(last, forced)
	if ids = v.settled(ids, forced); err != nil || len(ids) == 0 {
		return nil, err
	}
	return &plan{ways: [][]int32{ids}}, nil
}

// settled drops those of text's tokens that reach into its unfinished end.
func (v *vocab) settled(ids []int32, text []byte) []int32 {
	end, at := unfinished(text), 0
	for i, id := range ids {
		if at += len(v.pieces[id]); at > end || i == len(ids)-1 {
			return ids[:i]
		}
	}
	return ids
}

// unfinished is where the end of text begins that more text may still cut into
// other tokens. Llama 3 cuts text into runs of letters, of digits, of spaces and
// of signs before it makes tokens of them, and may begin a run of letters or of
// signs with what stands before it.
func unfinished(text []byte) int {
	at := runBefore(text, len(text))
	if at > 0 && !isWord(text[at-1]) {
		at = runBefore(text, at)
	}
	return at
}

// runBefore is where the run of like bytes begins that ends at end.
func runBefore(text []byte, end int) int {
	at := end
	for at > 0 && kind(text[at-1]) == kind(text[end-1]) {
		at--
	}
	return at
}

const (
	letter = iota
	digit
	space
	sign
)

// kind sorts a byte into the runs. What is not ASCII counts as a letter, which
// makes a run longer at worst.
func kind(b byte) int {
	switch {
	case b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= 0x80:
		return letter
	case b >= '0' && b <= '9':
		return digit
	case b == ' ' || b >= '\t' && b <= '\r':
		return space
	}
	return sign
}

func isWord(b byte) bool { return kind(b) <= digit }

// spread follows a way to where it branches, and gives each branch a way of
// its own with what is forced after it. It also returns the forced text
// before the branch.
func spread(from way) (ways []way, forced []byte) {
	from.force()
	forced = from.text
	if from.state.Done() {
		from.ended = true
		return []way{from}, forced
	}
	if from.state.CanStop() {
		end := from
		end.ended = true
		ways = append(ways, end)
	}
	follow := from.state.Following()
	branches := 0
	for _, word := range follow {
		branches += bits.OnesCount64(word)
	}
	if branches > maxBranch {
		from.free = true
		return []way{from}, forced
	}
	for i, word := range follow {
		for ; word != 0; word &= word - 1 {
			b := byte(i<<6 + bits.TrailingZeros64(word))
			next := way{text: append(slices.Clip(from.text), b), state: from.state}
			_ = next.state.AcceptBytes([]byte{b}) // it follows
			next.force()
			next.ended = next.state.Done()
			ways = append(ways, next)
		}
	}
	return ways, forced
}

// force goes on as long as there is one way only.
func (w *way) force() {
	if f := w.state.Forced(); len(f) > 0 && len(w.text) < maxWay {
		w.text = append(slices.Clip(w.text), f...)
		_ = w.state.AcceptBytes(f) // what is forced is legal
	}
}
