package hw

import "golang.org/x/sys/unix"

func diskSpace(mount string) (free, size float64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(mount, &st); err != nil {
		return 0, 0, err
	}
	return float64(st.Bavail) * float64(st.Bsize), float64(st.Blocks) * float64(st.Bsize), nil
}

// readOnly asks for the mount's flag: ext4 sets it where the file system fell back to
// read-only by itself, too.
func readOnly(path string) (bool, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return false, err
	}
	return st.Flags&unix.ST_RDONLY != 0, nil
}

// kernelSynced asks the kernel's clock discipline, changing nothing.
func kernelSynced() (bool, error) {
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err != nil {
		return false, err
	}
	return t.Status&unix.STA_UNSYNC == 0, nil
}

// memoryTotal is the machine's memory in bytes; only the live machine can be asked.
func memoryTotal(root string) (uint64, error) {
	if root != "/" {
		return 0, errMissing
	}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0, err
	}
	return uint64(info.Totalram) * uint64(info.Unit), nil
}
