// Package listen knows how to open a port: on an address or as a Unix socket,
// with a limit to how many connections it has and to how long one may take
// nothing, and with a certificate that can be replaced while it is open.
//
// It knows nothing of HTTP, and does not watch files: whoever serves asks
// [Overloaded] about the connection of a request, and calls [Certificate.Take]
// when the files have changed. Everything here is safe for any number of
// goroutines.
package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
)

// Open opens a port. An address is host:port or unix:/path/to.sock. Connections
// is how many may be open at one time; 0 is no limit.
func Open(ctx context.Context, address string, connections int) (net.Listener, error) {
	open := openTCP
	file, isSocket := strings.CutPrefix(address, "unix:")
	if isSocket {
		address, open = file, openUnix
	}
	listener, err := open(ctx, address)
	if err != nil {
		return nil, err
	}
	listener = &stallListener{listener, newStallTracker()}
	if connections > 0 {
		return newLimitListener(listener, connections), nil
	}
	return listener, nil
}

func openTCP(ctx context.Context, address string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is taken by another process; stop it, or write another address", address)
	}
	return listener, err
}
