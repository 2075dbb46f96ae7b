package mqtttest

import (
	"net"
	"sync"
	"testing"
)

// Proxy stands between a client and a broker and can cut the network: while it
// is cut, bytes vanish in both directions and new connections hang, as behind
// a switch without power. Nothing is closed, so both ends must notice by themselves.
type Proxy struct {
	Addr string // where clients connect

	target string
	l      net.Listener
	mu     sync.Mutex
	whole  *sync.Cond
	cut    bool
	held   bool // towards the client
	closed bool
	conns  map[net.Conn]bool
	group  sync.WaitGroup
}

// StartProxy forwards a free port of 127.0.0.1 to target until the test ends.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Addr: l.Addr().String(), target: target, l: l, conns: map[net.Conn]bool{}}
	p.whole = sync.NewCond(&p.mu)
	p.group.Add(1)
	go p.accept()
	t.Cleanup(p.close)
	return p
}

// URL is the proxy's address for configurations.
func (p *Proxy) URL() string { return "mqtt://" + p.Addr }

// Cut lets nothing through from now on.
func (p *Proxy) Cut() { p.set(true) }

// Mend lets everything through again. What was sent meanwhile arrives late, as
// TCP would have it.
func (p *Proxy) Mend() { p.set(false) }

// Hold keeps what the broker sends from the client, until Release; what the client
// sends arrives. So a client's messages reach the broker and their acknowledgement
// does not come back.
func (p *Proxy) Hold() { p.hold(true) }

// Release lets through what was held.
func (p *Proxy) Release() { p.hold(false) }

func (p *Proxy) hold(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = on
	p.whole.Broadcast()
}

// Drop closes every open connection; new ones work at once.
func (p *Proxy) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

func (p *Proxy) set(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
	p.whole.Broadcast()
}

// wait returns when bytes may pass, false when the proxy is done.
func (p *Proxy) wait(toClient bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for (p.cut || p.held && toClient) && !p.closed {
		p.whole.Wait()
	}
	return !p.closed
}

func (p *Proxy) accept() {
	defer p.group.Done()
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		p.group.Add(1)
		go p.serve(c)
	}
}

func (p *Proxy) serve(client net.Conn) {
	defer p.group.Done()
	if !p.keep(client) {
		return
	}
	defer p.forget(client)
	if !p.wait(false) {
		return
	}
	broker, err := net.Dial("tcp", p.target)
	if err != nil || !p.keep(broker) {
		return
	}
	defer p.forget(broker)
	var both sync.WaitGroup
	both.Add(2)
	go p.copy(&both, broker, client, false)
	go p.copy(&both, client, broker, true)
	both.Wait()
}

func (p *Proxy) copy(both *sync.WaitGroup, to, from net.Conn, toClient bool) {
	defer both.Done()
	defer func() { // an end in one direction is no end of the other
		if half, ok := to.(*net.TCPConn); ok {
			_ = half.CloseWrite()
		}
	}()
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !p.wait(toClient) {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			p.wait(toClient) // an end, too, arrives only while the network is whole
			return
		}
	}
}

func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = c.Close()
		return false
	}
	p.conns[c] = true
	return true
}

func (p *Proxy) forget(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	_ = c.Close()
}

func (p *Proxy) close() {
	_ = p.l.Close()
	p.mu.Lock()
	p.closed = true
	p.whole.Broadcast()
	for c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.group.Wait()
}
