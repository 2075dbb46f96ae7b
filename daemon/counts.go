package daemon

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lineside/mqtt"
)

// Counts are the daemon's figures since its start.
type Counts struct {
	asked    atomic.Uint64
	replayed atomic.Uint64
	requeued atomic.Uint64
	tokens   atomic.Uint64
	pending  atomic.Int64 // answers on their way to the broker
	progress atomic.Int64 // Unix ns of the last sign of work

	mu      sync.Mutex
	byCode  map[mqtt.Code]uint64
	dropped map[string]uint64
}

// Snapshot is Counts at one moment.
type Snapshot struct {
	Asked, Replayed, Requeued, Tokens uint64
	Pending                           int64
	ByCode                            map[mqtt.Code]uint64
	Dropped                           map[string]uint64 // by reason: topic, retained, cancel, out_full, soft_full, refused
	Queued, Running                   int
	Remembered                        int
	Conditions                        []string // IDs of what is the matter
}

func (c *Counts) drop(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dropped == nil {
		c.dropped = map[string]uint64{}
	}
	c.dropped[why]++
}

func (c *Counts) answered(code mqtt.Code) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byCode == nil {
		c.byCode = map[mqtt.Code]uint64{}
	}
	c.byCode[code]++
}

// Counts reads all figures.
func (d *Daemon) Counts() Snapshot {
	c := &d.count
	s := Snapshot{
		Asked: c.asked.Load(), Replayed: c.replayed.Load(), Requeued: c.requeued.Load(), Tokens: c.tokens.Load(), Pending: c.pending.Load(),
		ByCode: map[mqtt.Code]uint64{}, Dropped: map[string]uint64{},
	}
	c.mu.Lock()
	for k, v := range c.byCode {
		s.ByCode[k] = v
	}
	for k, v := range c.dropped {
		s.Dropped[k] = v
	}
	c.mu.Unlock()
	d.mu.Lock()
	s.Queued, s.Running = d.queue.Len(), d.running()
	_, s.Remembered = d.ledger.Len()
	s.Conditions = d.lamp.Conditions()
	d.mu.Unlock()
	return s
}

// latencies are the last answer times of one skill.
type latencies struct {
	mu   sync.Mutex
	last [64]time.Duration
	n    int
}

func (l *latencies) observe(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last[l.n%len(l.last)] = d
	l.n++
}

// quantile of the last answers; 0 before the first.
func (l *latencies) quantile(q float64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := min(l.n, len(l.last))
	if k == 0 {
		return 0
	}
	s := slices.Clone(l.last[:k])
	slices.Sort(s)
	return s[min(int(q*float64(k)), k-1)]
}

// latencyOf is where an ask's answer time belongs: its skill, or "" for free prompts.
func (d *Daemon) latencyOf(a *ask) *latencies {
	name := ""
	if a.skill != nil {
		name = a.skill.Name
	}
	return d.latencyNamed(name)
}

func (d *Daemon) latencyNamed(name string) *latencies {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.latency[name]
	if l == nil {
		l = &latencies{}
		d.latency[name] = l
	}
	return l
}
