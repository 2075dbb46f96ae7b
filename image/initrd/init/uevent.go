//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// patience is how long a disk may take to appear, in seconds.
const patience = 30

// uevents is the kernel's news about devices (netlink(7), NETLINK_KOBJECT_UEVENT).
type uevents int

func listen() (uevents, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return 0, fmt.Errorf("listen to the kernel's device events: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}); err != nil {
		return 0, fmt.Errorf("listen to the kernel's device events: %w", err)
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: patience}); err != nil {
		return 0, err
	}
	return uevents(fd), nil
}

// waitFor returns the device file of a root when it is there: the kernel makes it before
// it tells.
func (u uevents) waitFor(root string) (string, error) {
	buf := make([]byte, 1<<16)
	for {
		dev, err := device(root)
		if err == nil {
			return dev, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		_, _, err = unix.Recvfrom(int(u), buf, 0)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return "", fmt.Errorf("no %s after %d s: there are %s", root, patience, disks())
		case errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.EINTR): // news were lost: look again
		case err != nil:
			return "", fmt.Errorf("wait for %s: %w", root, err)
		}
	}
}

// disks names what there is instead.
func disks() string {
	entries, err := os.ReadDir("/sys/class/block")
	if err != nil || len(entries) == 0 {
		return "no disks"
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}
