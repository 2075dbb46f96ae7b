package wire_test

import (
	"io"
	"net"
	"testing"
	"time"

	"lineside/mqtt/wire"
)

// TestProperEnd: a broker that is busy sending reads the DISCONNECT before it meets
// any error, however late it looks; else it would publish the will of a board that
// stopped in good order.
func TestProperEnd(t *testing.T) {
	for version, c := range map[string]struct{ connack, publish string }{
		wire.Version5:   {"\x20\x03\x00\x00\x00", "\x30\x05\x00\x01t\x00x"},
		wire.Version311: {"\x20\x02\x00\x00", "\x30\x04\x00\x01tx"},
	} {
		t.Run(version, func(t *testing.T) {
			var took time.Duration
			for range 5 { // a busy machine may be late now and then, not always
				if took = properEnd(t, version, c.connack, c.publish); took < 900*time.Millisecond {
					return
				}
			}
			t.Errorf("the end took %s: it waited for its limit", took)
		})
	}
}

// properEnd ends one connection while its broker sends, and returns how long that took.
func properEnd(t *testing.T, version, connack, publish string) time.Duration {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	closing, broker := make(chan struct{}), make(chan error, 1)
	var last []byte
	go func() {
		broker <- func() error {
			nc, err := l.Accept()
			if err != nil {
				return err
			}
			defer nc.Close()
			head := make([]byte, 2)
			if _, err := io.ReadFull(nc, head); err != nil {
				return err
			}
			if _, err := io.ReadFull(nc, make([]byte, head[1])); err != nil { // the rest of a short CONNECT
				return err
			}
			if _, err := io.WriteString(nc, connack); err != nil {
				return err
			}
			<-closing
			for range 500 { // the device is ending while these come
				if _, err := io.WriteString(nc, publish); err != nil {
					return err
				}
			}
			last, err = io.ReadAll(nc)
			return err
		}()
	}()
	conn, err := wire.Dial(t.Context(), wire.Options{URL: "mqtt://" + l.Addr().String(), Version: version, ClientID: "b03", OnMessage: func(wire.Message) {}})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	close(closing)
	conn.Close()
	took := time.Since(start)
	if err := <-broker; err != nil {
		t.Errorf("the broker met %v before it read the end", err)
	}
	if len(last) == 0 || last[0] != 0xe0 {
		t.Errorf("the broker read % x, want a DISCONNECT", last)
	}
	return took
}
