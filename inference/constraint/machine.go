package constraint

import (
	"container/heap"
	"math"
	"slices"
)

// A machine is a set of rules over bytes that call each other, each with one
// counter of its own. Nodes lead onwards; a rule ends at the node ret.
type machine struct {
	nodes []node
	loops []loop
	root  int32 // first node of the root rule
	class [256]uint8
	reps  []byte // one byte of each class
	size  int    // estimated bytes of all this
}

type kind uint8

const (
	kBytes kind = iota // consumes one byte along an edge
	kSplit             // goes to any of outs
	kCall              // runs the rule that starts at rule, then goes to to
	kTail              // runs the rule in place of the rest of this one
	kInc               // adds one to the counter, not beyond n, and goes to to
	kLess              // goes to to if the counter is below n
	kLeast             // goes to to if the counter is n or more
	kEnter             // goes to to, a loop's first node, and knows what its counts take
	kRet               // ends the rule
)

const none = int32(-1)

// far marks a node from which no end can be reached.
const far = math.MaxInt32 / 4

type node struct {
	kind  kind
	plain bool  // a place in a string where any plain character may come, and again
	text  bool  // a place in a string where only n bounds how many characters may come
	n     int32 // bound of a guard; with plain or text, most characters, none for any number
	to    int32
	rule  int32 // first node of the rule: of a call, or that each count takes (kLeast, kEnter), or none
	extra int32 // bytes that each count takes besides (kEnter)
	edges []edge
	outs  []int32

	short int32 // fewest bytes from here to the end of the rule, the counter aside
	deep  int32 // fewest calls open at once from here to the end of the rule

	loop   int32 // the counting loop that the node is part of, or none
	inside bool  // the way to the loop's end still adds one count
}

// loop is what a counting rule repeats.
type loop struct {
	floor int32 // counts that its end asks for
	each  int32 // first node of the rule that one count takes, or none
	extra int32 // bytes that one count takes besides
	round int32 // fewest bytes of one count
}

type edge struct {
	lo, hi byte
	to     int32
}

// builder makes a machine from its end backwards: each method takes the node
// that follows and returns the node that leads there.
type builder struct {
	nodes     []node
	ret       int32
	ruleCount int
	root      int32
	full      bool // a limit was passed; finish says so

	loops  []loop
	loop   int32 // that is being built, or none
	inside bool  // of that loop
}

func newBuilder() *builder {
	b := &builder{root: none, loop: none}
	b.ret = b.add(node{kind: kRet})
	return b
}

func (b *builder) add(n node) int32 {
	if len(b.nodes) >= maxNodes {
		b.full = true
		return b.ret
	}
	if n.kind != kCall && n.kind != kLeast && n.kind != kEnter {
		n.rule = none
	}
	n.loop, n.inside = b.loop, b.inside
	b.nodes = append(b.nodes, n)
	return int32(len(b.nodes) - 1)
}

// counting builds a loop: end and body make the nodes of its way out and of
// one count, which goes on to the given node. It returns the node where the
// loop decides between the two.
func (b *builder) counting(l loop, high int32, end func() int32, body func(next int32) int32) int32 {
	b.loops = append(b.loops, l)
	b.loop = int32(len(b.loops) - 1)
	again := b.hole()
	out := b.least(l.floor, l.each, end())
	b.inside = true
	next := again
	if limit := saturate(l.floor, high); limit > 0 {
		next = b.inc(limit, again)
	}
	b.fill(again, out, b.less(high, body(next)))
	b.loop, b.inside = none, false
	if l.floor <= 0 {
		return again
	}
	return b.add(node{kind: kEnter, to: again, rule: l.each, n: l.floor, extra: l.extra})
}

// split leads to any of outs.
func (b *builder) split(outs ...int32) int32 {
	if len(outs) == 1 {
		return outs[0]
	}
	return b.add(node{kind: kSplit, outs: outs})
}

// hole is a split to be filled later, for loops and rules that call themselves.
func (b *builder) hole() int32 { return b.add(node{kind: kSplit}) }

func (b *builder) fill(hole int32, outs ...int32) {
	if !b.full {
		b.nodes[hole].outs = outs
	}
}

func (b *builder) bytes(edges ...edge) int32 { return b.add(node{kind: kBytes, edges: edges}) }

// lit consumes exactly s.
func (b *builder) lit(s string, next int32) int32 {
	for i := len(s) - 1; i >= 0; i-- {
		next = b.bytes(edge{s[i], s[i], next})
	}
	return next
}

func (b *builder) call(rule, next int32) int32 {
	return b.add(node{kind: kCall, rule: rule, to: next})
}

func (b *builder) inc(limit, next int32) int32 { return b.add(node{kind: kInc, n: limit, to: next}) }

func (b *builder) less(n, next int32) int32 {
	if n == none {
		return next
	}
	return b.add(node{kind: kLess, n: n, to: next})
}

// least lets pass from a count of n on; each count takes one run of rule.
func (b *builder) least(n, rule, next int32) int32 {
	if n <= 0 {
		return next
	}
	return b.add(node{kind: kLeast, n: n, rule: rule, to: next})
}

// saturate is where a counter between low and high may stop counting; high is
// none for no upper bound.
func saturate(low, high int32) int32 {
	if high == none {
		return low
	}
	return high
}

// finish checks and measures the machine and takes out what leads nowhere.
func (b *builder) finish() (*machine, error) {
	if b.full || b.ruleCount > maxRules {
		return nil, unsupported("the format is too large: it needs more than %d places or %d rules; make it smaller", maxNodes, maxRules)
	}
	m := &machine{nodes: b.nodes, loops: b.loops, root: b.root}
	for i := range m.nodes {
		n := &m.nodes[i]
		if n.kind == kCall && m.nodes[n.to].kind == kRet {
			n.kind = kTail
		}
	}
	for i, v := range m.settle(deepest) {
		m.nodes[i].deep = v
	}
	if deep := m.nodes[m.root].deep; deep >= far {
		return nil, bad("no answer can satisfy the format: parts of it contradict each other or never end")
	} else if deep > maxDepth {
		return nil, unsupported("the format nests deeper than %d levels", maxDepth)
	}
	m.trim()
	for i, v := range m.settle(shortest) {
		m.nodes[i].short = v
	}
	for i := range m.loops {
		l := &m.loops[i]
		if l.round = l.extra; l.each != none {
			l.round = sum(l.extra, m.nodes[l.each].short)
		}
	}
	if m.leftRecursive() {
		return nil, bad("a rule leads back to itself before it consumes anything (left recursion)")
	}
	m.classes()
	m.size = m.weigh()
	return m, nil
}

// weigh estimates the machine's memory in bytes.
func (m *machine) weigh() int {
	const perNode, perEdge, perOut = 96, 12, 4
	n := perNode * cap(m.nodes)
	for i := range m.nodes {
		n += perEdge*cap(m.nodes[i].edges) + perOut*cap(m.nodes[i].outs)
	}
	return n
}

// A measure says what a node costs from what it leads to.
type measure uint8

const (
	shortest measure = iota // bytes to the end of the rule, counters aside
	deepest                 // calls open at once up to the end of the rule
)

// joins reports whether the node's cost needs both its rule and what follows.
func (ms measure) joins(n *node) bool {
	switch n.kind {
	case kCall, kTail:
		return true
	case kLeast:
		return ms == deepest && n.rule != none
	case kEnter:
		return ms == shortest && n.rule != none
	}
	return false
}

func (ms measure) join(n *node, rule, next int32) int32 {
	switch {
	case ms == shortest && n.kind == kEnter:
		return sum(next, times(n.n, sum(rule, n.extra)))
	case ms == shortest:
		return sum(rule, next)
	}
	if n.kind != kTail {
		rule++
	}
	return max(rule, next)
}

// settle finds each node's least cost, cheapest first: Dijkstra's algorithm in
// Knuth's general form, as a call joins two ways.
func (m *machine) settle(ms measure) []int32 {
	users := m.users(ms)
	val := make([]int32, len(m.nodes))
	done := make([]bool, len(m.nodes))
	q := costHeap{}
	for i := range m.nodes {
		val[i] = far
		if m.nodes[i].kind == kRet {
			q = append(q, costItem{int32(i), 0})
		}
	}
	for len(q) > 0 {
		it := heap.Pop(&q).(costItem)
		if done[it.node] {
			continue
		}
		done[it.node], val[it.node] = true, it.cost
		for _, u := range users[it.node] {
			n, cost := &m.nodes[u], it.cost
			switch {
			case done[u]:
				continue
			case ms.joins(n):
				if !done[n.to] || !done[n.rule] {
					continue
				}
				cost = ms.join(n, val[n.rule], val[n.to])
			case ms == shortest && n.kind == kBytes:
				cost = sum(cost, 1)
			case ms == shortest && n.kind == kEnter:
				cost = sum(cost, times(n.n, n.extra))
			}
			heap.Push(&q, costItem{u, cost})
		}
	}
	return val
}

// sum and times stay at far where they would go beyond.
func sum(a, b int32) int32 { return min(a+b, far) }

func times(a, b int32) int32 {
	if b > 0 && a > far/b {
		return far
	}
	return a * b
}

// users lists for each node the nodes whose cost depends on it.
func (m *machine) users(ms measure) [][]int32 {
	users := make([][]int32, len(m.nodes))
	use := func(of, by int32) { users[of] = append(users[of], by) }
	for i := range m.nodes {
		n, id := &m.nodes[i], int32(i)
		switch n.kind {
		case kBytes:
			for _, e := range n.edges {
				use(e.to, id)
			}
		case kSplit:
			for _, o := range n.outs {
				use(o, id)
			}
		case kRet:
		default:
			use(n.to, id)
			if ms.joins(n) && n.rule != n.to {
				use(n.rule, id)
			}
		}
	}
	return users
}

type costItem struct{ node, cost int32 }

type costHeap []costItem

func (h costHeap) Len() int           { return len(h) }
func (h costHeap) Less(i, j int) bool { return h[i].cost < h[j].cost }
func (h costHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *costHeap) Push(x any)        { *h = append(*h, x.(costItem)) }
func (h *costHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// trim takes out the ways to nodes without an end.
func (m *machine) trim() {
	dead := func(i int32) bool { return m.nodes[i].deep >= far }
	for i := range m.nodes {
		n := &m.nodes[i]
		n.edges = slices.DeleteFunc(n.edges, func(e edge) bool { return dead(e.to) })
		n.outs = slices.DeleteFunc(n.outs, dead)
	}
}

// leftRecursive reports whether a rule can call itself with nothing consumed
// in between: a call inside a strongly connected part of the silent steps.
func (m *machine) leftRecursive() bool {
	part := m.silentParts()
	for i := range m.nodes {
		n := &m.nodes[i]
		if (n.kind == kCall || n.kind == kTail) && part[i] == part[n.rule] {
			return true
		}
	}
	return false
}

// silent calls f for each node that i leads to without consuming a byte.
func (m *machine) silent(i int32, f func(int32)) {
	n := &m.nodes[i]
	switch n.kind {
	case kSplit:
		for _, o := range n.outs {
			f(o)
		}
	case kCall, kTail:
		f(n.rule)
		if m.nodes[n.rule].short == 0 {
			f(n.to)
		}
	case kInc, kLess, kLeast, kEnter:
		f(n.to)
	}
}

// silentParts numbers the strongly connected parts (Tarjan's algorithm).
func (m *machine) silentParts() []int32 {
	n := len(m.nodes)
	index, low, part := make([]int32, n), make([]int32, n), make([]int32, n)
	on := make([]bool, n)
	var stack []int32
	next, parts := int32(1), int32(0)
	var visit func(v int32)
	visit = func(v int32) {
		index[v], low[v] = next, next
		next++
		stack = append(stack, v)
		on[v] = true
		m.silent(v, func(w int32) {
			if index[w] == 0 {
				visit(w)
				low[v] = min(low[v], low[w])
			} else if on[w] {
				low[v] = min(low[v], index[w])
			}
		})
		if low[v] != index[v] {
			return
		}
		for {
			w := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			on[w], part[w] = false, parts
			if w == v {
				break
			}
		}
		parts++
	}
	for i := range n {
		if index[i] == 0 {
			visit(int32(i))
		}
	}
	return part
}

// classes groups bytes that no edge tells apart, to keep tables short.
func (m *machine) classes() {
	var cut [257]bool
	for i := range m.nodes {
		for _, e := range m.nodes[i].edges {
			cut[e.lo], cut[int(e.hi)+1] = true, true
		}
	}
	for b := range 256 {
		if b == 0 || cut[b] {
			m.reps = append(m.reps, byte(b))
		}
		m.class[b] = uint8(len(m.reps) - 1)
	}
}
