//go:build unix

package listen

import "syscall"

func fchmod(fd uintptr, mode uint32) error { return syscall.Fchmod(int(fd), mode) }
