package mqtt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"lineside/mqtt/wire"
)

// The connection's words, as package wire has them.
type (
	// Message is one message from the broker.
	Message = wire.Message
	// Outgoing is one message to the broker.
	Outgoing = wire.Outgoing
	// RefusedError carries the reason why the broker refused.
	RefusedError = wire.RefusedError
)

// Errors of Publish, for callers that decide by them.
var (
	// ErrDown: there is no connection, or it went away before the broker took
	// the message. Send again after OnUp.
	ErrDown = wire.ErrDown
	// ErrRefused: the broker refused. See RefusedError.
	ErrRefused = wire.ErrRefused
	// ErrPacketSize: the message is larger than the broker takes.
	ErrPacketSize = wire.ErrPacketSize
)

// Config says how a board talks to its broker.
type Config struct {
	Topics
	URL      string // mqtt://host:1883 or mqtts://host:8883
	Version  string // auto (default), 3.1.1 or 5
	Username string
	// PasswordFile holds the password on its first line. It is read at every
	// connect, as are the files of TLS: a new one counts from the next connect
	// or Reconnect on.
	PasswordFile string
	TLS          wire.TLS

	Pools         []string      // pools to take asks from; joined with JoinPools
	Admin         bool          // also take admin verbs
	Window        int           // most unanswered asks in flight to the board; default 64
	SessionExpiry time.Duration // how long the broker keeps asks for a board that is away; default 24 h
	KeepAlive     time.Duration // default 30 s
	Timeout       time.Duration // of connecting, of one write, and of a publish without its own; default 10 s
	MinBackoff    time.Duration // between attempts to connect; default 500 ms
	MaxBackoff    time.Duration // default 10 s

	// Clock says what the board's clock is worth: synced, holdover or unsynced.
	// With unsynced, certificates' dates are not held against a broker. Nil means synced.
	Clock func() string
	// Will is the status to publish when the board vanishes, asked for at every
	// connect. Nil means no will: tools must not have one.
	Will func() Status

	// Handler gets every message of the board with its parsed topic: asks,
	// cancels and admin verbs. It must not block: it decides and enqueues.
	Handler func(Address, Message)
	// OnUp runs after every (re)connect, and where somebody else overwrote the
	// board's status: publish everything retained again, and what was not sent.
	// Its context ends with the connection. Calls never overlap.
	OnUp func(context.Context)
	// OnDown hears that the connection is gone, or could not be made, and why. It must not block.
	OnDown func(error)
	Log    *slog.Logger // default: none
}

// Bus is a board's connection to its broker: in truth two, so that a full
// window of asks never holds back a cancel, the status or a pool.
//
//	ctl   clean session: will, status, cancel, admin, pools
//	work  kept session: direct asks, and all replies
type Bus struct {
	cfg       Config
	count     counters
	ctl, work *lane
	events    chan struct{} // wakes the goroutine that calls OnUp; holds one
	version   atomic.Value  // string: what the last connect spoke

	mu         sync.Mutex
	pools      bool   // the board wants its pools' asks
	lastStatus string // payload last published on the status topic
	stale      bool   // somebody else overwrote it
	wasUp      bool
}

// New checks the configuration. Nothing is dialled before Run.
func New(cfg Config) (*Bus, error) {
	if err := cfg.defaults(); err != nil {
		return nil, fmt.Errorf("mqtt: %w", err)
	}
	b := &Bus{cfg: cfg, events: make(chan struct{}, 1)}
	b.version.Store("")
	b.ctl = &lane{bus: b, name: "ctl", clientID: cfg.Board, onMessage: b.fromCtl}
	b.work = &lane{bus: b, name: "work", clientID: cfg.Board + "-work", persistent: true, onMessage: b.fromWork}
	return b, nil
}

func (c *Config) defaults() error {
	if err := c.Topics.Validate(); err != nil {
		return err
	}
	if len(c.Board) > maxID-len("-work") {
		return fmt.Errorf("board id %q is too long: at most %d characters, for the broker sees it with \"-work\" behind it", c.Board, maxID-len("-work"))
	}
	if err := c.wire().Check(); err != nil {
		return err
	}
	for _, p := range c.Pools {
		if !ValidID(p) {
			return fmt.Errorf("pool %q must be 1 to 64 characters of A-Z a-z 0-9 _ . -", p)
		}
	}
	if c.Handler == nil {
		return errors.New("no handler for messages")
	}
	if c.OnUp == nil {
		c.OnUp = func(context.Context) {}
	}
	if c.OnDown == nil {
		c.OnDown = func(error) {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Timeout <= 0 {
		c.Timeout = 10 * time.Second
	}
	if c.MinBackoff <= 0 {
		c.MinBackoff = 500 * time.Millisecond
	}
	if c.MaxBackoff < c.MinBackoff {
		c.MaxBackoff = max(10*time.Second, c.MinBackoff)
	}
	return nil
}

// wire is the part of the configuration that one connection needs.
func (c *Config) wire() wire.Options {
	return wire.Options{
		URL: c.URL, Version: c.Version, Username: c.Username, PasswordFile: c.PasswordFile, TLS: c.TLS,
		SessionExpiry: c.SessionExpiry, Window: c.Window, KeepAlive: c.KeepAlive, Timeout: c.Timeout,
		ClockUnsynced: c.Clock != nil && c.Clock() == ClockUnsynced, Log: c.Log,
	}
}

// Run holds both connections until ctx ends, then disconnects without a will
// and returns nil. Publish the final status before ending ctx.
func (b *Bus) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return b.ctl.run(ctx) })
	g.Go(func() error { return b.work.run(ctx) })
	g.Go(func() error { return b.callOnUp(ctx) })
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("mqtt: %w", err)
	}
	return nil
}

// Up tells whether both connections stand.
func (b *Bus) Up() bool { return b.ctl.up() && b.work.up() }

// Protocol is the version that the connection speaks, 3.1.1 or 5; empty before the first.
func (b *Bus) Protocol() string { return b.version.Load().(string) }

// Stats counts what happened so far.
func (b *Bus) Stats() Stats { return b.count.snapshot() }

// Reconnect ends both connections properly and makes new ones, with
// certificates and password as they are on disk now. Asks wait at the broker
// meanwhile; a Publish that is cut gets ErrDown.
func (b *Bus) Reconnect() {
	b.ctl.reconnect()
	b.work.reconnect()
}

// Publish is the only way to publish. It refuses every topic that is not the
// board's to write (ErrOutside), and returns when the broker has the message
// (QoS 1), when it is written (QoS 0), or with an error: ErrDown, a
// RefusedError, ErrPacketSize or the context's. It never takes longer than the
// context, or than Config.Timeout where the context has no deadline. Nobody knows
// whether the broker has what was given up on; while the connection lives, to wait
// on is better than to send again.
func (b *Bus) Publish(ctx context.Context, m Outgoing) error {
	if err := b.cfg.MayPublish(m.Topic); err != nil {
		b.count.outsideTopic.Add(1)
		return err
	}
	if m.QoS > 1 {
		return fmt.Errorf("publish to %s: QoS %d is not part of the API", m.Topic, m.QoS)
	}
	l := b.ctl
	if strings.HasPrefix(m.Topic, b.cfg.Root()+"/reply/") {
		l = b.work
	}
	if m.Topic == b.cfg.Status() {
		b.mu.Lock()
		b.lastStatus = string(m.Payload)
		b.mu.Unlock()
	}
	if _, ends := ctx.Deadline(); !ends {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, b.cfg.Timeout)
		defer cancel()
	}
	if err := l.publish(ctx, m); err != nil {
		b.count.publishFailed.Add(1)
		return fmt.Errorf("publish to %s: %w", m.Topic, err)
	}
	b.count.published.Add(1)
	return nil
}

// JoinPools takes asks from the board's pools, or leaves them: a board that is
// hot, full or draining leaves its share to the others. It is remembered
// across reconnects; without a connection there is nothing else to do.
func (b *Bus) JoinPools(ctx context.Context, join bool) error {
	if len(b.cfg.Pools) == 0 {
		return nil
	}
	b.mu.Lock()
	changed := b.pools != join
	b.pools = join
	b.mu.Unlock()
	c := b.ctl.conn()
	if !changed || c == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Timeout)
	defer cancel()
	err := b.pool(ctx, c, join)
	if err != nil { // to be tried again
		b.mu.Lock()
		b.pools = !join
		b.mu.Unlock()
	}
	return err
}

func (b *Bus) pool(ctx context.Context, c wire.Conn, join bool) error {
	if join {
		return c.Subscribe(ctx, b.cfg.poolFilters())
	}
	var filters []string
	for _, s := range b.cfg.poolFilters() {
		filters = append(filters, s.Filter)
	}
	return c.Unsubscribe(ctx, filters)
}

func (c *Config) poolFilters() (subs []wire.Subscription) {
	for _, p := range c.Pools {
		asks := sharePrefix + p + "/" + c.Root() + "/pool/" + p + "/ask/"
		subs = append(subs, wire.Subscription{Filter: asks + "+/text", QoS: 1}, wire.Subscription{Filter: asks + "+/skill/+", QoS: 1})
	}
	return subs
}

func (b *Bus) ctlFilters() []wire.Subscription {
	c := &b.cfg
	subs := []wire.Subscription{{Filter: c.own("cancel/+"), QoS: 0}, {Filter: c.Status(), QoS: 1}}
	for _, p := range c.Pools {
		subs = append(subs, wire.Subscription{Filter: c.Root() + "/pool/" + p + "/cancel/+", QoS: 0})
	}
	if c.Admin {
		subs = append(subs, wire.Subscription{Filter: c.own("admin/+/+"), QoS: 1})
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pools {
		subs = append(subs, c.poolFilters()...)
	}
	return subs
}

func (b *Bus) workFilters() []wire.Subscription {
	return []wire.Subscription{{Filter: b.cfg.own("ask/+/text"), QoS: 1}, {Filter: b.cfg.own("ask/+/skill/+"), QoS: 1}}
}

func (b *Bus) fromWork(m Message) { b.deliver(m) }

func (b *Bus) fromCtl(m Message) {
	if m.Topic == b.cfg.Status() {
		m.Ack()
		b.watchStatus(m)
		return
	}
	b.deliver(m)
}

// deliver hands a message on, or drops and counts what nobody may act on.
func (b *Bus) deliver(m Message) {
	a, err := b.cfg.Parse(m.Topic)
	switch {
	case err != nil:
		b.count.badTopics.Add(1)
		b.cfg.Log.Warn("message dropped", "why", err)
		m.Ack()
	case m.Retained:
		// A retained ask comes back at every connect: somebody set the flag by
		// mistake, and nobody waits for the answer any more.
		b.count.retainedAsks.Add(1)
		b.cfg.Log.Warn("retained message dropped: clear it with an empty retained message", "topic", m.Topic)
		m.Ack()
	default:
		b.count.received.Add(1)
		b.cfg.Handler(a, m)
	}
}

// watchStatus sees a will of an older connection, or a tool's, that says this
// board is offline, and has the truth published again.
func (b *Bus) watchStatus(m Message) {
	var s Status
	if m.Retained || b.cfg.Will == nil || !strings.Contains(string(m.Payload), StateOffline) {
		return // retained comes with a connect, and OnUp follows that
	}
	if err := Decode(m.Payload, &s); err != nil || s.State != StateOffline {
		return
	}
	b.mu.Lock()
	stale := b.lastStatus != "" && b.lastStatus != string(m.Payload)
	b.stale = b.stale || stale
	b.mu.Unlock()
	if stale {
		b.count.staleStatus.Add(1)
		b.cfg.Log.Info("somebody else said this board is offline; publishing the truth again", "boot", s.Boot)
		b.wake()
	}
}

// laneUp and laneDown keep OnUp and OnDown in step with both lanes.
func (b *Bus) laneUp() {
	if b.Up() {
		b.wake()
	}
}

func (b *Bus) laneDown(err error) {
	b.mu.Lock()
	first := b.wasUp
	b.wasUp = false
	b.mu.Unlock()
	if first {
		b.cfg.Log.Warn("broker lost", "why", err)
	}
	b.cfg.OnDown(err)
}

func (b *Bus) wake() {
	select {
	case b.events <- struct{}{}:
	default: // one is waiting already, and will see the state as it is then
	}
}

// callOnUp calls OnUp once for every pair of connections, and for a stale status.
func (b *Bus) callOnUp(ctx context.Context) error {
	var ctl, work wire.Conn // the pair that OnUp was called for
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-b.events:
		}
		up, cancel := context.WithCancel(ctx)
		stopCtl, stopWork := b.ctl.onDown(cancel), b.work.onDown(cancel)
		c, w := b.ctl.conn(), b.work.conn()
		b.mu.Lock()
		due := b.Up() && (b.stale || c != ctl || w != work)
		news := due && !b.wasUp
		if due {
			b.stale, b.wasUp = false, true
		}
		b.mu.Unlock()
		if due {
			if news {
				b.cfg.Log.Info("connected to the broker", "url", wire.Redact(b.cfg.URL), "mqtt", b.Protocol())
			}
			ctl, work = c, w
			b.cfg.OnUp(up)
		}
		stopCtl()
		stopWork()
		cancel()
	}
}
