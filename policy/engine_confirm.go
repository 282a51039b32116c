package policy

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	seenBits     = 14
	maxQuestions = 256
	restPerWork  = 4 // so that confirming takes no more than a fifth of a processor
)

// Disagreement is a request to which index and casbin give different answers, or
// casbin none. It is a bug of either.
type Disagreement struct {
	Request       Request
	Index, Casbin Decision
	Err           error // why casbin has no answer
}

// confirmation remembers which questions casbin was asked, and holds those that
// wait. Requests write to it without waiting for each other or for casbin.
type confirmation struct {
	seen  [1 << seenBits]atomic.Uint64 // fingerprints; a newer one takes the place of an older one
	queue chan unconfirmed
}

type unconfirmed struct {
	request Request
	answer  Decision // of the index
}

// note puts a question in the queue if it is new. Where the queue is full, the
// next request of its kind asks again.
func (c *confirmation) note(q *Request, v verdict) {
	kind := v.kind(q)
	place := &c.seen[kind>>(64-seenBits)]
	if place.Load() == kind {
		return
	}
	select {
	case c.queue <- unconfirmed{*q, v.Decision}:
		place.Store(kind)
	default:
	}
}

// kind is a fingerprint of a question as far as its answer depends on it. It is
// never 0, which is a free place.
func (v verdict) kind(q *Request) uint64 { return stir(v.class, q.Roles.sum) | 1 }

// Confirm asks casbin, until ctx ends, what Decide answered to questions of a kind
// that came for the first time: kinds are told apart by subjects, upstream, method
// and the patterns that match the path. It reports each difference and demotes the
// snapshot. Without Confirm, nothing is compared while requests are served.
//
// It takes about a fifth of a processor at most, and runs in the caller's
// goroutine, as report does.
func (s *Snapshot) Confirm(ctx context.Context, report func(Disagreement)) {
	s.confirming.CompareAndSwap(nil, &confirmation{queue: make(chan unconfirmed, maxQuestions)})
	queue := s.confirming.Load().queue
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-rest.C:
		}
		select {
		case <-ctx.Done():
			return
		case q := <-queue:
			begun := time.Now()
			if theirs, err := s.enforce(&q.request); err != nil || theirs != q.answer {
				s.demoted.Store(true)
				report(Disagreement{q.request, q.answer, theirs, err})
			}
			rest.Reset(restPerWork * time.Since(begun))
		}
	}
}

// Demoted reports whether index and casbin have disagreed. Each request then waits
// for casbin, and those are denied on which they do not agree.
func (s *Snapshot) Demoted() bool { return s.demoted.Load() }

// insist lets a request in only where casbin gives the answer that the index gave.
func (s *Snapshot) insist(q *Request, ours Decision) Decision {
	if theirs, err := s.enforce(q); err != nil || theirs != ours {
		return Decision{disputed: true}
	}
	return ours
}
