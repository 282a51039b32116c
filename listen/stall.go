package listen

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Bounds for peers that do not take what they are sent.
const (
	// patience is how long a write may wait without a byte of it taken. Those who know
	// more of what they write, the streams of package proxy, end at 60 s and say why.
	patience = 63 * time.Second
	// suspicion is after how long such a write is counted.
	suspicion = 5 * time.Second
	// mostStalled is how many connections of one address may be counted at a time. The
	// clients of a load balancer share one: this many of them do not all stop reading.
	mostStalled = 100
)

// stalls are the connections of a port that have taken nothing for a while. A
// write that its peer takes never comes by here. It is safe for concurrent use.
type stalls struct {
	patience, suspicion time.Duration
	most                int

	mu     sync.Mutex
	counts map[netip.Addr][]*conn // the longest first
}

func newStalls() *stalls {
	return &stalls{patience: patience, suspicion: suspicion, most: mostStalled, counts: make(map[netip.Addr][]*conn)}
}

// step is how long a write may go on before it is looked at again.
func (s *stalls) step(stalled time.Duration) time.Duration {
	if stalled == 0 {
		return s.suspicion
	}
	return s.patience - stalled
}

// enter counts a connection. Where its peer has too many, that which has waited
// the longest is closed.
func (s *stalls) enter(c *conn) {
	s.mu.Lock()
	waiting := append(s.counts[c.peer], c)
	var worst *conn
	if len(waiting) > s.most {
		worst, waiting = waiting[0], waiting[1:]
	}
	s.counts[c.peer] = waiting
	s.mu.Unlock()
	if worst != nil {
		_ = worst.Close() // whoever writes to it learns of it
	}
}

// end takes a connection out again, if it has stalled at all.
func (s *stalls) end(c *conn, stalled time.Duration) {
	if stalled == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.counts[c.peer]
	if i := slices.Index(waiting, c); i >= 0 {
		waiting = slices.Delete(waiting, i, i+1)
	}
	if len(waiting) == 0 {
		delete(s.counts, c.peer)
		return
	}
	s.counts[c.peer] = waiting
}
