package policy

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

const (
	seenBits         = 14
	maxPendingChecks = 256
	restRatio        = 4 // so that confirming takes no more than a fifth of a processor
)

// Disagreement is a request to which index and casbin give different answers, or
// casbin none. It is a bug of either.
type Disagreement struct {
	Request       Request
	Index, Casbin Decision
	Err           error // why casbin has no answer
}

// crossCheck remembers which questions casbin was asked, and holds those that
// wait. Requests write to it without waiting for each other or for casbin.
type crossCheck struct {
	seen  [1 << seenBits]atomic.Uint64 // fingerprints; a newer one takes the place of an older one
	queue chan pendingCheck
}

type pendingCheck struct {
	request  Request
	decision Decision // of the index
}

// enqueue puts a question in the queue if it is new. Where the queue is full, the
// next request of its kind asks again.
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

// fingerprint is a fingerprint of a question as far as its answer depends on it. It is
// never 0, which is a free place.
func (d indexDecision) fingerprint(q *Request) uint64 {
	return mixHash(d.matchHash, q.Roles.fingerprint) | 1
}

// CrossCheck asks casbin, until ctx ends, what Decide answered to questions of a kind
// that came for the first time: kinds differ in subjects, upstream, method
// and the patterns that match the path. It reports each difference and demotes the
// snapshot. Without Confirm, nothing is compared while requests are served.
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
			if fromCasbin, err := s.enforce(&check.request); err != nil || fromCasbin != check.decision {
				s.demoted.Store(true)
				report(Disagreement{check.request, check.decision, fromCasbin, err})
			}
			timer.Reset(restRatio * time.Since(started))
		}
	}
}

// Demoted reports whether index and casbin have disagreed. Each request then waits
// for casbin, and those are denied on which they do not agree.
func (s *Snapshot) Demoted() bool { return s.demoted.Load() }

// decideStrict lets a request in only where casbin gives the answer that the index gave.
func (s *Snapshot) decideStrict(q *Request, fromIndex Decision) Decision {
	if fromCasbin, err := s.enforce(q); err != nil || fromCasbin != fromIndex {
		return Decision{disputed: true}
	}
	return fromIndex
}

// Verify holds the answer that Decide gives to one question against casbin's, and
// fails where the two differ, which is a bug. It asks an enforcer of the rows that
// match, found one by one, and a role manager of the g rows that concern these
// roles, so that a dry run need not build those of the whole policy.
func (s *Snapshot) Verify(q Request) error {
	if !s.CanDecide(q) {
		return nil
	}
	if err := s.verifyRoles(q.Roles); err != nil {
		return err
	}
	e, err := newUpstreamEnforcer(q.Upstream, s.MatchingRows(q.Upstream, q.Path.String(), q.Method))
	if err != nil {
		return err
	}
	fromCasbin, err := e.decide(q.Roles, q.Path.String(), q.Method)
	if err != nil {
		return err
	}
	if fromIndex := s.Decide(q); fromIndex != fromCasbin {
		return fmt.Errorf("authgate says %s and casbin %s to %s %s:%s; please report this", fromIndex, fromCasbin, q.Method, q.Upstream, q.Path)
	}
	return nil
}

// verifyRoles asks casbin whether a set of roles leads to any that it lacks.
func (s *Snapshot) verifyRoles(r Roles) error {
	var grants []Grant
	for _, g := range s.grants {
		if r.Has(g.Member) {
			grants = append(grants, g)
		}
	}
	manager, err := newRoleManager(grants)
	if err != nil {
		return err
	}
	for _, g := range grants {
		roles, err := manager.implicitRoles(g.Member)
		if err != nil {
			return err
		}
		for _, role := range roles {
			if !r.Has(role) {
				return fmt.Errorf("to casbin %s leads to %s, and to authgate it does not; please report this", g.Member, role)
			}
		}
	}
	return nil
}
