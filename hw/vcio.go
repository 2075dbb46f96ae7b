package hw

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// Reasons for readings that only the firmware's mailbox can give.
var (
	errNoMailbox  = errors.New("needs /dev/vcio (Raspberry Pi kernel, group video)")
	errNoThrottle = errors.New("needs /dev/vcio or the rpi_volt driver (Raspberry Pi kernel)")
	errCaptured   = errors.New("a captured tree has no file systems of its own")
	errFirmware   = errors.New("the firmware did not answer the question")
)

// mailbox asks the Raspberry Pi's firmware.
type mailbox interface {
	throttled() (uint32, error)
	armClock() (uint32, error) // measured, in Hz
	command(cmd string) ([]byte, error)
	Close() error
}

// property tags of the firmware.
// https://github.com/raspberrypi/firmware/wiki/Mailbox-property-interface
const (
	tagRevision  = 0x00000001
	tagThrottled = 0x00030046
	tagMeasured  = 0x00030047
	tagCommand   = 0x00030080

	clockARM    = 3
	mailSuccess = 0x80000000
	mailAnswer  = 0x80000000 // bit of a tag that was answered
)

// message lays out one property request in buf, words in the machine's order:
// size, code, tag, room, length, values, end. It returns the whole message.
func message(buf []byte, tag uint32, room int, values ...uint32) []byte {
	room = (room + 3) &^ 3
	clear(buf)
	size := 24 + room
	put := func(at int, v uint32) { binary.NativeEndian.PutUint32(buf[at:], v) }
	put(0, uint32(size))
	put(8, tag)
	put(12, uint32(room))
	for i, v := range values {
		put(20+4*i, v)
	}
	return buf[:size]
}

// answer checks what came back and returns the tag's values.
func answer(msg []byte, tag uint32) ([]byte, error) {
	if len(msg) < 24 {
		return nil, errFirmware
	}
	get := func(at int) uint32 { return binary.NativeEndian.Uint32(msg[at:]) }
	if get(4) != mailSuccess || get(8) != tag || get(16)&mailAnswer == 0 {
		return nil, errFirmware
	}
	n := min(int(get(16)&^uint32(mailAnswer)), len(msg)-24)
	return msg[20 : 20+n], nil
}

// text cuts the answer of a command: an error word, then a C string.
func text(values []byte) ([]byte, error) {
	if len(values) < 4 || binary.NativeEndian.Uint32(values) != 0 {
		return nil, errFirmware
	}
	s := values[4:]
	if i := bytes.IndexByte(s, 0); i >= 0 {
		s = s[:i]
	}
	return s, nil
}
