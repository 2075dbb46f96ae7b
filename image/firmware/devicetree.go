package firmware

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrDeviceTree says that a device tree blob cannot be read.
var ErrDeviceTree = errors.New("damaged device tree blob")

// Tokens and header of a flattened device tree (devicetree specification, chapter 5).
const (
	fdtMagic     = 0xd00dfeed
	fdtBegin     = 1
	fdtEnd       = 2
	fdtProp      = 3
	fdtNop       = 4
	fdtFinish    = 9
	fdtHeaderLen = 40
)

// capabilities of a bootloader that knows A/B trials, as /chosen/bootloader says them.
const (
	capabilities    = 0x7
	oldCapabilities = 0x3
)

// DeviceTree adds to a machine's device tree what the bootloader tells the kernel about
// a start: /chosen/bootloader with capabilities, partition and tryboot.
func (b *Board) DeviceTree(blob []byte, boot Boot) ([]byte, error) {
	t, err := openTree(blob)
	if err != nil {
		return nil, err
	}
	at, err := t.endOfChosen()
	if err != nil {
		return nil, err
	}
	try, can := uint32(0), uint32(capabilities)
	if boot.Tryboot {
		try = 1
	}
	if b.Old {
		can = oldCapabilities
	}
	var node bytes.Buffer
	word(&node, fdtBegin)
	padded(&node, append([]byte("bootloader"), 0))
	t.property(&node, "capabilities", can)
	t.property(&node, "partition", uint32(boot.Partition))
	t.property(&node, "tryboot", try)
	word(&node, fdtEnd)
	t.nodes = append(t.nodes[:at:at], append(node.Bytes(), t.nodes[at:]...)...)
	return t.bytes(), nil
}

// tree is a blob taken apart.
type tree struct {
	header, reserved, nodes, names []byte
}

func openTree(b []byte) (*tree, error) {
	if len(b) < fdtHeaderLen || binary.BigEndian.Uint32(b) != fdtMagic {
		return nil, fmt.Errorf("%w: no header", ErrDeviceTree)
	}
	field := func(i int) int { return int(binary.BigEndian.Uint32(b[4*i:])) }
	nodes, names, reserved := field(2), field(3), field(4)
	namesLen, nodesLen := field(8), field(9)
	if nodes+nodesLen > len(b) || names+namesLen > len(b) || reserved > nodes || reserved < fdtHeaderLen {
		return nil, fmt.Errorf("%w: its parts are outside", ErrDeviceTree)
	}
	end := reserved // the list of reserved memory ends with a pair of zeros
	for ; ; end += 16 {
		if end+16 > len(b) {
			return nil, fmt.Errorf("%w: reserved memory has no end", ErrDeviceTree)
		}
		if bytes.Equal(b[end:end+16], make([]byte, 16)) {
			break
		}
	}
	return &tree{bytes.Clone(b[:fdtHeaderLen]), bytes.Clone(b[reserved : end+16]), bytes.Clone(b[nodes : nodes+nodesLen]), bytes.Clone(b[names : names+namesLen])}, nil
}

// endOfChosen is where the node /chosen ends.
func (t *tree) endOfChosen() (int, error) {
	var path []string
	for at := 0; at+4 <= len(t.nodes); {
		token := binary.BigEndian.Uint32(t.nodes[at:])
		here := at
		at += 4
		switch token {
		case fdtBegin:
			n := bytes.IndexByte(t.nodes[at:], 0)
			if n < 0 {
				return 0, fmt.Errorf("%w: a name has no end", ErrDeviceTree)
			}
			path = append(path, string(t.nodes[at:at+n]))
			at += (n + 1 + 3) &^ 3
		case fdtEnd:
			if len(path) == 2 && path[1] == "chosen" {
				return here, nil
			}
			if len(path) == 0 {
				return 0, fmt.Errorf("%w: nodes do not pair", ErrDeviceTree)
			}
			path = path[:len(path)-1]
		case fdtProp:
			if at+8 > len(t.nodes) {
				return 0, fmt.Errorf("%w: a property is cut", ErrDeviceTree)
			}
			n := int(binary.BigEndian.Uint32(t.nodes[at:]))
			at += 8 + (n+3)&^3
		case fdtNop:
		case fdtFinish:
			return 0, fmt.Errorf("%w: there is no /chosen", ErrDeviceTree)
		default:
			return 0, fmt.Errorf("%w: token %d", ErrDeviceTree, token)
		}
	}
	return 0, fmt.Errorf("%w: it has no end", ErrDeviceTree)
}

func (t *tree) property(w *bytes.Buffer, name string, v uint32) {
	word(w, fdtProp)
	word(w, 4)
	word(w, uint32(len(t.names)))
	word(w, v)
	t.names = append(append(t.names, name...), 0)
}

func word(w *bytes.Buffer, v uint32) { _ = binary.Write(w, binary.BigEndian, v) }

func padded(w *bytes.Buffer, b []byte) {
	w.Write(b)
	w.Write(make([]byte, (4-len(b)%4)%4))
}

// bytes puts the blob together again.
func (t *tree) bytes() []byte {
	put := func(i, v int) { binary.BigEndian.PutUint32(t.header[4*i:], uint32(v)) }
	reserved := fdtHeaderLen // 8-aligned, as the format wants
	nodes := reserved + len(t.reserved)
	names := nodes + len(t.nodes)
	put(1, names+len(t.names))
	put(2, nodes)
	put(3, names)
	put(4, reserved)
	put(8, len(t.names))
	put(9, len(t.nodes))
	return bytes.Join([][]byte{t.header, t.reserved, t.nodes, t.names}, nil)
}
