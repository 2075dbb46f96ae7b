package daemon

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"lineside/daemon/admission"
	"lineside/daemon/lamp"
	"lineside/daemon/queue"
	"lineside/inference"
	"lineside/mqtt"
)

// Causes that end an answer early.
var (
	errLate   = errors.New("the deadline came")
	errTooHot = errors.New("the board ended running work")
	errStop   = errors.New("the board stops")
	errEnough = errors.New("max_chars reached")
)

// crashes is how often the engine may fail on an ask before it is answered 33.
const crashes = 2

// worker answers one ask after the other until ctx ends.
func (d *Daemon) worker(ctx context.Context) error {
	for {
		a, ok := d.next()
		if !ok {
			select {
			case <-ctx.Done():
				return nil
			case <-d.wake:
				continue
			}
		}
		nudge(d.wake) // there may be more for the others
		d.work(ctx, a)
		if ctx.Err() != nil {
			return nil
		}
	}
}

// next takes an ask from the queue, if the engine can answer it. A suspect, on
// which the engine failed before, waits until it can run alone, so that it takes
// no other ask down with it.
func (d *Daemon) next() (*ask, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.board.Ready || d.board.Climate.Abort || d.stopping {
		return nil, false
	}
	for _, a := range d.asks {
		if a.cancel != nil && a.attempts > 0 {
			return nil, false
		}
	}
	running := d.running()
	it, ok := d.queue.Pop()
	if !ok {
		return nil, false
	}
	a := it.Value
	if a.attempts > 0 && running > 0 {
		d.queue.Return(it)
		return nil, false
	}
	a.started = time.Now()
	a.cancel = func(error) {} // running from here on; work puts the real one
	return a, true
}

// work has the engine answer one ask.
func (d *Daemon) work(ctx context.Context, a *ask) {
	runCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { cancel(errStop) })
	defer stop()
	margin := admission.Margin(a.deadline.Sub(a.arrived))
	late := time.AfterFunc(time.Until(a.deadline.Add(-margin/2)), func() { cancel(errLate) })
	defer late.Stop()
	d.mu.Lock()
	a.cancel = cancel
	limits := d.answerTokens(a)
	d.mu.Unlock()
	d.signal()

	if v := d.permitted(a); !v.OK() { // the model may have changed while the ask waited
		d.end(a, outcome{code: v.Code, text: v.Text, retry: v.Retry})
		d.idle()
		return
	}
	w := &writer{d: d, a: a}
	res, err := d.Engine.Generate(runCtx, d.request(a, limits), w.take)
	if err != nil && ctx.Err() != nil && context.Cause(runCtx) != errCancelled {
		err = errStop
	} else if cause := context.Cause(runCtx); err != nil && cause != nil {
		err = cause
	}
	w.flush(true)
	d.finished(a, w, res, err)
}

// answerTokens is the most tokens that an ask may be answered with. d.mu is held.
func (d *Daemon) answerTokens(a *ask) int {
	n := d.Config.Limits.MaxAnswerTokens
	if a.skill != nil && a.skill.MaxTokens > 0 {
		n = min(n, a.skill.MaxTokens)
	}
	return n
}

// systemText is what free prompts are prefaced with.
func systemText(lang string) string {
	const text = "You are the assistant of a factory. Answer briefly and plainly. Say so where you do not know."
	if lang == "" {
		return text
	}
	return text + " Answer in the language " + lang + "."
}

// request makes the engine's request of an ask.
func (d *Daemon) request(a *ask, maxTokens int) *inference.Request {
	r := &inference.Request{
		ID: a.key.Client + "/" + a.key.ID, Client: a.key.Client, MaxTokens: maxTokens, Deadline: a.due(),
		Messages: messages(a.filled.System, a.filled.Prompt),
	}
	if a.req.Seed != nil {
		r.Sampling.Seed = *a.req.Seed
	}
	if s := a.skill; s != nil {
		r.Priority, r.Sampling.Temperature, r.Pin, r.Adapter = s.Priority, s.Temperature, s.Pin, s.Adapter
		if s.Schema != nil {
			r.Format = inference.Format{Kind: inference.FormatJSONSchema, Schema: s.Schema}
		}
	} else if a.req.Schema != nil {
		r.Format = inference.Format{Kind: inference.FormatJSONSchema, Schema: a.req.Schema}
	}
	return r
}

func messages(system, prompt string) []inference.Message {
	m := []inference.Message{{Role: inference.RoleUser, Content: prompt}}
	if system != "" {
		m = append([]inference.Message{{Role: inference.RoleSystem, Content: system}}, m...)
	}
	return m
}

// finished turns what the engine gave into the ask's outcome, or brings it back
// into the queue.
func (d *Daemon) finished(a *ask, w *writer, res *inference.Result, err error) {
	o := outcome{seed: seedOf(a), ms: mqtt.Timings{Queue: a.started.Sub(a.arrived).Milliseconds(), First: w.first.Milliseconds()}}
	if res != nil {
		o.model = cmp.Or(short(res.Weights), d.modelID()) // another model may run by now
		o.tok = mqtt.Tokens{In: res.Usage.Prompt, Cached: res.Usage.Cached, Out: res.Usage.Completion}
		d.count.tokens.Add(uint64(res.Usage.Completion))
	}
	switch {
	case err == nil && res.Finish == inference.FinishDeadline, errors.Is(err, errLate):
		o.code, o.text, o.finish = mqtt.Deadline, d.partial(a, w), mqtt.FinishDeadline
	case err == nil:
		d.timed(a)
		o = d.judge(a, o, res)
	case errors.Is(err, errEnough):
		d.timed(a)
		o.text, _ = cutChars(w.text.String(), a.maxChars())
		o.finish, o.model = mqtt.FinishLength, d.modelID()
	case errors.Is(err, errCancelled):
		o.code, o.text, o.finish = mqtt.Cancelled, "cancelled", mqtt.FinishCancelled
	case errors.Is(err, errStop):
		o.code, o.text, o.retry = mqtt.Draining, "the board stops: ask again in a minute", time.Minute
	case errors.Is(err, errTooHot):
		d.mu.Lock()
		v := d.board.Model()
		d.mu.Unlock()
		if v.OK() { // it has cooled down already
			v = admission.Verdict{Code: mqtt.TooHot, Text: "the board stopped its work to protect itself", Retry: 5 * time.Second}
		}
		o.code, o.text, o.retry = v.Code, v.Text, v.Retry
	case d.again(a, err):
		return
	default:
		o = refusedByEngine(o, err)
		if o.code == mqtt.Internal || o.code == mqtt.Fault {
			d.Log.Error("an ask failed", "client", a.key.Client, "id", a.key.ID, "code", int(o.code), "err", err)
		}
	}
	d.end(a, o)
	d.idle()
}

// refusedByEngine gives the engine's reasons their codes.
func refusedByEngine(o outcome, err error) outcome {
	o.code, o.text = mqtt.Internal, "the board's log says more"
	for _, e := range []struct {
		err  error
		code mqtt.Code
	}{
		{inference.ErrTooLong, mqtt.TooLarge}, {inference.ErrBadRequest, mqtt.BadRequest},
		{inference.ErrUnsupported, mqtt.BadRequest}, {inference.ErrSchema, mqtt.SchemaFailed},
	} {
		if errors.Is(err, e.err) {
			o.code, o.text = e.code, err.Error()
		}
	}
	if errors.Is(err, inference.ErrUnavailable) {
		o.code, o.text = mqtt.Fault, "the engine failed on this ask more than once: it is not tried again"
	}
	return o
}

// judge holds a whole answer to its schema.
func (d *Daemon) judge(a *ask, o outcome, res *inference.Result) outcome {
	o.finish = string(res.Finish)
	if !a.wantsData() {
		var cut bool
		if o.text, cut = cutChars(strings.TrimSpace(res.Text), a.maxChars()); cut {
			o.finish = mqtt.FinishLength
		}
		return o
	}
	if err := a.check(json.RawMessage(res.Text)); err != nil {
		o.code, o.text = mqtt.SchemaFailed, err.Error()
		return o
	}
	o.data = json.RawMessage(compact(res.Text))
	return o
}

func (a *ask) wantsData() bool { return a.schema != nil || a.skill != nil && a.skill.Schema != nil }

func (a *ask) check(data json.RawMessage) error {
	if a.skill != nil {
		return a.skill.Check(data)
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(data)))
	if err != nil {
		return fmt.Errorf("the answer is no JSON: %w", err)
	}
	if a.schema.Validate(v) != nil {
		return errors.New("the answer does not fit the schema of the ask")
	}
	return nil
}

func (a *ask) maxChars() int {
	n := a.req.MaxChars
	if a.skill != nil && a.skill.MaxChars > 0 && (n == 0 || a.skill.MaxChars < n) {
		n = a.skill.MaxChars
	}
	return n
}

// partial is what there is of an answer when its deadline comes: free text is
// of use, half a JSON object is not.
func (d *Daemon) partial(a *ask, w *writer) string {
	if text := w.text.String(); text != "" && !a.wantsData() {
		text, _ = cutChars(text, a.maxChars())
		return text
	}
	return "the deadline came before the answer was done"
}

// again brings an ask back into the queue where the engine failed and not the
// ask. It returns false where the ask must end.
func (d *Daemon) again(a *ask, err error) bool {
	var dial *net.OpError
	var wait time.Duration
	switch {
	case errors.Is(err, inference.ErrNotReady):
	case errors.Is(err, inference.ErrBusy):
		wait = 200 * time.Millisecond
	case errors.Is(err, inference.ErrUnavailable) && errors.As(err, &dial) && dial.Op == "dial":
	case errors.Is(err, inference.ErrUnavailable):
		d.mu.Lock()
		a.attempts++ // other workers look whether a suspect runs
		last := a.attempts >= crashes
		if last {
			d.engineFell() // whoever waits behind it must not meet an engine that is ending
		}
		d.mu.Unlock()
		if last {
			return false
		}
		if d.Store != nil {
			d.Store.PutAsk(a.record(), nil)
		}
	default:
		return false
	}
	it := queue.Item[*ask]{Client: a.key.Client, ID: a.key.ID, Deadline: a.due(), Value: a}
	if a.skill != nil {
		it.Priority = a.skill.Priority
	}
	d.Log.Warn("an ask waits for the engine to come back", "client", a.key.Client, "id", a.key.ID, "attempts", a.attempts, "err", err)
	d.count.requeued.Add(1)
	d.mu.Lock()
	a.cancel = nil
	d.queue.Return(it)
	if wait == 0 {
		d.engineFell()
	} else {
		time.AfterFunc(wait, func() { nudge(d.wake) })
	}
	d.mu.Unlock()
	nudge(d.tick)
	return true
}

// engineFell keeps asks from the engine until it answered a look that began after this.
// d.mu is held.
func (d *Daemon) engineFell() {
	d.falls++
	d.board.Ready = false
	if d.board.Why == "" {
		d.board.Why = "the engine went away and is being started again"
	}
	nudge(d.look)
}

// timed takes in how long an answer took.
func (d *Daemon) timed(a *ask) {
	took := time.Since(a.started)
	d.mu.Lock()
	d.pace.Observe(took)
	d.mu.Unlock()
	d.latencyOf(a).observe(time.Since(a.arrived))
}

// signal shows that asks are answered, idle that none is.
func (d *Daemon) signal() { d.condition(lamp.IsBusy, true, "") }

func (d *Daemon) idle() {
	d.mu.Lock()
	n := d.running()
	d.mu.Unlock()
	if n == 0 {
		d.condition(lamp.IsBusy, false, "")
	}
	nudge(d.wake)
}

func seedOf(a *ask) uint64 {
	if a.req.Seed == nil {
		return 0
	}
	return *a.req.Seed
}
