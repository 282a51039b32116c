//go:build !linux

package transport

import (
	"syscall"
	"time"
)

// peerClosedOrSent needs Linux.
func peerClosedOrSent(uintptr) bool { return false }

// setTCPUserTimeout needs Linux; other systems use their default.
func setTCPUserTimeout(time.Duration) func(network, address string, conn syscall.RawConn) error {
	return nil
}
