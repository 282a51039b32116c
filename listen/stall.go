package listen

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Bounds for peers that do not read.
const (
	// stallTimeout is how long a write may wait while its peer reads nothing. Callers that
	// know more, such as the streams of package proxy, end at 60 s and say why.
	stallTimeout = 63 * time.Second
	// stallSuspectAfter is how long such a write waits before it counts, and how often it is
	// checked from then on.
	stallSuspectAfter = 5 * time.Second
	// maxStalled is how many connections of one address may be stalled at a time. The
	// clients of a load balancer share one address, but not so many stop reading at once.
	maxStalled = 100
)

// stallTracker has the stalled connections of a port. A write to a peer that reads does not
// use it. It is safe for concurrent use.
type stallTracker struct {
	timeout, suspectAfter time.Duration
	maxStalled            int

	mu     sync.Mutex
	byAddr map[netip.Addr][]*conn // the longest first
}

func newStallTracker() *stallTracker {
	return &stallTracker{
		timeout: stallTimeout, suspectAfter: stallSuspectAfter, maxStalled: maxStalled,
		byAddr: make(map[netip.Addr][]*conn),
	}
}

// add counts a connection. If its address has too many, the one that has waited the longest
// is closed.
func (s *stallTracker) add(c *conn) {
	s.mu.Lock()
	waiting := append(s.byAddr[c.peerAddr], c)
	var evicted *conn
	if len(waiting) > s.maxStalled {
		evicted, waiting = waiting[0], waiting[1:]
	}
	s.byAddr[c.peerAddr] = waiting
	s.mu.Unlock()
	if evicted != nil {
		_ = evicted.Close() // its writer gets an error
	}
}

// remove removes a connection, if it is stalled.
func (s *stallTracker) remove(c *conn, stalled time.Duration) {
	if stalled == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.byAddr[c.peerAddr]
	if i := slices.Index(waiting, c); i >= 0 {
		waiting = slices.Delete(waiting, i, i+1)
	}
	if len(waiting) == 0 {
		delete(s.byAddr, c.peerAddr)
		return
	}
	s.byAddr[c.peerAddr] = waiting
}
