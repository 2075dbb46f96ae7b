package supervise

import "syscall"

// attributes has the kernel end the child when this process dies, however it dies:
// an orphan would hold the model's memory. Run keeps its thread for it.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
