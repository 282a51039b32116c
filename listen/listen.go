// Package listen opens ports: on an address or as a Unix socket, with a limit to the number
// of connections and to how long a peer may read nothing, and with a certificate that can be
// replaced while the port is open.
//
// It knows nothing of HTTP, and does not watch files: the server calls [Overloaded] for the
// connection of a request, and [Certificate.Set] when the files have changed. Everything in
// it is safe for concurrent use.
package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
)

// Open opens a port. An address is host:port or unix:/path/to.sock. Connections is the
// maximum of open connections; 0 is no limit.
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
	listener = &stallListener{listener, newStallTracker(), &disconnectWatcher{interval: disconnectInterval}}
	if connections > 0 {
		return newLimitListener(listener, connections), nil
	}
	return listener, nil
}

func openTCP(ctx context.Context, address string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is in use by another process; stop it, or write another address", address)
	}
	return listener, err
}
