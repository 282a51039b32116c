package listen

import (
	"net"
	"time"
)

// Reserve is for the tests of the limit.
const Reserve = headroom

// Hurry shortens how long the connections of a port may take nothing, and how
// many of one address may. It must come before the first.
func Hurry(l net.Listener, patience, suspicion time.Duration, most int) {
	if limited, ok := l.(*limitListener); ok {
		l = limited.Listener
	}
	s := l.(*stallListener).stalls
	s.timeout, s.suspectAfter, s.maxStalled = patience, suspicion, most
}

// CheckClients sets how often a port looks for clients that have left. It must come before the
// first connection.
func CheckClients(l net.Listener, interval time.Duration) {
	l.(*stallListener).clients.interval = interval
}
