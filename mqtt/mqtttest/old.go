package mqtttest

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
)

// StartOld makes a broker that speaks no MQTT 5 out of one that does: it
// forwards a free port of 127.0.0.1 to target, except for connections that
// start with MQTT 5. Those it refuses as 3.1.1 has it, or just hangs up on, as
// some brokers do. It returns the URL.
func StartOld(t testing.TB, target string, hangUp bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		group.Wait()
	})
	group.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			group.Go(func() { serveOld(c, target, hangUp) })
		}
	})
	return "mqtt://" + l.Addr().String()
}

func serveOld(c net.Conn, target string, hangUp bool) {
	defer c.Close()
	r := bufio.NewReader(c)
	first, _ := r.Peek(12) // every CONNECT is longer
	_, rest, found := bytes.Cut(first, []byte("\x00\x04MQTT"))
	if !found || len(rest) == 0 {
		return
	}
	if rest[0] > 4 {
		if !hangUp {
			_, _ = c.Write([]byte{0x20, 2, 0, 1}) // unacceptable protocol version
		}
		return
	}
	broker, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer broker.Close()
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(broker, r)
		_ = broker.Close()
		close(done)
	}()
	_, _ = io.Copy(c, broker)
	_ = c.Close()
	<-done
}
