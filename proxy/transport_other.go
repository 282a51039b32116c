//go:build !linux

package proxy

import (
	"syscall"
	"time"
)

// setTCPUserTimeout leaves it to the system when a connection is dead: only Linux
// is asked.
func setTCPUserTimeout(time.Duration) func(network, address string, conn syscall.RawConn) error {
	return nil
}
