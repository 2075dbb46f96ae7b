package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"lineside/daemon"
	"lineside/daemon/audit"
	"lineside/daemon/config"
	"lineside/daemon/metrics"
	"lineside/daemon/skill"
	"lineside/daemon/store"
	"lineside/daemon/supervise"
	"lineside/hw"
	"lineside/inference"
	"lineside/mqtt"
	"lineside/mqtt/broker"
	"lineside/mqtt/wire"
	"lineside/systemd"
)

// house is all parts of the running daemon.
type house struct {
	config config.Config
	log    *slog.Logger
	daemon *daemon.Daemon
	bus    *mqtt.Bus
	broker *broker.Broker // nil: the plant has one
	// Two engines run while one model takes over from another. The second socket is a file
	// beside the first.
	sockets [2]string
	clients [2]*inference.Client
	child   *supervise.Child // of a model named by its file; nil: systemd runs the engine, or package swap
	board   *hw.Board
	sensor  *sensor
	panel   *hw.Panel // nil: no light
	extra   []func(context.Context) error
}

// assemble builds everything and opens what may fail at the start. Nothing runs yet.
func assemble(c config.Config, stderr io.Writer) (*house, error) {
	h := &house{config: c, log: systemd.NewLogger(stderr, slog.LevelInfo)}
	if err := h.name(); err != nil {
		return nil, err
	}
	tellEnds(h.log)
	notifier, err := systemd.NewNotifier()
	if err != nil {
		return nil, err
	}
	o := daemon.Options{
		Config: h.config, Topics: mqtt.Topics{Prefix: h.config.Board.Prefix, Board: h.config.Board.ID},
		Skills: skill.NewLibrary(c.Skills.Dir), Notifier: notifier, Boot: bootID(), Log: h.log,
		AliveFile: aliveFile(c), About: daemon.About{Version: version},
	}
	if err := h.openBoard(&o); err != nil {
		return nil, err
	}
	openImage("/", c, &o)
	if o.Store, err = store.Open(c.Store.Dir, int64(c.Store.MaxBytes)); o.Store == nil {
		return nil, err
	} else if err != nil {
		h.log.Error("asks from before the start are lost", "err", err)
	}
	if c.Audit.Dir != "" {
		log, err := audit.Open(c.Audit.Dir, int64(c.Audit.MaxBytes), c.Audit.HashPrompts)
		if err != nil {
			return nil, err
		}
		o.Audit = log
		h.extra = append(h.extra, log.Run)
	}
	for i := range h.clients {
		h.sockets[i] = c.Engine.Socket + []string{"", ".2"}[i]
		if h.clients[i], err = inference.NewClient(h.sockets[i]); err != nil {
			return nil, err
		}
	}
	o.Engine = h.clients[0]
	if err := h.openModel(&o); err != nil {
		return nil, err
	}
	if err := h.openBus(&o); err != nil {
		return nil, err
	}
	if h.daemon, err = daemon.New(o); err != nil {
		return nil, err
	}
	if c.Metrics.Listen == "" {
		return h, nil
	}
	m, err := metrics.Listen(c.Metrics.Listen, metrics.Source{Counts: h.daemon.Counts, Bus: h.bus.Stats, Sample: o.Sensor.Sample, Ends: ends})
	if err != nil {
		return nil, err
	}
	h.extra = append(h.extra, m.Run)
	return h, nil
}

// name fills in the board's id from the host's name.
func (h *house) name() error {
	if h.config.Board.ID != "" {
		return nil
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("the host has no name: set board.id: %w", err)
	}
	h.config.Board.ID, _, _ = strings.Cut(host, ".")
	if !mqtt.ValidBoard(h.config.Board.ID) {
		return fmt.Errorf("the host's name %q is no board id: set board.id", host)
	}
	return nil
}

// openBoard opens sensors and lamps. A lamp that cannot be opened is reported, not fatal.
func (h *house) openBoard(o *daemon.Options) error {
	var err error
	if h.board, err = hw.OpenWith(h.config.HW.Root, hw.Options{Disks: disks(h.config), CGroup: engineGroup(h.config)}); err != nil {
		return fmt.Errorf("read the board: %w", err)
	}
	o.About.Hardware = h.board.Identity().Model
	var first hw.Sample
	h.board.Sample(&first)
	var clock atomic.Pointer[string]
	state := first.Clock()
	clock.Store(&state)
	o.Clock = func() string { return *clock.Load() }
	h.sensor = &sensor{board: h.board, clock: &clock}
	o.Sensor = h.sensor
	return h.openLight(o)
}

// disks are the folders whose space matters: those that are written to. The root of an
// image is read-only, and always full.
func disks(c config.Config) (dirs []string) {
	for _, dir := range []string{c.Store.Dir, c.Audit.Dir, c.Licence.Dir} {
		within := func(other string) bool {
			return dir == other || strings.HasPrefix(dir, strings.TrimSuffix(other, "/")+"/")
		}
		if dir != "" && !slices.ContainsFunc(dirs, within) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// engineGroup is the control group whose memory is the engine's, where the service manager
// runs it; started here, it is in the daemon's own.
func engineGroup(c config.Config) string {
	if c.Engine.Spawn {
		return ""
	}
	return "system.slice/lineside-engine.service"
}

// sensor keeps the clock's state at hand for every message, and lets the daemon
// and the metrics take turns.
type sensor struct {
	mu    sync.Mutex
	board *hw.Board
	clock *atomic.Pointer[string]
}

func (s *sensor) Sample(dst *hw.Sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.board.Sample(dst)
	if state := dst.Clock(); state != *s.clock.Load() {
		s.clock.Store(&state)
	}
}

// openBus makes the connection to the broker, and the broker where it is ours.
func (h *house) openBus(o *daemon.Options) error {
	m := h.config.MQTT
	url := m.URL
	if m.Embedded {
		b, err := broker.New(broker.Config{
			Listen: m.EmbeddedListen, PasswordFile: m.EmbeddedUsers, ACLFile: m.EmbeddedACL, CertFile: m.EmbeddedCertFile, KeyFile: m.EmbeddedKeyFile,
			AnonymousLoopback: m.EmbeddedUsers == "", Log: h.log,
		})
		if err != nil {
			return err
		}
		h.broker = b
	}
	will := func() mqtt.Status {
		return mqtt.Status{State: mqtt.StateOffline, Why: "the connection was lost", Boot: o.Boot, TS: mqtt.Stamp(time.Now()), Clock: o.Clock()}
	}
	var err error
	h.bus, err = mqtt.New(mqtt.Config{
		Topics: o.Topics, URL: url, Version: m.Version, Username: m.Username, PasswordFile: m.PasswordFile,
		TLS:   wire.TLS{CAFile: m.CAFile, CertFile: m.CertFile, KeyFile: m.KeyFile},
		Pools: h.config.Board.Pools, Admin: len(m.Operators) > 0, Window: window(h.config.Limits.Queue),
		Clock: o.Clock, Will: will, Log: h.log,
		Handler: func(a mqtt.Address, msg mqtt.Message) { h.daemon.Handle(a, msg) },
		OnUp:    func(context.Context) { h.daemon.Up(true) },
		OnDown:  func(error) { h.daemon.Up(false) },
	})
	if err != nil {
		return err
	}
	o.Bus, o.About.Protocol = h.bus, h.bus.Protocol
	return nil
}

// window is how many asks the broker may have under way to the board: more than
// can wait, so that refusals and canned answers never stand behind model asks.
func window(queue int) int { return max(4*queue, 256) }

// run runs everything until ctx ends: first the daemon finishes, then what it needs.
func (h *house) run(ctx context.Context) error {
	under, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	g, under := errgroup.WithContext(under)
	if h.broker != nil {
		g.Go(func() error { return h.broker.Run(under) })
	}
	g.Go(func() error { return h.bus.Run(under) })
	if h.child != nil {
		g.Go(func() error { return h.child.Run(under) })
	}
	if h.panel != nil {
		g.Go(func() error { return h.panel.Run(under) })
	}
	if h.config.HW.Button != "" {
		g.Go(func() error { return h.runButton(under) })
	}
	for _, run := range h.extra {
		g.Go(func() error { return run(under) })
	}
	g.Go(func() error { return h.onHangup(under) })
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(under, cancel) // a part that fails takes the daemon with it
	defer stop()
	h.log.Info("linesided starts", "version", version, "board", h.config.Board.ID)
	err := h.daemon.Run(work)
	end()
	err = errors.Join(err, g.Wait())
	if h.panel != nil {
		err = errors.Join(err, h.panel.Halt())
	}
	return errors.Join(err, h.board.Close())
}

// onHangup reads skills, certificates and passwords again at SIGHUP.
func (h *house) onHangup(ctx context.Context) error {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	defer signal.Stop(c)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c:
			h.daemon.Reload(h.reload)
		}
	}
}

// reload has the broker read its files, and the bus connect with its own anew.
func (h *house) reload() {
	if h.broker != nil {
		if err := h.broker.Reload(); err != nil {
			h.log.Error("the embedded broker keeps its files as they were", "err", err)
		}
	}
	h.bus.Reconnect()
}

// engineCommand is how the engine is started here with a model.
func engineCommand(c config.Config, model string) supervise.Command {
	e := c.Engine
	args := []string{"--model", model, "--listen", e.Socket, "--slots", strconv.Itoa(e.Slots), "--ctx", strconv.Itoa(e.Context),
		"--state-dir", filepath.Join(c.Store.Dir, "engine")}
	if e.Threads > 0 {
		args = append(args, "--threads", strconv.Itoa(e.Threads))
	}
	return supervise.Command{Program: e.Program, Args: args}
}

// aliveFile stands in systemd's runtime folder, which is memory: it is touched often.
func aliveFile(c config.Config) string {
	dir := os.Getenv("RUNTIME_DIRECTORY")
	if dir == "" || strings.Contains(dir, ":") {
		dir = c.Store.Dir
	}
	return filepath.Join(dir, "alive")
}

// bootID is new at every start.
func bootID() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
