package machine

import (
	"encoding/json"
	"fmt"
	"net"
)

// monitor speaks QEMU's machine protocol (QMP): one JSON value each way, events between.
type monitor struct {
	conn net.Conn
	dec  *json.Decoder
}

func newMonitor(c net.Conn) (*monitor, error) {
	m := &monitor{conn: c, dec: json.NewDecoder(c)}
	var greeting struct{ QMP json.RawMessage }
	if err := m.dec.Decode(&greeting); err != nil {
		return nil, fmt.Errorf("read qemu's greeting: %w", err)
	}
	return m, m.command("qmp_capabilities")
}

func (m *monitor) command(name string) error {
	if err := json.NewEncoder(m.conn).Encode(map[string]string{"execute": name}); err != nil {
		return fmt.Errorf("qemu %s: %w", name, err)
	}
	for {
		var r struct {
			Return json.RawMessage
			Error  *struct{ Desc string }
		}
		if err := m.dec.Decode(&r); err != nil {
			return fmt.Errorf("qemu %s: %w", name, err)
		}
		switch {
		case r.Error != nil:
			return fmt.Errorf("qemu %s: %s", name, r.Error.Desc)
		case r.Return != nil:
			return nil
		}
	}
}

func (m *monitor) close() error { return m.conn.Close() }
