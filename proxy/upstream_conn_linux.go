package proxy

import "syscall"

// peerClosedOrSent looks at what has arrived, and takes nothing: an end, an error, or
// bytes, which on a connection without a request are no answer to anything.
func peerClosedOrSent(fd uintptr) bool {
	var one [1]byte
	for {
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if err == syscall.EINTR {
			continue
		}
		return err != syscall.EAGAIN
	}
}
