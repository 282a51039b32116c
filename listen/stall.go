package listen

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Bounds for peers that do not take what they are sent.
const (
	// stallTimeout is how long a write may wait without a byte of it taken. Those who know
	// more of what they write, the streams of package proxy, end at 60 s and say why.
	stallTimeout = 63 * time.Second
	// stallSuspectAfter is after how long such a write is counted.
	stallSuspectAfter = 5 * time.Second
	// maxStalled is how many connections of one address may be counted at a time. The
	// clients of a load balancer share one: this many of them do not all stop reading.
	maxStalled = 100
)

// stallTracker are the connections of a port that have taken nothing for a while. A
// write that its peer takes never comes by here. It is safe for concurrent use.
type stallTracker struct {
	timeout, suspectAfter time.Duration
	maxStalled            int

	mu     sync.Mutex
	byAddr map[netip.Addr][]*conn // the longest first
}

func newStallTracker() *stallTracker {
	return &stallTracker{timeout: stallTimeout, suspectAfter: stallSuspectAfter, maxStalled: maxStalled, byAddr: make(map[netip.Addr][]*conn)}
}

// nextStep is how long a write may go on before it is looked at again.
func (s *stallTracker) nextStep(stalled time.Duration) time.Duration {
	if stalled == 0 {
		return s.suspectAfter
	}
	return s.timeout - stalled
}

// add counts a connection. Where its peer has too many, that which has waited
// the longest is closed.
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
		_ = evicted.Close() // whoever writes to it learns of it
	}
}

// remove takes a connection out again, if it has stalled at all.
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
