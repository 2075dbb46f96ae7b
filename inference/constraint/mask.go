package constraint

import "slices"

// masked is a remembered mask.
type masked struct {
	voc  *Vocab
	bits []uint64
}

// maskCache remembers the masks of states whose walk was long, the oldest
// making room for the newest. dfa.mu guards it.
type maskCache struct {
	owners [64]*dstate
	next   int
}

// size is the memory of the masks in bytes.
func (c *maskCache) size() int {
	n := 0
	for _, owner := range c.owners {
		if owner != nil {
			if m := owner.mask.Load(); m != nil {
				n += 8 * len(m.bits)
			}
		}
	}
	return n
}

// worthKeeping is the number of trie nodes from which a mask is remembered:
// copying one costs about as much as visiting that many.
const worthKeeping = 512

// fillMask sets dst to the tokens that may follow s.
func (d *dfa) fillMask(s *dstate, voc *Vocab, dst []uint64) {
	if d.recall(s, voc, dst) {
		return
	}
	visited := 0
	if !d.maskPlain(s, voc, dst) {
		visited += d.walk(s, &voc.plain, dst)
	}
	visited += d.walk(s, &voc.other, dst)
	for _, id := range voc.giants {
		if d.run(s, voc.pieces[id]) != nil {
			set(dst, id)
		}
	}
	if s.accept {
		for _, id := range voc.eog {
			set(dst, id)
		}
	}
	if visited > worthKeeping {
		d.remember(s, voc, dst)
	}
}

// maskPlain sets dst to the plain tokens that s is known to allow, and reports
// whether there can be no others.
func (d *dfa) maskPlain(s *dstate, voc *Vocab, dst []uint64) bool {
	switch {
	case s.plain == none || s.plain >= voc.longest && s.plain > 0:
		copy(dst, voc.all)
		return true
	case s.plain <= plainSteps:
		copy(dst, voc.upTo[max(s.plain, 0)])
	default:
		copy(dst, voc.upTo[plainSteps])
		for _, id := range voc.long {
			if int32(voc.chars[id]) > s.plain {
				break
			}
			set(dst, id)
		}
	}
	if s.more {
		return d.maskLike(s, voc, dst)
	}
	return true
}

// maskLike sets the plain tokens of a state that differs only in how many
// characters may come from one whose mask is worth remembering: the state at
// the text's start. It reports whether s is such a state.
func (d *dfa) maskLike(s *dstate, voc *Vocab, dst []uint64) bool {
	first, left := d.firstLike(s)
	if first == nil || first == s {
		return false
	}
	d.fillMask(first, voc, dst)
	switch {
	case left >= voc.longest:
	case left <= plainSteps:
		for i, w := range voc.upTo[left] {
			dst[i] &= w
		}
		return true
	default:
		for _, id := range voc.long {
			if int32(voc.chars[id]) > left {
				dst[id>>6] &^= 1 << (id & 63)
			}
		}
	}
	for i, w := range voc.all {
		dst[i] &= w
	}
	return true
}

// firstLike is the state with the same text place as s and no characters
// counted yet, and how many may follow s; nil if s is of another kind.
func (d *dfa) firstLike(s *dstate) (*dstate, int32) {
	at := -1
	for i, c := range s.configs {
		n := &d.m.nodes[c.node]
		switch {
		case n.text && n.n != none && at < 0:
			at = i
		case slices.ContainsFunc(n.edges, edge.plain):
			return nil, 0
		}
	}
	if at < 0 {
		return nil, 0
	}
	c := s.configs[at]
	d.mu.Lock()
	defer d.mu.Unlock()
	d.begin()
	d.set = append(d.set, config{c.node, 0, c.frame})
	return d.intern(), d.m.nodes[c.node].n - c.count
}

// walk adds the tokens of t that may follow s to dst and returns the number of
// nodes it looked at.
func (d *dfa) walk(s *dstate, t *trie, dst []uint64) int {
	var path [maxPiece + 1]*dstate
	path[0] = s
	visited := 0
	for i := int32(0); i < int32(len(t.nodes)); {
		n := &t.nodes[i]
		visited++
		next := d.step(path[n.depth-1], n.b)
		if next == nil {
			i = n.end
			continue
		}
		path[n.depth] = next
		if n.id != none {
			set(dst, n.id)
			if n.more {
				for _, id := range t.more[i] {
					set(dst, id)
				}
			}
		}
		i++
	}
	return visited
}

// recall copies the remembered mask of s to dst.
func (d *dfa) recall(s *dstate, voc *Vocab, dst []uint64) bool {
	if s.mask.Load() == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	m := s.mask.Load()
	if m == nil || m.voc != voc {
		return false
	}
	copy(dst, m.bits)
	return true
}

func (d *dfa) remember(s *dstate, voc *Vocab, mask []uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.mask.Load() != nil {
		return
	}
	c := &d.masks
	old := c.owners[c.next]
	m := &masked{}
	if old != nil {
		m = old.mask.Swap(nil)
	}
	if len(m.bits) != len(mask) {
		m.bits = make([]uint64, len(mask))
	}
	m.voc = voc
	copy(m.bits, mask)
	s.mask.Store(m)
	c.owners[c.next] = s
	c.next = (c.next + 1) % len(c.owners)
}
