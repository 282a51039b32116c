package proxy

import (
	"syscall"
	"time"
)

// setTCPUserTimeout has the kernel end a connection whose segments nobody has
// acknowledged for so long: without it, for a quarter of an hour (tcp_retries2).
func setTCPUserTimeout(after time.Duration) func(network, address string, conn syscall.RawConn) error {
	const tcpUserTimeout = 0x12 // TCP_USER_TIMEOUT (RFC 5482), in milliseconds
	return func(_, _ string, conn syscall.RawConn) error {
		return conn.Control(func(fd uintptr) {
			// A kernel that cannot is no reason to reach nobody.
			_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(after.Milliseconds()))
		})
	}
}
