package hw

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// vcio is the mailbox through /dev/vcio.
type vcio struct {
	fd  int
	buf [1024 + 64]byte
}

// ioctlProperty is _IOWR(100, 0, char *).
const ioctlProperty = 3<<30 | unsafe.Sizeof(uintptr(0))<<16 | 100<<8

// openMailbox returns nil unless /dev/vcio is there, may be opened, is a device
// and answers the plainest question there is.
func openMailbox() mailbox {
	fd, err := unix.Open("/dev/vcio", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	var st unix.Stat_t
	v := &vcio{fd: fd}
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR {
		v.Close()
		return nil
	}
	if _, err := v.ask(tagRevision, 4); err != nil {
		v.Close()
		return nil
	}
	return v
}

func (v *vcio) Close() error { return unix.Close(v.fd) }

func (v *vcio) send(msg []byte, tag uint32) ([]byte, error) {
	_, _, no := unix.Syscall(unix.SYS_IOCTL, uintptr(v.fd), ioctlProperty, uintptr(unsafe.Pointer(&msg[0])))
	if no != 0 {
		return nil, no
	}
	return answer(msg, tag)
}

func (v *vcio) ask(tag uint32, room int, values ...uint32) ([]byte, error) {
	return v.send(message(v.buf[:], tag, room, values...), tag)
}

// throttled sends 0 as the bits to clear, so that nobody else's view changes.
func (v *vcio) throttled() (uint32, error) {
	a, err := v.ask(tagThrottled, 4, 0)
	if err != nil {
		return 0, err
	}
	if len(a) < 4 {
		return 0, errFirmware
	}
	return binary.NativeEndian.Uint32(a), nil
}

func (v *vcio) armClock() (uint32, error) {
	a, err := v.ask(tagMeasured, 8, clockARM, 0)
	if err != nil {
		return 0, err
	}
	if len(a) < 8 {
		return 0, errFirmware
	}
	return binary.NativeEndian.Uint32(a[4:]), nil
}

func (v *vcio) command(cmd string) ([]byte, error) {
	msg := message(v.buf[:], tagCommand, 1024)
	copy(msg[24:], cmd) // behind the error word; the rest is NUL
	a, err := v.send(msg, tagCommand)
	if err != nil {
		return nil, err
	}
	return text(a)
}
