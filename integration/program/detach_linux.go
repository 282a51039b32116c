package program

import "syscall"

// detached also has the kernel end the child if its parent is killed outright.
func detached() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
