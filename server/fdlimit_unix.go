//go:build unix

package server

import (
	"math"
	"os"
	"os/signal"
	"syscall"
)

// notifyLogLevel asks for the signal that switches the level of the log.
func notifyLogLevel(signals chan<- os.Signal) { signal.Notify(signals, syscall.SIGUSR1) }

// fdLimit is how many files this process may have open. Go has raised
// that as far as the system lets it.
func fdLimit() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return math.MaxUint64 // unknown, and so no reason to warn
	}
	return uint64(limit.Cur) // signed on FreeBSD
}
