package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lineside/inference"
	"lineside/inference/chat"
)

// Template turns a conversation into the prompt of the loaded model.
type Template interface {
	Encode(messages []inference.Message) (chat.Prompt, error)
	// Stop are texts that end an answer besides the model's own end tokens.
	Stop() []string
}

// Options shape an engine. The zero value is usable.
type Options struct {
	Model string // name that answers carry
	Slots int    // asks answered at once; 8, at most the runtime's sequences less one
	Queue int    // asks that may wait; 64

	// Context is the most tokens of one prompt with its answer; 0 is as many
	// as the cache has cells.
	Context int
	// Chunk is the most prompt tokens in a pass while answers are running; 64.
	// It bounds how long a running answer waits for its next token: one pass of
	// at most Chunk prompt tokens and Span tokens for each running answer.
	Chunk int
	// Span is the most tokens of one answer in a pass; 32.
	Span int
	// PrefixCells is how many KV cells ended asks may keep taken for those to
	// come, pinned prefixes aside; 0 is a quarter of the cache.
	PrefixCells int
	// TailCells is how many of them may hold last messages and answers, which
	// only a conversation that goes on asks for again; 0 is a 32nd of the cache.
	// Attention looks at every cell in use, so idle ones cost every pass time.
	TailCells int
	// DecodeThreads and PrefillThreads are what the runtime was opened with: most
	// that SetLimits gives it. 0 is no bound.
	DecodeThreads, PrefillThreads int
	// FormatBytes is how much memory compiled formats may keep for asks to come; 64 MB.
	FormatBytes int
	// Adapters are the names of the LoRA adapters that the runtime has; it must be a
	// Wearer to have any. One is at work at a time: asks for another wait until the
	// running ones have ended, and prefixes are computed anew after each change.
	Adapters []string
	// StateDir is where pinned prefixes are saved and found again; "" is nowhere.
	StateDir string
	// StateKey names what a saved prefix depends on: model file, template, build.
	StateKey string

	// Techniques that can be switched off, to measure what each brings.
	NoPrefixSharing, NoJumpForward, NoLookup bool

	Log *slog.Logger // nil is the default logger
}

func (o Options) withDefaults(rt Limits) Options {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&o.Slots, 8)
	def(&o.Queue, 64)
	def(&o.Context, rt.Cells)
	def(&o.Chunk, 64)
	def(&o.Span, 32)
	def(&o.PrefixCells, rt.Cells/4)
	def(&o.TailCells, rt.Cells/32)
	def(&o.FormatBytes, 64_000_000)
	o.Slots = min(o.Slots, rt.Sequences-1)
	o.Context = min(o.Context, rt.Cells)
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o
}

// Engine answers asks from one Runtime. Generate, Pin and the like may be called
// from anywhere; they work while Run runs.
type Engine struct {
	rt       Runtime
	voc      *vocab
	template Template
	opt      Options
	limits   Limits
	formats  formats

	kick   chan struct{} // wakes Run
	inPass atomic.Pointer[[]*ask]

	// Touched by Run's goroutine alone.
	cells  *ledger
	tree   *tree
	slots  []*slot // at work, in the order of service
	parked []parked
	faults int // passes that failed, in a row
	price  price
	saver  saver
	work   scratch
	kept   int64  // bytes of cache that the tree was last held to
	idle   bool   // the memory of cells that nobody needs is wanted back
	worn   string // adapter at work

	mu      sync.Mutex
	queue   queue
	unpins  [][]int32 // prefixes to let go
	dials   inference.Limits
	stopped error // why there is no Run any more
	stats   Stats
	took    time.Duration // an ask, lately, once it has a slot
}

// New makes an engine over a runtime that is empty and that nothing else uses.
func New(rt Runtime, voc Vocabulary, template Template, o Options) (*Engine, error) {
	l := rt.Limits()
	switch {
	case l.Sequences < 2:
		return nil, fmt.Errorf("engine needs 2 sequences, the runtime has %d: open it with more", l.Sequences)
	case l.Vocab != voc.Size():
		return nil, fmt.Errorf("runtime has %d tokens, vocabulary %d: they are not of one model", l.Vocab, voc.Size())
	case l.CellBytes < 1:
		return nil, errors.New("runtime does not say how much memory a cell takes")
	}
	e := &Engine{rt: rt, voc: newVocab(voc), template: template, opt: o.withDefaults(l), limits: l, kick: make(chan struct{}, 1)}
	if _, ok := rt.(Wearer); len(o.Adapters) > 0 && !ok {
		return nil, errors.New("this runtime has no adapters")
	}
	if len(e.voc.ends) == 0 {
		return nil, errors.New("vocabulary has no token that ends an answer: the model file is damaged")
	}
	e.cells = newLedger(rt)
	e.tree = newTree(e.cells)
	e.work.mask = make([]uint64, e.voc.tries.Words())
	e.queue.bound = e.opt.Queue
	e.formats.budget = e.opt.FormatBytes
	e.dials = e.fullLimits()
	e.kept = e.dials.PrefixBytes
	return e, nil
}

// Run does the work until ctx ends: it alone touches the runtime. It returns
// an error when the runtime keeps failing; asks not answered by then get
// inference.ErrUnavailable.
func (e *Engine) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, e.wake)()
	e.rt.SetAbort(func() bool { return e.abort(ctx) })
	defer e.rt.SetAbort(nil)
	defer e.saver.wait()
	if err := e.restore(); err != nil {
		return e.shut(err)
	}
	for ctx.Err() == nil {
		start := time.Now()
		worked, err := e.step(start)
		if worked && err == nil {
			err = e.rest(ctx, time.Since(start))
		}
		if err != nil {
			return e.shut(err)
		}
		if worked {
			continue
		}
		select {
		case <-e.kick:
		case <-ctx.Done():
		}
	}
	return e.shut(nil)
}

// rest keeps the pace: computing takes its share of the time, no more. Who
// wants to end meanwhile ends, and a new pace counts at once.
func (e *Engine) rest(ctx context.Context, took time.Duration) error {
	pace := e.dial().PacePercent
	if pace >= 100 {
		return nil
	}
	timer := time.NewTimer(took * time.Duration(100-pace) / time.Duration(pace))
	defer timer.Stop()
	for e.dial().PacePercent == pace {
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return nil
		case <-e.kick:
			if err := e.sweep(time.Now()); err != nil {
				return err
			}
		}
	}
	return nil
}

// shut ends everything that is not answered.
func (e *Engine) shut(cause error) error {
	why := inference.ErrUnavailable
	if cause != nil {
		why = fmt.Errorf("%w: %w", inference.ErrUnavailable, cause)
	}
	e.mu.Lock()
	e.stopped = why
	left := e.queue.remove(func(*ask) bool { return true })
	e.mu.Unlock()
	for _, s := range e.slots {
		s.close(nil, why)
	}
	for _, a := range left {
		a.close(nil, why)
	}
	e.slots = nil
	return errors.Join(cause, e.cells.clear())
}

// wake makes Run look again.
func (e *Engine) wake() {
	select {
	case e.kick <- struct{}{}:
	default:
	}
}

// abort tells the runtime to end a pass that nobody waits for any more.
func (e *Engine) abort(ctx context.Context) bool {
	if ctx.Err() != nil {
		return true
	}
	asks := e.inPass.Load()
	if asks == nil {
		return false
	}
	for _, a := range *asks {
		if a.over() == "" {
			return false
		}
	}
	return true
}

// Generate answers one ask. emit gets the text piece by piece, each valid
// UTF-8, on the caller's goroutine; it may be nil. When ctx ends or emit fails,
// the answer ends within one pass: then the result is what there was, with
// FinishCancelled, and the error says why. Other errors are those of package
// inference. A deadline is no error, but an answer that could not be brought to
// its format wraps inference.ErrSchema.
func (e *Engine) Generate(ctx context.Context, r *inference.Request, emit func(text string) error) (*inference.Result, error) {
	a, err := e.prepare(r)
	if err != nil {
		return nil, err
	}
	return e.submit(ctx, a, emit)
}

func (e *Engine) submit(ctx context.Context, a *ask, emit func(string) error) (*inference.Result, error) {
	if err := e.enqueue(a); err != nil {
		return nil, err
	}
	e.wake()
	return a.follow(ctx, e.wake, emit)
}

// prepare does for an ask what needs no model, on the caller's goroutine.
func (e *Engine) prepare(r *inference.Request) (*ask, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	if r.Adapter != "" && !slices.Contains(e.opt.Adapters, r.Adapter) {
		return nil, fmt.Errorf("%w: there is no adapter %q beside this model: installed are %q", inference.ErrBadRequest, r.Adapter, e.opt.Adapters)
	}
	a := newAsk(r, time.Now())
	var err error
	if a.format, err = e.formats.compile(r.Format); err != nil {
		return nil, err
	}
	if a.Prompt, err = e.template.Encode(r.Messages); err != nil {
		return nil, err
	}
	a.stops = append(e.template.Stop(), r.Stop...)
	if len(a.Tokens)+max(r.MaxTokens, 1) > e.opt.Context {
		return nil, &inference.TooLongError{Prompt: len(a.Tokens), Answer: max(r.MaxTokens, 1), Context: e.opt.Context}
	}
	if a.format != nil {
		return a, e.roomToClose(a)
	}
	return a, nil
}

// roomToClose refuses an ask whose shortest valid answer is longer than it allows.
func (e *Engine) roomToClose(a *ask) error {
	start := a.format.Start()
	closing, ok := start.Closing(maxClosing)
	if !ok {
		return nil
	}
	ids, err := e.voc.continuation(-1, closing)
	if err != nil {
		return err
	}
	if limit := e.answerLimit(a); len(ids) > limit {
		return fmt.Errorf("%w: the shortest valid answer takes %d tokens and max_tokens leaves %d: raise it", inference.ErrSchema, len(ids), limit)
	}
	return nil
}

// answerLimit is the most tokens that an ask's answer may have.
func (e *Engine) answerLimit(a *ask) int {
	if a.req.MaxTokens > 0 {
		return a.req.MaxTokens
	}
	return e.opt.Context - len(a.Tokens)
}

// Pin computes what the messages have before the last message is known, and
// keeps it for asks to come until Unpin. The messages are those that begin
// such asks: a system message, most often.
func (e *Engine) Pin(ctx context.Context, messages []inference.Message) error {
	a, err := e.pinAsk(messages)
	if err != nil {
		return err
	}
	_, err = e.submit(ctx, a, nil)
	return err
}

// Unpin lets a pinned prefix go; without Pin before it nothing happens.
func (e *Engine) Unpin(messages []inference.Message) error {
	a, err := e.pinAsk(messages)
	if err != nil {
		return err
	}
	e.mu.Lock()
	e.unpins = append(e.unpins, a.Tokens)
	e.mu.Unlock()
	e.wake()
	return nil
}

func (e *Engine) pinAsk(messages []inference.Message) (*ask, error) {
	messages = append(append([]inference.Message(nil), messages...), inference.Message{Role: inference.RoleUser, Content: "?"})
	r := &inference.Request{ID: "pin", Messages: messages}
	a := newAsk(r, time.Now())
	p, err := e.template.Encode(messages)
	if err != nil {
		return nil, err
	}
	if p.Prefix == 0 {
		return nil, fmt.Errorf("%w: these messages begin no prefix", inference.ErrBadRequest)
	}
	a.Tokens, a.Prefix, a.pinning = p.Tokens[:p.Prefix], p.Prefix, true
	if p.Prefix > e.mostPinned() {
		return nil, &inference.TooLongError{Prompt: p.Prefix, Context: e.mostPinned()}
	}
	return a, nil
}

// mostPinned is how many cells pinned prefixes may take in all, so that asks
// still have room beside them.
func (e *Engine) mostPinned() int { return e.limits.Cells / 2 }
