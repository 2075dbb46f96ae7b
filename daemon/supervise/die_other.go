//go:build !linux

package supervise

import "syscall"

// attributes adds nothing where the kernel cannot end orphans.
func attributes() *syscall.SysProcAttr { return nil }
