// Package daemon is the appliance's mind: it takes asks from the bus, decides
// at the door, queues, has the engine answer, and brings exactly one terminal
// answer out for each, across crashes of the engine, the broker and itself.
//
// It never parses a model, never acts on what a model says, and publishes only
// through its Bus, which refuses every topic that is not the board's own.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"lineside/daemon/admission"
	"lineside/daemon/audit"
	"lineside/daemon/config"
	"lineside/daemon/governor"
	"lineside/daemon/lamp"
	"lineside/daemon/ledger"
	"lineside/daemon/queue"
	"lineside/daemon/skill"
	"lineside/daemon/store"
	"lineside/hw"
	"lineside/inference"
	"lineside/inference/model/licence"
	"lineside/mqtt"
)

// Bus is the connection to the broker. Publish returns when the broker has the
// message (QoS 1) or it is written (QoS 0), and mqtt.ErrDown at once where there is no
// connection. JoinPools says whether the board takes asks of its pools.
type Bus interface {
	Publish(ctx context.Context, m mqtt.Outgoing) error
	JoinPools(ctx context.Context, join bool) error
}

// Engine answers asks and says how it is.
type Engine interface {
	Generate(ctx context.Context, r *inference.Request, emit func(text string) error) (*inference.Result, error)
	Health(ctx context.Context) (*inference.Health, error)
	SetLimits(ctx context.Context, l inference.Limits) error
	Pin(ctx context.Context, messages []inference.Message) error
}

// Sensor reads the board into a sample.
type Sensor interface{ Sample(dst *hw.Sample) }

// Light shows the board's state.
type Light interface {
	Show(hw.Pattern) error
	Beat() error
}

// Notifier is the service manager.
type Notifier interface {
	Ready() error
	Reloading() error
	Status(line string) error
	Stopping() error
	Watchdog() error
	WatchdogEvery() time.Duration
}

// Auditor keeps the record of asks. Append must not block for long; Err is what
// its last write came to.
type Auditor interface {
	Append(audit.Entry) error
	Err() error
}

// Child tells why an engine that is started here does not run.
type Child interface {
	// Down is why the engine is down and when it is started again; empty while it runs.
	Down() (why string, restart time.Duration)
	// Restart ends the engine, which is then started anew.
	Restart(why string)
}

// Options are the parts of a daemon. Sensor, Light, Notifier, Audit, Store, Sizes and
// Child may be nil: the daemon then does without.
type Options struct {
	Config   config.Config // with Board.ID set
	Topics   mqtt.Topics
	Bus      Bus
	Engine   Engine
	Skills   *skill.Library
	Store    *store.Store
	Audit    Auditor
	Sensor   Sensor
	Light    Light
	Notifier Notifier
	Child    Child
	Clock    func() string // what the clock is worth: mqtt.ClockSynced and so on; nil: synced
	// Permit is what the licences of the running model, and of an adapter of it, say to a use.
	// nil permits everything; an empty adapter is none.
	Permit    func(use licence.Class, adapter string) error
	UseModel  func(name string) error // asks for another model; nil: it cannot be changed here
	Update    func() error            // asks for an update from the USB stick; nil: there is none to ask
	Notices   func() []Notice         // what the board's own system reports; nil: nothing
	Sizes     Sizes                   // the smaller model for hard times; nil: there is none
	About     About
	Boot      string // new at every start
	AliveFile string // its time is when the board was last alive; empty: not kept
	Log       *slog.Logger
}

// About is what info says of the board and its model, and does not change.
type About struct {
	Version  string
	Hardware string
	Protocol func() string
	Model    func() mqtt.ModelInfo
}

// Daemon is the appliance. Use New; Handle and Up may be called from any goroutine,
// also before Run.
type Daemon struct {
	Options
	out    chan delivery // terminal answers, QoS 1
	soft   chan delivery // acks and chunks, QoS 0, and the answers behind chunks
	wake   chan struct{} // something to do for workers
	tick   chan struct{} // the state changed: control looks again
	up     chan struct{} // the connection came up
	skills chan struct{} // read the skills' folder now
	look   chan struct{} // ask the engine now how it is
	size   chan struct{} // the governor wants another size of model
	shine  chan struct{} // the light shows what the board says now
	beat   chan struct{} // and flashes, where that is a beat
	seq    atomic.Uint64
	told   atomic.Bool // the service manager knows that the board is ready
	count  Counts

	unlimited  atomic.Bool  // another engine runs, which knows no limits yet
	complained atomic.Value // the last error that tell logged
	wantSmall  atomic.Bool  // the governor wants the smaller model

	scan sync.Mutex // guards the reading of the skills' folder

	mu        sync.Mutex
	queue     *queue.Queue[*ask]
	pace      queue.Pace
	rates     *admission.Rates
	backlog   admission.Backlog
	ledger    *ledger.Ledger
	asks      map[ledger.Key]*ask // working: queued or running
	board     admission.Board
	engine    inference.Health
	falls     uint64     // how often an ask found that the engine is gone
	lamp      lamp.State // what the light shows
	voice     lamp.State // what the status says: all but the absence of the broker
	latency   map[string]*latencies
	isUp      chan struct{} // closed while the connection is up
	stopping  bool
	pooled    bool        // takes asks from its pools
	status    mqtt.Status // last published
	voiced    telling     // when and for what
	sample    hw.Sample   // the last one
	clock     string      // as the board's sensors see it; empty: they do not
	storeTold time.Time
	denied    time.Time // last denied event
	changedTo string    // model that a change brings or has brought: an event tells of it
}

// Sizes of the queues towards the broker, and the number of publishers.
const (
	outSize    = 4096
	softSize   = 256
	publishers = 48
)

// New checks the parts, takes up what the last run left in the store, and makes
// a daemon that Run starts.
func New(o Options) (*Daemon, error) {
	if o.Bus == nil || o.Engine == nil || o.Skills == nil || o.Log == nil {
		return nil, errors.New("daemon: bus, engine, skills and log are needed")
	}
	if err := o.Topics.Validate(); err != nil {
		return nil, fmt.Errorf("daemon: %w", err)
	}
	if o.Clock == nil {
		o.Clock = func() string { return mqtt.ClockSynced }
	}
	if o.Permit == nil {
		o.Permit = func(licence.Class, string) error { return nil }
	}
	d := &Daemon{
		Options: o,
		out:     make(chan delivery, outSize),
		soft:    make(chan delivery, softSize),
		wake:    make(chan struct{}, 1),
		tick:    make(chan struct{}, 1),
		up:      make(chan struct{}, 1),
		skills:  make(chan struct{}, 1),
		look:    make(chan struct{}, 1),
		size:    make(chan struct{}, 1),
		shine:   make(chan struct{}, 1),
		beat:    make(chan struct{}, 1),
		queue:   queue.New[*ask](o.Config.Limits.Queue),
		pace:    queue.Pace{Lanes: o.Config.Engine.Slots},
		rates:   admission.NewRates(o.Config.Limits.PerClientPerMinute),
		ledger:  ledger.Open(),
		asks:    map[ledger.Key]*ask{},
		latency: map[string]*latencies{},
		isUp:    make(chan struct{}),
	}
	d.board.Why, d.board.Starting = "the engine is starting", o.Child != nil
	d.board.Climate = governor.Decision{Admit: o.Sensor == nil, Reason: "the board's temperature is not known yet"}
	d.show(lamp.IsStarting, true, "")
	if o.AliveFile != "" {
		if since := awaySince(o.AliveFile, o.Store != nil && o.Store.Existed(), time.Now()); !since.IsZero() {
			d.backlog.Down(since)
		}
	}
	// Before the bus can bring anything: an ask that is in the store and that the broker
	// sends again must find itself known.
	if err := d.scanSkills(); err != nil {
		d.Log.Warn("no skills", "err", err)
	}
	if d.Audit != nil {
		d.auditIs(d.Audit.Err()) // the disk may be read-only
	}
	if d.Store != nil {
		if err := d.recover(time.Now()); err != nil {
			d.Log.Error("asks from before the start cannot be read", "err", err)
		}
	}
	return d, nil
}

// Run works until ctx ends, then answers what is left, which takes a few
// seconds at most, and returns nil. The bus must stay connected until then.
func (d *Daemon) Run(ctx context.Context) error {
	// Three groups end one after the other: control, the workers, then what brings
	// answers out.
	outCtx, endOut := context.WithCancel(context.WithoutCancel(ctx))
	defer endOut()
	out, outCtx := errgroup.WithContext(outCtx)
	for range publishers {
		out.Go(func() error { return d.publish(outCtx) })
	}
	out.Go(func() error { return d.publishSoft(outCtx) })
	if d.Light != nil { // not among what has to end before leftovers are answered: a lamp may hold it up
		out.Go(func() error { return d.runLight(outCtx) })
	}
	storeCtx, endStore := context.WithCancel(context.WithoutCancel(ctx))
	defer endStore()
	var kept errgroup.Group
	if d.Store != nil {
		kept.Go(func() error { return d.Store.Run(storeCtx) })
	}

	work, workCtx := errgroup.WithContext(ctx)
	for range d.Config.Engine.Slots {
		work.Go(func() error { return d.worker(workCtx) })
	}
	work.Go(func() error { return d.control(workCtx) })
	work.Go(func() error { return d.watchEngine(workCtx) })
	work.Go(func() error { return d.watchSkills(workCtx) })
	if d.AliveFile != "" {
		work.Go(func() error { return d.keepAlive(workCtx) })
	}
	if d.Sensor != nil {
		work.Go(func() error { return d.watchBoard(workCtx) })
	}
	if d.Notices != nil {
		work.Go(func() error { return d.watchNotices(workCtx) })
	}
	if d.Sizes != nil {
		work.Go(func() error { return d.watchSize(workCtx) })
	}
	err := work.Wait()

	d.finish()
	endOut()
	err = errors.Join(err, out.Wait())
	endStore()
	return errors.Join(err, kept.Wait())
}

// lastAnswers is how long leftovers may take to reach the broker.
const lastAnswers = 4 * time.Second

// finish answers what is left with 24 and says offline.
func (d *Daemon) finish() {
	if d.Notifier != nil {
		d.tell(d.Notifier.Stopping())
	}
	d.mu.Lock()
	d.stopping = true
	d.board.Draining = true
	left := d.queue.Drain()
	d.mu.Unlock()
	for _, it := range left {
		d.end(it.Value, outcome{code: mqtt.Draining, text: "the board stops: ask again in a minute", retry: time.Minute})
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastAnswers)
	defer cancel()
	d.drained(ctx)
	d.publishStatus(ctx, mqtt.StateOffline, "stopped")
}

// drained waits until every answer is out, or ctx ends.
func (d *Daemon) drained(ctx context.Context) {
	t := time.NewTicker(10 * time.Millisecond)
	defer t.Stop()
	for d.count.pending.Load() > 0 {
		select {
		case <-ctx.Done():
			d.Log.Warn("answers are left; they are sent after the next start", "answers", d.count.pending.Load())
			return
		case <-t.C:
		}
	}
}

// nudge wakes whoever waits on c; one wake-up is enough.
func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// tell logs an error of a part that the daemon can do without, once while it stays the same: a lamp
// fails at every beat.
func (d *Daemon) tell(err error) {
	if err != nil && d.complained.Swap(err.Error()) != err.Error() {
		d.Log.Warn("a part does not work", "err", err)
	}
}

// stamps orders the board's messages.
func (d *Daemon) stamps() mqtt.Stamps {
	return mqtt.Stamps{Boot: d.Boot, Seq: d.seq.Add(1), TS: mqtt.Stamp(time.Now()), Clock: d.Clock()}
}
