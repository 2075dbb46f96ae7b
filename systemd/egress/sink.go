package egress

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sync/errgroup"
)

// Sink listens at the sinks' addresses and keeps what arrives.
type Sink struct {
	streams []net.Listener
	packets []net.PacketConn
	names   net.PacketConn // asked for names
	socket  string

	mu      sync.Mutex
	arrived map[string]bool
}

// Listen opens listeners on the addresses, which must stand on this board, and a unix
// socket that anybody may use at path.
func Listen(four, six, path string) (*Sink, error) {
	s := &Sink{socket: path, arrived: map[string]bool{}}
	err := s.open(four, six, path)
	if err != nil {
		s.close()
		return nil, fmt.Errorf("listen for what leaves: %w", err)
	}
	return s, nil
}

func (s *Sink) open(four, six, path string) error {
	for _, at := range []string{four, six} {
		l, err := net.Listen("tcp", net.JoinHostPort(at, "0"))
		if err != nil {
			return err
		}
		s.streams = append(s.streams, l)
		p, err := net.ListenPacket("udp", net.JoinHostPort(at, "0"))
		if err != nil {
			return err
		}
		s.packets = append(s.packets, p)
	}
	var err error
	if s.names, err = net.ListenPacket("udp", net.JoinHostPort(four, "0")); err != nil {
		return err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	s.streams = append(s.streams, l)
	return os.Chmod(path, 0o666)
}

func (s *Sink) close() {
	for _, l := range s.streams {
		l.Close()
	}
	for _, p := range s.packets {
		p.Close()
	}
	if s.names != nil {
		s.names.Close()
	}
}

// Plan is a plan to reach this sink with a token of letters and digits.
func (s *Sink) Plan(token string) Plan {
	return Plan{
		TCP4: s.streams[0].Addr().String(), TCP6: s.streams[1].Addr().String(),
		UDP4: s.packets[0].LocalAddr().String(), UDP6: s.packets[1].LocalAddr().String(),
		DNS: s.names.LocalAddr().String(), Unix: s.socket, Token: token,
	}
}

// Arrived are the ways by which words with the token came in.
func (s *Sink) Arrived(token string) (ways []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for word := range s.arrived {
		if way, ok := strings.CutPrefix(word, token+"-"); ok {
			ways = append(ways, way)
		}
	}
	slices.Sort(ways)
	return ways
}

func (s *Sink) note(word string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.arrived) < 1000 {
		s.arrived[strings.TrimSpace(word)] = true
	}
}

// Run answers until ctx ends.
func (s *Sink) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, s.close)
	defer stop()
	var g errgroup.Group
	for _, l := range s.streams {
		g.Go(func() error { return s.accept(l) })
	}
	for _, p := range s.packets {
		g.Go(func() error { return s.receive(p, func(b []byte) []byte { s.note(string(b)); return b }) })
	}
	g.Go(func() error { return s.receive(s.names, s.answer) })
	return g.Wait()
}

const lineWait = 2 * time.Second // a line that does not come must not hold the sink

func (s *Sink) accept(l net.Listener) error {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		_ = c.SetDeadline(time.Now().Add(lineWait)) // a new connection takes one
		if line, err := bufio.NewReaderSize(c, 256).ReadSlice('\n'); err == nil {
			s.note(string(line))
			_, _ = c.Write([]byte{'\n'}) // who is gone needs no echo
		}
		c.Close()
	}
}

func (s *Sink) receive(p net.PacketConn, reply func([]byte) []byte) error {
	b := make([]byte, 1500)
	for {
		n, from, err := p.ReadFrom(b)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		if out := reply(b[:n]); out != nil {
			_, _ = p.WriteTo(out, from) // who is gone needs no echo
		}
	}
}

// answer takes the word out of a question for a name, and says that there is no such name.
func (s *Sink) answer(question []byte) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil || len(m.Questions) == 0 {
		return nil
	}
	word, _, _ := strings.Cut(m.Questions[0].Name.String(), ".")
	s.note(word)
	m.Response, m.RCode, m.Additionals = true, dnsmessage.RCodeNameError, nil
	out, err := m.Pack()
	if err != nil {
		return nil
	}
	return out
}
