package constraint

// masked is a remembered mask.
type masked struct {
	voc  *Vocab
	bits []uint64
}

// maskCache remembers the masks of states whose walk was long, the oldest
// making room for the newest. dfa.mu guards it.
type maskCache struct {
	owners [128]*dstate
	next   int
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
	return !s.more
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
