package policy

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	seenBits         = 14
	maxPendingChecks = 256
	restRatio        = 4 // so that checking takes no more than a fifth of a processor
)

// Disagreement is a request to which index and casbin give different answers, or
// casbin none. It is a bug of either.
type Disagreement struct {
	Request       Request
	Index, Casbin Decision
	Err           error // why casbin has no answer
}

// crossCheck remembers which requests casbin was asked about, and queues those that it
// will be asked about. Requests write to it without waiting for each other or for casbin.
type crossCheck struct {
	seen  [1 << seenBits]atomic.Uint64 // fingerprints; a newer one replaces an older one
	queue chan pendingCheck
}

type pendingCheck struct {
	request  Request
	decision Decision // of the index
}

// enqueue puts a request in the queue if it is the first of its kind. Where the queue is
// full, the next request of its kind is put in.
func (c *crossCheck) enqueue(q *Request, v indexDecision) {
	key := v.fingerprint(q)
	slot := &c.seen[key>>(64-seenBits)]
	if slot.Load() == key {
		return
	}
	select {
	case c.queue <- pendingCheck{*q, v.Decision}:
		slot.Store(key)
	default:
	}
}

// fingerprint is a fingerprint of a request as far as its decision depends on it. It is
// never 0, which is a free slot.
func (d indexDecision) fingerprint(q *Request) uint64 {
	return mixHash(d.matchHash, q.Roles.fingerprint) | 1
}

// CrossCheck compares with casbin, until ctx ends, what Decide answered to the first
// request of each kind: kinds differ in subjects, upstream, method
// and the patterns that match the path. It reports each difference and demotes the
// snapshot. Without CrossCheck, nothing is compared while requests are served.
//
// It takes about a fifth of a processor at most, and runs in the caller's
// goroutine, as report does.
func (s *Snapshot) CrossCheck(ctx context.Context, report func(Disagreement)) {
	s.crossCheck.CompareAndSwap(nil, &crossCheck{queue: make(chan pendingCheck, maxPendingChecks)})
	queue := s.crossCheck.Load().queue
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		select {
		case <-ctx.Done():
			return
		case check := <-queue:
			started := time.Now()
			if found := s.compare(&check.request, check.decision); found != nil {
				s.demoted.Store(true)
				report(*found)
			}
			timer.Reset(restRatio * time.Since(started))
		}
	}
}

// Demoted reports whether index and casbin have disagreed. Each request then waits
// for casbin, and those are denied on which they do not agree.
func (s *Snapshot) Demoted() bool { return s.demoted.Load() }

// decideStrict admits a request only where casbin agrees with the index.
func (s *Snapshot) decideStrict(q *Request, fromIndex Decision) Decision {
	if s.compare(q, fromIndex) != nil {
		return Decision{disputed: true}
	}
	return fromIndex
}

// compare asks casbin for a decision of the index. It returns nil where both agree on
// effect and row. Every comparison of requests goes through here: at load, in the
// background, and of a demoted snapshot.
func (s *Snapshot) compare(q *Request, fromIndex Decision) *Disagreement {
	fromCasbin, err := s.enforce(q)
	if err == nil && fromCasbin == fromIndex {
		return nil
	}
	return &Disagreement{*q, fromIndex, fromCasbin, err}
}
