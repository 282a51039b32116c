package transport

import (
	"syscall"
	"time"
)

// peerClosedOrSent reports whether an end, an error or bytes have arrived on a connection. It
// consumes nothing. On a connection without a request, bytes answer nothing.
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

// setTCPUserTimeout makes the kernel end a connection whose segments remain unacknowledged
// for this long. The default is about a quarter of an hour (tcp_retries2).
func setTCPUserTimeout(after time.Duration) func(network, address string, conn syscall.RawConn) error {
	const tcpUserTimeout = 0x12 // TCP_USER_TIMEOUT (RFC 5482), in milliseconds
	return func(_, _ string, conn syscall.RawConn) error {
		return conn.Control(func(fd uintptr) {
			// A kernel without the option still connects.
			_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(after.Milliseconds()))
		})
	}
}
