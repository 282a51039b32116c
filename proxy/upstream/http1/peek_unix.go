//go:build unix

package http1

import "syscall"

// hasPending reports whether bytes, an end or an error have arrived on a socket that does not
// block. It consumes nothing.
func hasPending(fd uintptr) bool {
	var one [1]byte
	for {
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK)
		if err == syscall.EINTR {
			continue
		}
		return err != syscall.EAGAIN
	}
}
