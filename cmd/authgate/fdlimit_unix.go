//go:build unix

package main

import (
	"fmt"
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

// copyOwner gives a new file the owner and the group of the one that it replaces.
func copyOwner(file, of string) error {
	was, err := os.Stat(of)
	if err != nil {
		return err
	}
	is, err := os.Stat(file)
	if err != nil {
		return err
	}
	wanted, known := was.Sys().(*syscall.Stat_t)
	has, knownToo := is.Sys().(*syscall.Stat_t)
	switch {
	case !known || !knownToo:
		return fmt.Errorf("the owner of %s is not known", of)
	case wanted.Uid == has.Uid && wanted.Gid == has.Gid:
		return nil
	}
	return os.Chown(file, int(wanted.Uid), int(wanted.Gid))
}
