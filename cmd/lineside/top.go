package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lineside/daemon/lamp"
	"lineside/hw"
	"lineside/mqtt"
	"lineside/mqtt/wire"
)

func topCommand() *cobra.Command {
	var b brokerFlags
	var asks bool
	var every time.Duration
	var once bool
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch a board live: heat, memory, speed, queue, lamp, last asks",
		Long: `Watch a board live over MQTT: the curve of its temperature, throttling, memory, tokens
per second, queue, what its lamp shows, and its last events. With --asks also the codes
and times of its last answers, where the broker lets this user read them; never their
text. Ctrl-C ends it.`,
		Example: `  lineside top
  lineside top --board b03 --broker mqtt://10.0.0.5:1883
  lineside top --once`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if every <= 0 {
				return fmt.Errorf("%w: --every must be more than 0", errUsage)
			}
			if err := b.find(c.Context()); err != nil {
				return err
			}
			return watchTop(c.Context(), &b, asks, once, every, c.OutOrStdout())
		},
	}
	b.register(cmd)
	fl := cmd.Flags()
	fl.BoolVar(&asks, "asks", false, "show the last answers' codes and times too")
	fl.BoolVar(&once, "once", false, "print one picture as soon as health is known, then end")
	fl.DurationVar(&every, "every", time.Second, "draw anew at this interval")
	return cmd
}

func watchTop(ctx context.Context, b *brokerFlags, asks, once bool, every time.Duration, out io.Writer) error {
	t := b.topics()
	filters := []string{t.Status(), t.Info(), t.Health(), t.Event()}
	if asks {
		filters = append(filters, t.Root()+"/reply/+/"+b.board+"/answer")
	}
	got := make(chan wire.Message, 256)
	conn, err := b.connect(ctx, func(m wire.Message) {
		m.Ack()
		select {
		case got <- m:
		default: // the next health says it all again
		}
	}, filters...)
	if err != nil {
		return err
	}
	defer conn.Close()
	v := topView{topics: t, asks: asks}
	tick := time.NewTicker(every)
	defer tick.Stop()
	patience := time.After(15 * time.Second)
	live := isTerminal(out) && !once
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-conn.Down():
			return fmt.Errorf("the broker went away: %w", err)
		case <-patience:
			if v.health.Board == "" {
				return fmt.Errorf("board %s has published no health: is it running, and is --prefix right?", b.board)
			}
		case m := <-got:
			v.take(m.Topic, m.Payload, time.Now())
			if once && v.health.Board != "" && v.status.State != "" && v.info.Board != "" {
				_, err := io.WriteString(out, v.render())
				return err
			}
		case <-tick.C:
			if v.health.Board == "" || once {
				continue
			}
			if live {
				fmt.Fprint(out, "\x1b[H\x1b[2J")
			}
			if _, err := io.WriteString(out, v.render()); err != nil {
				return err
			}
		}
	}
}

// topView is what top knows of a board.
type topView struct {
	topics mqtt.Topics
	asks   bool
	status mqtt.Status
	info   mqtt.Info
	health mqtt.Health
	heat   []float64 // °C of the hottest sensor, one for each health
	events []string  // last ones, newest first
	last   []string  // last answers, newest first
}

const (
	topCurve = 60 // places of the temperature's curve
	topLines = 6  // events and answers on show
)

// take reads one message. What cannot be read is left out.
func (v *topView) take(topic string, payload []byte, now time.Time) {
	at := now.Format("15:04:05")
	switch topic {
	case v.topics.Status():
		_ = json.Unmarshal(payload, &v.status)
	case v.topics.Info():
		_ = json.Unmarshal(payload, &v.info)
	case v.topics.Health():
		var h mqtt.Health // readings that are gone must not stay
		if json.Unmarshal(payload, &h) != nil {
			return
		}
		v.health = h
		if _, t, ok := v.hottest(); ok {
			v.heat = append(v.heat, t)
			v.heat = v.heat[max(0, len(v.heat)-topCurve):]
		}
	case v.topics.Event():
		var e mqtt.Event
		if json.Unmarshal(payload, &e) == nil {
			v.events = prepend(v.events, fmt.Sprintf("%s %s: %s", at, e.Event, e.Why))
		}
	default:
		var a mqtt.Answer
		if json.Unmarshal(payload, &a) != nil || a.ID == "" {
			return
		}
		client, _, _ := strings.Cut(strings.TrimPrefix(topic, v.topics.Root()+"/reply/"), "/")
		v.last = prepend(v.last, fmt.Sprintf("%s %s %d %s, first %d ms, total %d ms, %d tokens", at, client, a.Code, a.Status, a.MS.First, a.MS.Total, a.Tok.Out))
	}
}

func prepend(list []string, s string) []string {
	list = slices.Insert(list, 0, s)
	return list[:min(len(list), topLines)]
}

// hottest good temperature and its name, of those that the work heats where the board has
// such: a converter or a disk may be warmer for good.
func (v *topView) hottest() (name string, t float64, ok bool) {
	heated := false
	for n, r := range v.health.Readings {
		n, is := strings.CutPrefix(n, "temperature/")
		if !is || r.Quality != mqtt.QualityGood {
			continue
		}
		byWork := (&hw.Reading{Kind: hw.Temperature, Name: n}).Heated()
		if !ok || byWork && !heated || byWork == heated && r.Value > t {
			name, t, ok, heated = n, r.Value, true, byWork
		}
	}
	return name, t, ok
}

// number writes a good reading, a dash where there is none.
func (v *topView) number(name string) string {
	r, ok := v.health.Readings[name]
	if !ok || r.Quality == 0 {
		return "–"
	}
	s := quantity(r.Value, r.Unit)
	if r.Quality == mqtt.QualityStale {
		s += " (old)"
	}
	return s
}

func (v *topView) render() string {
	var b strings.Builder
	line := func(name, format string, a ...any) {
		fmt.Fprintf(&b, "%-12s "+format+"\n", append([]any{name}, a...)...)
	}
	line(v.topics.Board, "%s, %s", v.info.Hardware, v.info.Model.Name)
	state := v.status.State
	if v.status.Why != "" {
		state += ": " + v.status.Why
	}
	line("state", "%s", state)
	line("lamp", "%s", v.lamp())
	if len(v.health.Conditions) > 0 {
		line("the matter", "%s", strings.Join(v.health.Conditions, ", "))
	}
	if name, t, ok := v.hottest(); ok {
		line("temperature", "%.1f °C %s  %s", t, name, curve(v.heat))
	} else {
		line("temperature", "–")
	}
	line("throttled", "%s", v.active("throttle/"))
	line("memory", "%s free of %s", v.number("memory/available"), v.number("memory/total"))
	line("power", "%s", v.number("power/total"))
	line("speed", "%s", v.number("tokens-per-second"))
	line("queue", "%s waiting, %s being answered", v.number("queue"), v.number("running"))
	for i, e := range v.events {
		line([]string{"events", ""}[min(i, 1)], "%s", e)
	}
	for i, e := range v.last {
		line([]string{"answers", ""}[min(i, 1)], "%s", e)
	}
	return b.String()
}

// active lists the switches of a kind that are on.
func (v *topView) active(prefix string) string {
	var on []string
	for _, n := range slices.Sorted(maps.Keys(v.health.Readings)) {
		if cause, is := strings.CutPrefix(n, prefix); is && v.health.Readings[n].Value == 1 && v.health.Readings[n].Quality != 0 {
			on = append(on, cause)
		}
	}
	if len(on) == 0 {
		return "no"
	}
	return strings.Join(on, ", ")
}

// lamp is what the lamp shows, as the board tells in its health.
func (v *topView) lamp() string {
	if v.status.State == mqtt.StateOffline {
		return "dark"
	}
	for c := lamp.Good; c <= lamp.Failure; c++ {
		if c.String() == v.health.Lamp {
			return lamp.Describe(c)
		}
	}
	return "–"
}

// curve draws values as blocks from 20 to 100 °C.
func curve(values []float64) string {
	const blocks = "▁▂▃▄▅▆▇█"
	var b strings.Builder
	for _, v := range values {
		i := int((v - 20) / 80 * 8)
		b.WriteRune([]rune(blocks)[min(max(i, 0), 7)])
	}
	return b.String()
}
