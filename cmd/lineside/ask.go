package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lineside/mqtt"
	"lineside/mqtt/wire"
)

// askFlags are what an ask can be given.
type askFlags struct {
	brokerFlags
	pool, skill, args, lang, schema string
	deadline                        time.Duration
	maxChars                        int
	seed                            int64
	quiet, json                     bool
}

func askCommand() *cobra.Command {
	var f askFlags
	cmd := &cobra.Command{
		Use:   "ask [flags] PROMPT...",
		Short: "Ask a board over MQTT, as a device does",
		Long: `Ask a board over MQTT, as a device does, and show the answer as it grows, with its
code and timings. Ctrl-C cancels the ask at the board.`,
		Example: `  lineside ask What does fault E42 of the press mean?
  lineside ask --board b03 --skill alarm --args '{"code":"E42","value":71.3}'
  lineside ask --broker mqtts://broker:8883 --ca ca.pem --username hmi --password-file pw "Hello"`,
		RunE: func(c *cobra.Command, words []string) error {
			return f.run(c.Context(), strings.Join(words, " "), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	f.register(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.pool, "pool", "", "ask whichever board of this pool takes it")
	fl.StringVar(&f.skill, "skill", "", "ask this stored skill, with --args")
	fl.StringVar(&f.args, "args", "", "arguments of the skill, a JSON object")
	fl.StringVar(&f.lang, "lang", "", "language of the answer (de, en, pt-BR)")
	fl.StringVar(&f.schema, "schema", "", "`file` with a JSON Schema that the answer must fit")
	fl.DurationVar(&f.deadline, "deadline", time.Minute, "give up after this time")
	fl.IntVar(&f.maxChars, "max-chars", 0, "cut the answer at so many characters")
	fl.Int64Var(&f.seed, "seed", -1, "seed of the sampling")
	fl.BoolVar(&f.quiet, "quiet", false, "only the answer, no code and timings")
	fl.BoolVar(&f.json, "json", false, "print the answer's message as it came")
	return cmd
}

// payload makes the ask's message.
func (f *askFlags) payload(id, prompt string) ([]byte, error) {
	a := mqtt.Ask{
		ID: id, Prompt: prompt, Lang: f.lang, DeadlineMS: f.deadline.Milliseconds(), MaxChars: f.maxChars,
		Stream: !f.json && f.schema == "", Ack: !f.json,
	}
	switch {
	case f.skill == "" && prompt == "":
		return nil, fmt.Errorf("%w: what shall be asked? Give a prompt, or --skill and --args", errUsage)
	case f.skill != "" && prompt != "":
		return nil, fmt.Errorf("%w: a skill takes --args, not a prompt", errUsage)
	case f.skill != "":
		if f.args == "" {
			f.args = "{}"
		}
		if !json.Valid([]byte(f.args)) {
			return nil, fmt.Errorf("%w: --args is no JSON: write '{\"code\":\"E42\"}'", errUsage)
		}
		a.Args = json.RawMessage(f.args)
	}
	if f.seed >= 0 {
		s := uint64(f.seed)
		a.Seed = &s
	}
	if f.schema != "" {
		b, err := os.ReadFile(f.schema)
		if err != nil {
			return nil, err
		}
		if !json.Valid(b) {
			return nil, fmt.Errorf("%s is no JSON", f.schema)
		}
		a.Schema = b
	}
	return json.Marshal(a)
}

func (f *askFlags) topic(t mqtt.Topics) string {
	switch {
	case f.pool != "" && f.skill != "":
		return t.PoolAskSkill(f.pool, f.client, f.skill)
	case f.pool != "":
		return t.PoolAskText(f.pool, f.client)
	case f.skill != "":
		return t.AskSkill(f.client, f.skill)
	}
	return t.AskText(f.client)
}

// id is new for every call.
func newID() string { return strconv.FormatInt(time.Now().UnixNano(), 36) }

func (f *askFlags) run(ctx context.Context, prompt string, out, errOut io.Writer) error {
	id := newID()
	payload, err := f.payload(id, prompt)
	if err != nil {
		return err
	}
	if f.pool == "" {
		if err := f.find(ctx); err != nil {
			return err
		}
	}
	a, raw, err := f.ask(ctx, id, payload, &screen{out: out, err: errOut, quiet: f.quiet || f.json})
	if err != nil {
		return err
	}
	if f.json {
		fmt.Fprintf(out, "%s\n", raw)
	}
	if a.Code != mqtt.OK {
		return refusal(a)
	}
	return nil
}

// refusal is the error of an answer that is none.
func refusal(a mqtt.Answer) error {
	err := fmt.Errorf("%d %s: %s", a.Code, a.Status, a.Text)
	if a.RetryMS > 0 {
		err = fmt.Errorf("%w (ask again in %s)", err, (time.Duration(a.RetryMS) * time.Millisecond).Round(time.Millisecond))
	}
	return err
}

// ask sends one ask and waits for its answer.
func (f *askFlags) ask(ctx context.Context, id string, payload []byte, s *screen) (mqtt.Answer, []byte, error) {
	f.who() // the filters need it
	replies := make(chan wire.Message, 256)
	reply := func(what string) string {
		return mqtt.Topics{Prefix: f.prefix}.Root() + "/reply/" + f.client + "/+/" + what
	}
	c, err := f.connect(ctx, func(m wire.Message) {
		m.Ack()
		select {
		case replies <- m:
		default: // chunks may get lost
		}
	}, reply("answer"), reply("ack"), reply("chunk"))
	if err != nil {
		return mqtt.Answer{}, nil, err
	}
	defer c.Close()
	if err := c.Publish(ctx, wire.Outgoing{Topic: f.topic(f.topics()), Payload: payload, QoS: 1, Expiry: f.deadline}); err != nil {
		return mqtt.Answer{}, nil, err
	}
	late := time.NewTimer(f.deadline + 2*time.Second)
	defer late.Stop()
	for {
		select {
		case <-ctx.Done():
			f.cancel(c, id)
			return mqtt.Answer{}, nil, errors.New("cancelled")
		case err := <-c.Down():
			return mqtt.Answer{}, nil, fmt.Errorf("the broker went away: %w", err)
		case <-late.C:
			return mqtt.Answer{}, nil, fmt.Errorf("no answer within %s: is the board online (lineside doctor), and may %q ask it?", f.deadline, f.client)
		case m := <-replies:
			var a mqtt.Answer
			if done, err := s.take(m, id, &a); done || err != nil {
				return a, m.Payload, err
			}
		}
	}
}

// cancel ends the ask at the board.
func (f *askFlags) cancel(c wire.Conn, id string) {
	topic := f.topics().Cancel(f.client)
	if f.pool != "" {
		topic = f.topics().PoolCancel(f.pool, f.client)
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	b, _ := json.Marshal(mqtt.Cancel{ID: id})
	_ = c.Publish(ctx, wire.Outgoing{Topic: topic, Payload: b}) // QoS 0: the board ends the ask by its deadline anyway
}

// screen shows an answer as it comes.
type screen struct {
	out, err io.Writer
	quiet    bool
	shown    strings.Builder
}

// take shows one message; true means that the answer is there.
func (s *screen) take(m wire.Message, id string, a *mqtt.Answer) (bool, error) {
	what := m.Topic[strings.LastIndexByte(m.Topic, '/')+1:]
	var head struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(m.Payload, &head) != nil || head.ID != id {
		return false, nil
	}
	switch what {
	case "ack":
		var k mqtt.Ack
		if json.Unmarshal(m.Payload, &k) == nil && !s.quiet {
			where := "being answered"
			if k.State == mqtt.AckQueued {
				where = fmt.Sprintf("queued, %d before it", k.Pos)
			}
			fmt.Fprintf(s.err, "%s, about %s\n", where, (time.Duration(k.ETAMS) * time.Millisecond).Round(100*time.Millisecond))
		}
	case "chunk":
		var k mqtt.Chunk
		if json.Unmarshal(m.Payload, &k) == nil && !s.quiet {
			fmt.Fprint(s.out, k.Text)
			s.shown.WriteString(k.Text)
		}
	case "answer":
		if err := json.Unmarshal(m.Payload, a); err != nil {
			return false, fmt.Errorf("the board's answer cannot be read: %w", err)
		}
		s.end(a)
		return true, nil
	}
	return false, nil
}

// end shows what the chunks did not, and the figures.
func (s *screen) end(a *mqtt.Answer) {
	if a.Code == mqtt.OK {
		text := a.Text
		if a.Data != nil {
			text = string(a.Data)
		}
		if shown := s.shown.String(); strings.HasPrefix(text, shown) {
			text = text[len(shown):]
		} else if shown != "" {
			text = "\n" + text // a chunk got lost
		}
		fmt.Fprintln(s.out, text)
	} else if s.shown.Len() > 0 {
		fmt.Fprintln(s.out)
	}
	if s.quiet {
		return
	}
	speed := ""
	if d := a.MS.Total - a.MS.First; d > 0 && a.Tok.Out > 1 {
		speed = fmt.Sprintf(", %.1f tokens/s", float64(a.Tok.Out-1)*1000/float64(d))
	}
	fmt.Fprintf(s.err, "%d %s from %s%s: queue %d ms, first %d ms, total %d ms; %d tokens in (%d cached), %d out%s\n",
		a.Code, a.Status, a.Board, by(a), a.MS.Queue, a.MS.First, a.MS.Total, a.Tok.In, a.Tok.Cached, a.Tok.Out, speed)
}

func by(a *mqtt.Answer) string {
	switch {
	case a.Skill != "" && a.Model == "":
		return " by " + a.Skill + ", without the model"
	case a.Skill != "":
		return " by " + a.Skill
	}
	return ""
}
