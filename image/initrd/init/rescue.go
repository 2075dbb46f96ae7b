//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// trybootPort is the name of the port by which a machine without Raspberry Pi's firmware
// stands in for its one-shot flag.
const trybootPort = "lineside.tryboot"

// rescue restarts into the other slot of a card, once, where this one's root does not
// start: autoboot.txt always names the other one for a trial, and image/slots keeps it when it is
// healthy. A slot that was only being tried is left by a plain restart: the firmware then
// takes the committed one. Where no slot was started, it does nothing.
func rescue() {
	argument, ok := restartArgument("/")
	if !ok {
		return
	}
	if argument != "" {
		flag("/")
	}
	unix.Sync()
	restart(argument)
}

// restartArgument is what the firmware shall be told; ok is false where this is no slot.
func restartArgument(root string) (argument string, ok bool) {
	line, err := os.ReadFile(filepath.Join(root, "proc/cmdline"))
	if err != nil || !strings.Contains(" "+string(line), " rauc.slot=") {
		return "", false
	}
	trial, err := os.ReadFile(filepath.Join(root, "proc/device-tree/chosen/bootloader/tryboot"))
	if err == nil && len(trial) == 4 && trial[3] != 0 {
		return "", true
	}
	return "0 tryboot", true
}

// flag sets the stand-in for the firmware's flag, where there is one.
func flag(root string) {
	names, _ := filepath.Glob(filepath.Join(root, "sys/class/virtio-ports/*/name"))
	for _, n := range names {
		if b, err := os.ReadFile(n); err == nil && strings.TrimSpace(string(b)) == trybootPort {
			_ = os.WriteFile(filepath.Join(root, "dev", filepath.Base(filepath.Dir(n))), []byte("1\n"), 0) // the restart comes all the same
		}
	}
}

// restart returns only if it fails.
func restart(argument string) {
	if argument == "" {
		_ = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
		return
	}
	b, err := unix.BytePtrFromString(argument)
	if err != nil {
		return
	}
	_, _, _ = unix.Syscall6(unix.SYS_REBOOT, unix.LINUX_REBOOT_MAGIC1, unix.LINUX_REBOOT_MAGIC2,
		unix.LINUX_REBOOT_CMD_RESTART2, uintptr(unsafe.Pointer(b)), 0, 0)
}
