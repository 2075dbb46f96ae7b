package constraint

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
)

// frame is one open rule: where the caller goes on, with which counter. Equal
// frames are one frame.
type frame struct {
	id     uint32
	ret    int32
	count  int32
	depth  int32
	short  int32 // fewest bytes from ret to the end of the answer, as shortest gives it
	parent *frame
}

type frameKey struct {
	ret, count int32
	parent     *frame
}

// config is one reading of the answer so far.
type config struct {
	node, count int32
	frame       *frame // nil in the root rule
}

// dstate is a set of readings: a state of the deterministic automaton that is
// built as answers walk through it.
type dstate struct {
	configs []config
	accept  bool      // the answer may end here
	out     [4]uint64 // bytes that may follow
	short   int32     // fewest bytes to an end, as shortest gives it
	plain   int32     // plain characters that may surely follow in a row, none for any number
	more    bool      // other plain characters, or more of them, may follow too
	next    []atomic.Pointer[dstate]

	mask atomic.Pointer[masked] // known mask, see mask.go
}

// dfa is the deterministic automaton of a machine, made where it is walked.
type dfa struct {
	m     *machine
	start atomic.Pointer[dstate]

	mu      sync.Mutex
	states  map[string]*dstate
	frames  map[frameKey]*frame
	frameID uint32
	size    int // estimated bytes of states and frames
	budget  int // of size; beyond it the automaton forgets

	// Scratch of one step.
	set    []config
	accept bool
	seen   map[config]struct{}
	todo   []config
	key    []byte

	most int          // readings to follow in this step
	work atomic.Int64 // places looked at in heavy steps since an answer began

	masks maskCache
}

// dfaBudget is how many bytes of visited states are remembered; then the
// automaton forgets and starts again. States that answers hold stay theirs.
const dfaBudget = 4 << 20

func (d *dfa) init(m *machine) {
	d.m, d.budget = m, dfaBudget
	d.seen = map[config]struct{}{}
	d.forget()
}

// forget lets go of every state and begins anew.
func (d *dfa) forget() {
	d.states = map[string]*dstate{}
	d.frames = map[frameKey]*frame{}
	d.masks = maskCache{}
	d.size = 0
	d.begin()
	d.close(config{node: d.m.root})
	d.start.Store(d.intern())
}

func (s *dstate) allows(b byte) bool { return s.out[b>>6]>>(b&63)&1 != 0 }

// step is the state after b, or nil where b may not follow.
func (d *dfa) step(s *dstate, b byte) *dstate {
	if !s.allows(b) {
		return nil
	}
	if t := s.next[d.m.class[b]].Load(); t != nil {
		return t
	}
	return d.grow(s, b)
}

// grow computes a step for the first time.
func (d *dfa) grow(s *dstate, b byte) *dstate {
	d.mu.Lock()
	defer d.mu.Unlock()
	slot := &s.next[d.m.class[b]]
	if t := slot.Load(); t != nil {
		return t
	}
	if d.size > d.budget {
		d.forget()
	}
	d.begin()
	for _, c := range s.configs {
		for _, e := range d.m.nodes[c.node].edges {
			if e.lo <= b && b <= e.hi {
				d.close(config{e.to, c.count, c.frame})
			}
		}
	}
	t := d.intern()
	slot.Store(t)
	return t
}

// begin makes ready for a step. Steps with many readings use up the answer's
// share of work; after that the automaton makes do with few.
func (d *dfa) begin() {
	if n := len(d.seen); n > maxConfigs {
		d.work.Add(int64(n))
		d.seen = map[config]struct{}{} // clearing costs by the size it once had
	}
	d.most = maxConfigs + len(d.m.nodes)
	if d.work.Load() > maxWork {
		d.most = fewConfigs
	}
	d.set, d.accept = d.set[:0], false
	clear(d.seen)
}

// close follows every step from c that consumes nothing. It adds the places
// that wait for a byte to d.set and notes in d.accept that the answer may end.
func (d *dfa) close(c config) {
	d.todo = append(d.todo[:0], c)
	for len(d.todo) > 0 {
		c := d.todo[len(d.todo)-1]
		d.todo = d.todo[:len(d.todo)-1]
		n := &d.m.nodes[c.node]
		if d.tooDeep(c.node, c.frame) {
			continue
		}
		if d.ambiguous() {
			return
		}
		if _, ok := d.seen[c]; ok {
			continue
		}
		d.seen[c] = struct{}{}
		switch n.kind {
		case kBytes:
			d.set = append(d.set, c)
		case kSplit:
			for _, o := range n.outs {
				d.todo = append(d.todo, config{o, c.count, c.frame})
			}
		case kCall:
			d.todo = append(d.todo, config{n.rule, 0, d.push(n.to, c.count, c.frame)})
		case kTail:
			d.todo = append(d.todo, config{n.rule, 0, c.frame})
		case kEnter:
			d.todo = append(d.todo, config{n.to, c.count, c.frame})
		case kInc:
			d.todo = append(d.todo, config{n.to, min(c.count+1, n.n), c.frame})
		case kLess:
			if c.count < n.n {
				d.todo = append(d.todo, config{n.to, c.count, c.frame})
			}
		case kLeast:
			if c.count >= n.n {
				d.todo = append(d.todo, config{n.to, c.count, c.frame})
			}
		case kRet:
			if c.frame == nil {
				d.accept = true
			} else {
				d.todo = append(d.todo, config{c.frame.ret, c.frame.count, c.frame.parent})
			}
		}
	}
}

// ambiguous reports that the answer so far can be read in more ways than are
// worth following. The others are then dropped: what follows is held to fewer
// readings than there are, each of them good. Only odd formats come here.
func (d *dfa) ambiguous() bool {
	return len(d.set) >= d.most || len(d.seen) > 4*d.most && (len(d.set) > 0 || d.accept)
}

func (d *dfa) tooDeep(node int32, f *frame) bool {
	return f != nil && f.depth+d.m.nodes[node].deep > maxDepth
}

// push is the frame of a call.
func (d *dfa) push(ret, count int32, parent *frame) *frame {
	k := frameKey{ret, count, parent}
	if f := d.frames[k]; f != nil {
		return f
	}
	d.frameID++
	f := &frame{id: d.frameID, ret: ret, count: count, depth: 1, parent: parent}
	if parent != nil {
		f.depth = parent.depth + 1
	}
	f.short = d.shortest(config{ret, count, parent})
	d.frames[k] = f
	d.size += 200
	return f
}

// shortest is the fewest bytes from c to the end of the answer. It is exact,
// except where the shortest way nests deeper than is allowed.
func (d *dfa) shortest(c config) int32 {
	n := &d.m.nodes[c.node]
	short := n.short
	if n.loop != none {
		l := &d.m.loops[n.loop]
		left := l.floor - c.count
		if n.inside {
			left--
		}
		if left > 0 {
			short = sum(short, times(left, l.round))
		}
	}
	if c.frame != nil {
		short = sum(short, c.frame.short)
	}
	return short
}

// intern is the one state that stands for d.set.
func (d *dfa) intern() *dstate {
	slices.SortFunc(d.set, func(a, b config) int {
		if a.node != b.node {
			return int(a.node - b.node)
		}
		if a.count != b.count {
			return int(a.count - b.count)
		}
		return int(int64(a.frame.ident()) - int64(b.frame.ident()))
	})
	d.key = d.key[:0]
	if d.accept {
		d.key = append(d.key, 1)
	}
	for _, c := range d.set {
		d.key = binary.LittleEndian.AppendUint32(d.key, uint32(c.node))
		d.key = binary.LittleEndian.AppendUint32(d.key, uint32(c.count))
		d.key = binary.LittleEndian.AppendUint32(d.key, c.frame.ident())
	}
	if s := d.states[string(d.key)]; s != nil {
		return s
	}
	s := &dstate{
		configs: slices.Clone(d.set),
		accept:  d.accept,
		short:   far,
		next:    make([]atomic.Pointer[dstate], len(d.m.reps)),
	}
	if d.accept {
		s.short = 0
	}
	for _, c := range s.configs {
		s.short = min(s.short, d.shortest(c))
		d.outgoing(s, c)
	}
	d.states[string(d.key)] = s
	d.size += 400 + 3*len(d.key) + 8*len(d.m.reps)
	return s
}

// outgoing adds what c lets follow to s.
func (d *dfa) outgoing(s *dstate, c config) {
	n := &d.m.nodes[c.node]
	for _, e := range n.edges {
		if d.tooDeep(e.to, c.frame) {
			continue
		}
		for b := int(e.lo); b <= int(e.hi); b++ {
			s.out[b>>6] |= 1 << (b & 63)
		}
	}
	switch {
	case !n.plain:
		s.more = s.more || slices.ContainsFunc(n.edges, edge.plain)
	case n.n == none:
		s.plain = none
	case s.plain != none:
		s.plain = max(s.plain, n.n-c.count)
	}
}

// plain reports whether a plain character can begin with the edge.
func (e edge) plain() bool {
	return e.hi >= ' ' && (e.lo != e.hi || e.lo != '"' && e.lo != '\\')
}

func (f *frame) ident() uint32 {
	if f == nil {
		return 0
	}
	return f.id
}
