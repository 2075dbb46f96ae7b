package grow

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"lineside/image/layout"
)

// Tell has the kernel know how large a partition of an open disk is (BLKPG_RESIZE_PARTITION,
// linux/blkpg.h), while other partitions of it are mounted. An image file has no kernel behind it.
func Tell(disk *os.File, e layout.Entry) error {
	if i, err := disk.Stat(); err != nil || i.Mode()&os.ModeDevice == 0 {
		return err
	}
	p := unix.BlkpgPartition{Start: e.Start, Length: e.Bytes, Pno: int32(e.Number)}
	arg := unix.BlkpgIoctlArg{Op: unix.BLKPG_RESIZE_PARTITION, Datalen: int32(unsafe.Sizeof(p)), Data: (*byte)(unsafe.Pointer(&p))}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, disk.Fd(), unix.BLKPG, uintptr(unsafe.Pointer(&arg))); errno != 0 {
		return errno
	}
	return nil
}
